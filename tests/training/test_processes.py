"""Two processes train as one does: the same weights, histories, values and predictions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
CASES = ("arrays", "accumulated", "keras2", "summed", "stopped", "normalized")

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")


def run(processes: int, case: str, result: Path) -> subprocess.CompletedProcess[str]:
    """Run a case of `together.py` in one process, or in several by torchrun."""
    unset = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"}
    environment = {name: value for name, value in os.environ.items() if name not in unset} | {"OMP_NUM_THREADS": "1"}
    starter = [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *starter, "-m", "tests.training.together", case, str(result)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Any, Any]:
    """The results of all cases in one process, and in two."""
    found = []
    for processes in (1, 2):
        path = tmp_path_factory.mktemp("processes") / "result.json"
        done = run(processes, ",".join(CASES), path)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads(path.read_text()))
    return found[0], found[1]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does(both, case):
    alone, together = both[0][case], both[1][case]
    assert set(alone) == set(together)
    assert list(alone["history"]) == list(together["history"])
    for name, values in alone["history"].items():
        np.testing.assert_allclose(together["history"][name], values, rtol=2e-5, atol=1e-6, err_msg=name)
    for ours, theirs in zip(together["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    for name in set(alone) - {"history", "weights"}:
        np.testing.assert_allclose(together[name], alone[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_a_process_that_ends_takes_the_others_with_it(tmp_path):
    began = time.monotonic()
    done = run(2, "dying", tmp_path / "never.json")
    assert done.returncode != 0
    assert time.monotonic() - began < 120  # seconds where the machine is free; the collectives would wait for half an hour
    assert "exitcode  : 3" in done.stderr or "lost the connection" in done.stderr
    assert done.stdout.count("Epoch 1/50") <= 1  # the first process alone prints
