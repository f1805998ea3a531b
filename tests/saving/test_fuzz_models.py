"""Genuine files, damaged at random, loaded into models: only our own errors, no hang, no memory blow-up, models in memory as they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.saving import fuzzing_models

ROOT = Path(__file__).parents[2]


def run(count: int, seed: int) -> dict[str, Any]:
    """The fuzzer in a process of its own, whose workers have limits on memory and on the time of each case."""
    command = [sys.executable, "-m", "tests.saving.fuzzing_models", str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60 + 2 * count)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{found['cases']} cases, slowest {found['slowest']} s: {found['outcomes']}; {len(found['crashes'])} crashes inside of the HDF5 library")
    assert not found["failures"], "\n\n".join(found["failures"][:5])
    # the library in C can be crashed by a file: that is counted, and must be rare
    assert len(found["crashes"]) <= count / 200, "\n\n".join(found["crashes"][:3])
    assert sum(found["outcomes"].values()) + len(found["crashes"]) == count
    assert found["outcomes"].get("read", 0) > 0.05 * count, "hardly any case was read: the damage is too rough"
    assert found["outcomes"].get("ConfigError", 0) > 0.05 * count
    return found


def test_damaged_files_never_harm_a_model():
    run(80, 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101])
def test_thousands_of_damaged_files_never_harm_a_model(seed):
    run(2000, seed)


def test_a_case_is_made_again_by_its_number():
    assert fuzzing_models.case(1, 7) == fuzzing_models.case(1, 7)
    assert fuzzing_models.case(1, 7) != fuzzing_models.case(1, 8)


def test_every_kind_of_file_is_damaged():
    seen = {fuzzing_models.case(3, number)[0].name.partition(".")[2] for number in range(150)}
    assert seen >= {"h5", "json", "keras", "weights.h5", "legacy.h5"}
    seen = {fuzzing_models.case(3, number)[0].parent.parent.name for number in range(150)}
    assert seen == {"keras-1.2.2", "keras-2.2.4", "keras-3.15.1", "tf.keras-2.4.0"}
