"""Genuine files, damaged at random: only clean errors, no crash, no hang, no memory blow-up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.saving import fuzzing
from torchkeras.saving import hdf5
from torchkeras.saving.errors import ConfigError, FileError

ROOT = Path(__file__).parent.parent.parent


def run(tmp_path: Path, seconds: float, seed: int) -> None:
    """The fuzzer in a process of its own, with limits on memory and on the time of each case."""
    note = tmp_path / "case"
    command = [sys.executable, "-m", "tests.saving.fuzzing", str(seconds), str(seed), str(note)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=seconds + 120)
    last = note.read_text().split() if note.exists() else "none"
    assert done.returncode == 0, f"exit {done.returncode} at fuzzing.case({', '.join(last)})\n{done.stdout}\n{done.stderr[-4000:]}"
    print(done.stdout)
    assert int(done.stdout.split()[0]) > 20 * seconds, "hardly any case was tried"
    assert "'read'" in done.stdout
    assert "'DamagedFileError'" in done.stdout


def test_damaged_files_give_clean_errors(tmp_path):
    run(tmp_path, 12, 11)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [21])
def test_many_damaged_files_give_clean_errors(tmp_path, seed):
    run(tmp_path, 100, seed)


def test_a_case_can_be_made_again_by_its_number():
    assert fuzzing.case(1, 7) == fuzzing.case(1, 7)
    assert fuzzing.case(1, 7) != fuzzing.case(1, 8)


def test_the_corpus_is_sound(tmp_path):
    kinds = {path.suffix for path in fuzzing.corpus()}
    assert kinds == {".h5", ".keras", ".json"}
    failed = []
    for path in fuzzing.corpus():
        try:
            fuzzing.read_all(path.suffix, path.read_bytes(), tmp_path)
        except (FileError, ConfigError) as error:
            failed.append((path.name, str(error)))
    # weights-only files of Keras 3 have another layout
    assert [name for name, _ in failed if not name.endswith(".weights.h5")] == []
    assert all("without weights of Keras" in text for _, text in failed)


def test_a_heap_whose_free_list_is_a_circle_is_refused(tmp_path):
    """The HDF5 library follows it for ever."""
    kind, content = fuzzing.case(21, 28337)
    assert kind == ".h5"
    path = tmp_path / "damaged.h5"
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(FileError, match=r"the free list of the heap of names at byte .* never ends"), hdf5.open_safely(source):
            pass
