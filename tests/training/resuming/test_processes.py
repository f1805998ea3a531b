"""Two processes under torchrun: where one is killed, the others end in seconds, and the restarted run goes on bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.resuming.killing import check_same

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")]


PATIENCE = 60  # seconds; a run takes some ten
HANDSHAKE = ("connectFullMesh failed", "timed out connecting")  # gloo's own words


def torchrun(folder: Path, *arguments: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program in two processes."""
    unset = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"OMP_NUM_THREADS": "1"}
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", f"--max-restarts={restarts}"]
    command = [sys.executable, *starter, "-m", "tests.training.resuming.together", str(folder), *arguments]
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, errors = started.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        started.terminate()  # which ends its workers, too
        started.communicate()
        raise
    return subprocess.CompletedProcess(command, started.returncode, out, errors)


def run(folder: Path, *arguments: str, kill: int | None = None, restarts: int = 0) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run it in a new folder, in which the file `kill` says when; the folder, and how it ended.

    Again where gloo's handshake fails, which torch 2.13 does now and then on a busy machine: both processes wait in it for ever
    (`Pair::waitUntilConnected` within `init_process_group`), or one of them is refused. It connects when the group is made, before
    anything of this library runs.
    """
    for attempt in range(4):
        new = folder / str(attempt)
        new.mkdir(parents=True)
        if kill is not None:
            (new / "kill").write_text(str(kill))
        try:
            done = torchrun(new, *arguments, restarts=restarts)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0 or not any(words in done.stderr for words in HANDSHAKE):
            return new, done
    raise AssertionError("gloo's handshake failed four times")


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "result.pt", weights_only=True)
    return found


@pytest.mark.parametrize(("kind", "save_freq", "kill"), [("arrays", "2", 8), ("sampled", "3", 11), ("sequence", "epoch", 8)])
def test_a_killed_run_that_torchrun_restarts_ends_as_if_nothing_had_been(tmp_path, kind, save_freq, kill):
    whole, done = run(tmp_path / "whole", kind, save_freq)
    assert done.returncode == 0, done.stderr[-3000:]
    killed, done = run(tmp_path / "killed", kind, save_freq, kill=kill, restarts=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Signal 9" in done.stderr or "SIGKILL" in done.stderr or "exitcode: -9" in done.stderr, done.stderr[-3000:]
    check_same(result(killed), result(whole))
    if kind == "arrays":
        assert (killed / "log.csv").read_text() == (whole / "log.csv").read_text()


def test_without_restarts_the_others_end_with_a_message(tmp_path):
    folder, done = run(tmp_path, "arrays", "1", kill=2)  # within PATIENCE
    assert done.returncode != 0
    assert "Signal 9" in done.stderr or "lost the connection" in done.stderr
    assert list((folder / "backup").glob("state-*.pt"))  # what was reached is kept
