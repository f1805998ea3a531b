"""Two processes under torchrun: where one is killed, the others end in seconds, and the restarted run goes on bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.resuming.killing import check_same

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")]


def torchrun(folder: Path, *arguments: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program in two processes."""
    unset = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"OMP_NUM_THREADS": "1"}
    starter = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", f"--max-restarts={restarts}"]
    command = [sys.executable, *starter, "-m", "tests.training.resuming.together", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "result.pt", weights_only=True)
    return found


@pytest.mark.parametrize(("kind", "save_freq", "kill"), [("arrays", "2", 8), ("sampled", "3", 11), ("sequence", "epoch", 8)])
def test_a_killed_run_that_torchrun_restarts_ends_as_if_nothing_had_been(tmp_path, kind, save_freq, kill):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    (killed / "kill").write_text(str(kill))
    done = torchrun(whole, kind, save_freq)
    assert done.returncode == 0, done.stderr[-3000:]
    done = torchrun(killed, kind, save_freq, restarts=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Signal 9" in done.stderr or "SIGKILL" in done.stderr or "exitcode: -9" in done.stderr, done.stderr[-3000:]
    check_same(result(killed), result(whole))
    if kind == "arrays":
        assert (killed / "log.csv").read_text() == (whole / "log.csv").read_text()


def test_without_restarts_the_others_end_with_a_message(tmp_path):
    (tmp_path / "kill").write_text("2")
    began = time.monotonic()
    done = torchrun(tmp_path, "arrays", "1")
    assert done.returncode != 0
    assert time.monotonic() - began < 120  # seconds where the machine is free
    assert "Signal 9" in done.stderr or "lost the connection" in done.stderr
    assert list((tmp_path / "backup").glob("state-*.pt"))  # what was reached is kept
