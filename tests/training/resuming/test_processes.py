"""Two processes under torchrun: where one is killed, the others end in seconds, and the restarted run goes on bit for bit."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.resuming.killing import check_same
from tests.training.threads import check_ended
from tests.training.torchrun import ROOT, command, environment

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")]


PATIENCE = 120  # seconds; a run takes some ten


def run(folder: Path, *arguments: str, kill: int | None = None, restarts: int = 0) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run the program in two processes and a new folder, in which the file `kill` says when; the folder, and how it ended."""
    folder.mkdir(exist_ok=True)
    if kill is not None:
        (folder / "kill").write_text(str(kill))
    words = command(2, "tests.training.resuming.together", str(folder), *arguments, options=(f"--max-restarts={restarts}",))
    variables = environment(PYTHONFAULTHANDLER="1")
    started = subprocess.Popen(words, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, errors = started.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        started.terminate()  # which ends its workers, too
        started.communicate()
        raise
    return folder, subprocess.CompletedProcess(words, started.returncode, out, errors)


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "result.pt", weights_only=True)
    return found


@pytest.mark.parametrize(("kind", "save_freq", "kill"), [("arrays", "2", 8), ("shards", "2", 8), ("sampled", "3", 11), ("sequence", "epoch", 8)])
def test_a_killed_run_that_torchrun_restarts_ends_as_if_nothing_had_been(tmp_path, kind, save_freq, kill):
    whole, done = run(tmp_path / "whole", kind, save_freq)
    assert done.returncode == 0, done.stderr[-9000:]
    killed, done = run(tmp_path / "killed", kind, save_freq, kill=kill, restarts=2)
    assert done.returncode == 0, done.stderr[-9000:]
    assert "Signal 9" in done.stderr or "SIGKILL" in done.stderr or "exitcode: -9" in done.stderr, done.stderr[-9000:]
    check_same(result(killed), result(whole))
    check_ended(whole, 2)
    check_ended(killed, 2)
    if kind == "arrays":
        assert (killed / "log.csv").read_text() == (whole / "log.csv").read_text()


def test_without_restarts_the_others_end_with_a_message(tmp_path):
    folder, done = run(tmp_path, "arrays", "1", kill=3)  # within PATIENCE; the second backup is made when the first has been written
    assert done.returncode != 0
    assert "Signal 9" in done.stderr or "lost the connection" in done.stderr
    assert list((folder / "backup").glob("state-*.pt"))  # what was reached is kept
