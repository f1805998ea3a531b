"""The programs in examples/ported run unchanged, with the numbers of the release that they were written for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = sorted((ROOT / "examples" / "ported").glob("*.py"))
EXPECTED = Path(__file__).parent / "expected"
ATOL = 1e-5  # float32 over some steps of training; they agree to 2e-7

# a folder with one environment for each release, such as "k122/bin/python"
REFEREES = os.environ.get("TORCHKERAS_REFEREES")
ENVIRONMENTS = {"keras1": "k122", "keras2": "k224", "tf": "tf24"}


def numbers(value: Any) -> list[float]:
    """The numbers of nested dicts and lists, in the order of the keys."""
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in numbers(value[key])]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [float(value)]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_gives_the_numbers_of_its_release(program: Path):
    done = subprocess.run([sys.executable, "-m", "torchkeras", "run", str(program)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    version = {"keras1": "1.2.2", "keras2": "2.2.4", "tf": "2.4.0"}[program.stem.partition("_")[0]]
    assert f"torchkeras: {program.name} as Keras {version} (" in done.stderr
    wanted = json.loads((EXPECTED / f"{program.stem}.json").read_text())
    np.testing.assert_allclose(numbers(json.loads(done.stdout)), numbers(wanted), atol=ATOL)


@pytest.mark.referee
@pytest.mark.skipif(REFEREES is None, reason="TORCHKERAS_REFEREES names no folder with the genuine releases")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_the_genuine_release_gives_what_is_expected(program: Path):
    python = Path(str(REFEREES)) / ENVIRONMENTS[program.stem.partition("_")[0]] / "bin" / "python"
    words = ["--plain"] if program.stem.startswith("tf") else []
    command = [str(python), str(Path(__file__).parent / "in_order.py"), *words, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"})
    assert done.returncode == 0, done.stderr
    wanted = json.loads((EXPECTED / f"{program.stem}.json").read_text())
    np.testing.assert_allclose(numbers(json.loads(done.stdout)), numbers(wanted), atol=ATOL)
