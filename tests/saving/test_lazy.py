"""The reading and writing rooms are cheap to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from torchkeras.saving.limits import readable

ROOT = Path(__file__).parent.parent.parent


def test_h5py_is_imported_only_when_a_file_is_opened():
    program = """
import sys
import torchkeras.saving.archive, torchkeras.saving.config, torchkeras.saving.hdf5, torchkeras.saving.weight_groups, torchkeras.utils.atomic
assert "h5py" not in sys.modules
try:
    with torchkeras.saving.hdf5.open_safely(sys.argv[1]):
        pass
except ValueError:
    assert "h5py" in sys.modules
    print("late")
"""
    done = subprocess.run([sys.executable, "-c", program, __file__], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "late\n", done.stderr


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (1 << 33, "8 GiB"), (1 << 51, "2048 TiB")]
)
def test_sizes_are_told_in_words(size, words):
    assert readable(size) == words
