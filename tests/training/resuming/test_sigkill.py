"""Runs that are killed by SIGKILL at random moments go on bit for bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_hundred_random_kills():
    command = [sys.executable, "-m", "tests.training.resuming.sigkill", "100"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    found = re.search(r"100 of 100 .*; (\d+) of them went on from a backup", done.stdout)
    assert found is not None and int(found[1]) > 50, done.stdout
