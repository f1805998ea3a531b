"""Backups are whole or absent: kills within writes, full disks, damaged files."""

from __future__ import annotations

import errno
import os
import pickletools
import random
import signal
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.resuming.killing import Kill, Killer, check_same, run
from tests.training.resuming.programs import arrays
from torchkeras.callbacks import BackupAndRestore
from torchkeras.training.resuming import files
from torchkeras.training.resuming.files import DamagedState, read_state, write_state


def killed(folder: Path, batch: int = 9, **options: Any) -> list[Path]:
    """The backups of a killed run, oldest first."""
    with pytest.raises(Kill):
        run(arrays, folder, [BackupAndRestore(folder / "backup", 2, **options), Killer(batch)])
    return sorted((folder / "backup").iterdir())


@pytest.fixture
def whole(tmp_path) -> dict[str, Any]:
    return run(arrays, tmp_path)


def go_on(folder: Path) -> dict[str, Any]:
    return run(arrays, folder, [BackupAndRestore(folder / "backup", 2)])


def test_the_last_k_are_kept(tmp_path):
    assert [path.name for path in killed(tmp_path, keep=3)] == ["state-000002.pt", "state-000003.pt", "state-000004.pt"]


def test_one_is_enough(tmp_path):
    assert [path.name for path in killed(tmp_path, keep=1)] == ["state-000004.pt"]


def test_a_double_checkpoint_keeps_two(tmp_path):
    assert len(killed(tmp_path, keep=1, double_checkpoint=True)) == 2


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    data[largest.header_offset + 200] ^= 1  # one bit of a tensor
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, path)


def pickled(path: Path) -> None:
    torch.save({"format": "torchkeras state", "version": 1, "model": Kill()}, path)


def hollow(path: Path) -> None:
    torch.save({"format": "torchkeras state", "version": 1, "weights": []}, path)


@pytest.mark.parametrize("damage", [flip, cut, empty, other, pickled, hollow])
def test_a_damaged_newest_backup_falls_back_to_the_one_before(tmp_path, whole, damage):
    older, newest = killed(tmp_path)
    damage(newest)
    with pytest.warns(RuntimeWarning, match=r"goes on from an older backup, .*state-000003\.pt: .*state-000004\.pt") as caught:
        found = go_on(tmp_path)
    assert len(caught) == 1
    check_same(found, whole)
    assert not older.exists() and not newest.exists()


def test_without_a_good_one_it_begins_anew(tmp_path, whole):
    for path in killed(tmp_path):
        cut(path)
    with pytest.warns(RuntimeWarning, match="begins anew, since no backup can be read"):
        check_same(go_on(tmp_path), whole)


def test_a_damaged_one_is_the_first_to_go(tmp_path):
    _, newest = killed(tmp_path)
    cut(newest)
    with pytest.warns(RuntimeWarning, match="older backup"), pytest.raises(Kill):
        run(arrays, tmp_path, [BackupAndRestore(tmp_path / "backup", 2), Killer(3)])
    assert sorted(path.name for path in (tmp_path / "backup").iterdir()) == ["state-000003.pt", "state-000005.pt"]


class FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 700, 4000])
def test_a_full_disk_leaves_older_backups_and_the_training_alone(tmp_path, whole, monkeypatch, room):
    disk: dict[str, Any] = {"free": 2}  # backups that fit
    save = torch.save

    def limited(state: Any, file: Any) -> None:
        disk["free"] -= 1
        save(state, file if disk["free"] >= 0 else FullDisk(file, room))

    monkeypatch.setattr(files.torch, "save", limited)
    with pytest.warns(RuntimeWarning, match=r"could not write to .*No space left on device.*Training goes on") as caught:
        with_backups = run(arrays, tmp_path, [BackupAndRestore(tmp_path / "backup", 2, delete_checkpoint=False)])
    assert len(caught) == 1
    check_same(with_backups, whole)
    kept = sorted((tmp_path / "backup").iterdir())
    assert [path.name for path in kept] == ["state-000001.pt", "state-000002.pt"]
    monkeypatch.undo()
    check_same(go_on(tmp_path), whole)


def test_a_writer_that_is_killed_leaves_the_old_backups(tmp_path):
    """Children that write a state and are killed at a random moment: what is there can be read, and is one of the states."""
    source = random.Random(3)
    state = {"weights": torch.arange(300_000.0), "ranks": [], "run": None}
    write_state(tmp_path / "state-000001.pt", {**state, "number": 0})
    for number in range(1, 31):
        child = os.fork()
        if not child:
            try:
                write_state(tmp_path / "state-000001.pt", {**state, "number": number})
            finally:
                os._exit(0)
        signal.sigtimedwait([], source.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = read_state(tmp_path / "state-000001.pt")
        assert 0 <= found["number"] <= number
        assert torch.equal(found["weights"], state["weights"])
    backup = BackupAndRestore(tmp_path)
    assert backup.newest_backup() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["state-000001.pt"]  # what the killed left is gone


def test_a_backup_is_plain_data(tmp_path):
    newest = killed(tmp_path)[-1]
    with zipfile.ZipFile(newest) as archive:
        data = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    names = {argument for opcode, argument, _ in pickletools.genops(data) if opcode.name == "GLOBAL"}
    assert {name.split(".")[0].split()[0] for name in names} <= {"torch", "collections", "builtins"}
    state = torch.load(newest, weights_only=True)
    assert state["format"] == "torchkeras state" and state["run"]["epoch"] == 2 and state["run"]["batch"] == 3


def test_a_newer_format_is_told(tmp_path):
    torch.save({"format": files.FORMAT, "version": 99}, tmp_path / "a.pt")
    with pytest.raises(DamagedState, match="has the version 99 of the format, but 1 is read here"):
        read_state(tmp_path / "a.pt")


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "none.pt")
    with pytest.raises(IsADirectoryError):
        read_state(tmp_path)


@pytest.mark.parametrize("save_freq", [0, -1, True, "batch", 1.5])
def test_another_frequency_is_refused(tmp_path, save_freq):
    with pytest.raises(ValueError, match="takes save_freq='epoch' or a number of batches"):
        BackupAndRestore(tmp_path, save_freq)


def test_none_to_keep_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keeps at least 1 backup, but got keep=0"):
        BackupAndRestore(tmp_path, keep=0)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        run(arrays, tmp_path, [BackupAndRestore(tmp_path / "file" / "backup")])


def test_bits_and_cuts_anywhere_are_noticed(tmp_path):
    newest = killed(tmp_path)[-1]
    good, state = newest.read_bytes(), read_state(newest)
    source = np.random.RandomState(0)
    for number in range(200):
        data = bytearray(good)
        place = int(source.randint(len(data)))
        if number % 4:
            data[place] ^= 1 << int(source.randint(8))
        else:
            del data[place:]
        newest.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of zipfile, about names
                found = read_state(newest)
        except DamagedState:
            continue
        assert str(found) == str(state)  # a bit that nobody reads, such as one of a date
