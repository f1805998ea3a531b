"""Files are whole or absent: after errors, interrupts, full disks and kills."""

from __future__ import annotations

import csv
import errno
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from torchkeras.utils import atomic
from torchkeras.utils.atomic import LineAppender, atomic_hdf5, atomic_text, atomic_write

ROOT = Path(__file__).parent.parent.parent


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def run(program: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def test_a_new_file_appears_at_the_end_with_the_usual_permissions(tmp_path):
    path = tmp_path / "model.bin"
    umask = os.umask(0o027)
    try:
        with atomic_write(path) as file:
            file.write(b"content")
            assert not path.exists()
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["model.bin"]


def test_an_old_file_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    path.chmod(0o604)
    with atomic_write(str(path), "w+b") as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "model.bin", tmp_path / "latest.bin"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "there") == ["model.bin"]


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("opened", [atomic_write, atomic_text, atomic_hdf5])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure, opened):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(failure)), opened(path) as file:
        if opened is atomic_hdf5:
            file["x"] = np.ones(1000)
        else:
            file.write("part" if opened is atomic_text else b"part")
        raise failure
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model.bin"]


def test_text_is_utf8_with_the_line_breaks_given(tmp_path):
    with atomic_text(tmp_path / "a.txt", newline="\r\n") as file:
        file.write("größe\n")
    assert (tmp_path / "a.txt").read_bytes() == "größe\r\n".encode()


def test_an_unknown_encoding_leaves_nothing_behind(tmp_path):
    with pytest.raises(LookupError, match="nonsense"), atomic_text(tmp_path / "a.txt", encoding="nonsense"):
        pass
    assert names(tmp_path) == []


def test_a_long_name_has_a_short_temporary_name(tmp_path):
    path = tmp_path / ("ä" * 125 + ".h5")
    with atomic_write(path) as file:
        file.write(b"x")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("mode", ["a", "r", "ab", "x"])
def test_modes_that_cannot_be_atomic_are_refused(tmp_path, mode):
    with pytest.raises(ValueError, match=f"but got '{mode}'"), atomic_write(tmp_path / "a", mode):
        pass


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder '.*missing' does not exist.*model\.h5"), atomic_write(tmp_path / "missing" / "model.h5"):
        pass


@pytest.mark.parametrize("path", ["", "new/"])
def test_a_folder_is_no_place_for_a_file(tmp_path, path):
    with pytest.raises(IsADirectoryError, match="it is a folder"), atomic_write(f"{tmp_path}/{path}"):
        pass


def test_a_pipe_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"not a regular file.*pipe"), atomic_write(tmp_path / "pipe"):
        pass


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    def refuse(*args: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match=r"no permission to create files in .*model\.h5"), atomic_write(tmp_path / "model.h5"):
        pass


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "model.h5"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(PermissionError, match=r"read-only for this user.*model\.h5"), atomic_write(path):
        pass
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("opened", [atomic_write, atomic_hdf5])
def test_a_disk_that_is_full_at_the_end_leaves_the_old_file(tmp_path, monkeypatch, call, opened):
    path = tmp_path / "model.h5"
    path.write_bytes(b"old")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, call, full)
    with pytest.raises(OSError, match="No space left"), opened(path):
        pass
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model.h5"]


@pytest.mark.parametrize("kind", ["bytes", "text", "hdf5", "many small arrays"])
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, kind):
    path = tmp_path / "model.h5"
    path.write_bytes(b"old")
    done = run(
        """
        import resource, sys
        import numpy as np
        from torchkeras.utils.atomic import atomic_hdf5, atomic_text, atomic_write
        path, kind = sys.argv[1:]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # bytes: from there on, writes fail
        try:
            if kind == "bytes":
                with atomic_write(path) as file:
                    file.write(bytes(1_000_000))
            elif kind == "text":
                with atomic_text(path) as file:
                    for _ in range(100_000):
                        file.write("a line of text\\n")
            else:
                with atomic_hdf5(path) as file:
                    if kind == "hdf5":
                        file["x"] = np.ones(1_000_000)
                    for number in range(500):
                        file[f"a/{number}/b"] = np.ones(100)
        except OSError as error:
            print("refused", error)
        """,
        path,
        kind,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model.h5"]


def test_killed_writers_leave_whole_files(tmp_path):
    """Sixty processes that write without pause are killed at random moments."""
    done = run(
        """
        import os, random, signal, sys, time
        from pathlib import Path
        import h5py, numpy as np
        from torchkeras.utils.atomic import atomic_hdf5, atomic_write

        folder = Path(sys.argv[1])
        plain, hdf5 = folder / "model.bin", folder / "model.h5"

        def write(number):
            with atomic_write(plain) as file:
                for _ in range(20):
                    file.write(bytes([number % 256]) * 50_000)
            with atomic_hdf5(hdf5) as file:
                for index in range(10):
                    file[f"layer_{index}/kernel"] = np.full(2_000, number)

        def write_without_end(number):
            while True:
                number += 1
                write(number)

        started = time.perf_counter()
        for number in range(3):
            write(number)
        once = (time.perf_counter() - started) / 3  # how long a writer takes on this disk

        random.seed(7)
        seen = set()
        for attempt in range(60):
            child = os.fork()
            if child == 0:
                write_without_end(attempt)
            time.sleep(random.uniform(0.2, 3) * once)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if plain.exists():
                content = plain.read_bytes()
                assert len(content) == 1_000_000 and len(set(content)) == 1, f"torn at attempt {attempt}"
                seen.add(content[0])
            if hdf5.exists():
                with h5py.File(hdf5) as file:
                    values = {value for layer in file.values() for value in np.unique(layer["kernel"][()])}
                    assert len(file) == 10 and len(values) == 1, f"torn at attempt {attempt}"
        left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
        print(len(seen), len(left))
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    versions, left = map(int, done.stdout.split())
    assert versions > 1, "no writer came to an end before it was killed; the test proves nothing"
    assert left > 0, "no writer was killed while it wrote; the test proves nothing"


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    path = tmp_path / "model.h5"
    left, fresh, other = (tmp_path / f".{name}.0123456789ab.tmp" for name in ("model.h5", "model.h5", "other.h5"))
    fresh = tmp_path / ".model.h5.ba9876543210.tmp"
    for file in (left, fresh, other):
        file.write_bytes(b"part")
    past = time.time() - 3600
    for file in (left, other):
        os.utime(file, (past, past))
    with atomic_write(path):
        pass
    assert names(tmp_path) == sorted([fresh.name, other.name, path.name])


def test_the_file_of_a_living_writer_is_not_removed(tmp_path):
    path = tmp_path / "model.h5"
    past = time.time() - 3600
    with atomic_write(path) as slow:
        slow.write(b"slow")
        os.utime(slow.fileno(), (past, past))
        with atomic_write(path) as quick:
            quick.write(b"quick")
        assert path.read_bytes() == b"quick"
    assert path.read_bytes() == b"slow"


def test_hdf5_is_written_like_any_file(tmp_path):
    with atomic_hdf5(tmp_path / "a.h5") as file:
        file["x"] = np.arange(5)
        file.attrs["name"] = "model"
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"], np.arange(5))
        assert file.attrs["name"] == "model"


def test_rows_are_appended_and_headers_known(tmp_path):
    path = tmp_path / "log.csv"
    with LineAppender(path) as log:
        assert log.empty
        writer = csv.writer(log, lineterminator="\n")
        writer.writerow(["epoch", "loss"])
        assert not log.empty
    with LineAppender(path) as log:
        assert not log.empty
        csv.writer(log, lineterminator="\n").writerow([0, 0.5])
    assert path.read_text() == "epoch,loss\n0,0.5\n"
    with LineAppender(path, append=False) as log:
        assert log.empty
    assert path.read_text() == ""


@pytest.mark.parametrize("tail", [b"2,0.", b"x" * 200_000])
def test_a_line_that_was_cut_off_is_removed(tmp_path, tail):
    path = tmp_path / "log.csv"
    path.write_bytes(b"0,0.5\n1,0.25\n" + tail)
    with LineAppender(path) as log:
        log.write("2,0.125\n")
    assert path.read_text() == "0,0.5\n1,0.25\n2,0.125\n"


def test_a_file_of_one_unfinished_line_becomes_empty(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"y" * 70_000)
    with LineAppender(path) as log:
        assert log.empty


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_row_that_cannot_be_written_is_undone(tmp_path, monkeypatch, call):
    path = tmp_path / "log.csv"
    with LineAppender(path) as log:
        log.write("0,0.5\n")
        genuine = os.write
        if call == "write":
            monkeypatch.setattr(atomic.os, "write", lambda descriptor, data: genuine(descriptor, data[:3]))
        else:
            monkeypatch.setattr(atomic.os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            log.write("1,0.25\n")
        monkeypatch.undo()
        assert path.read_text() == "0,0.5\n"
        log.write("1,0.25\n")
    assert path.read_text() == "0,0.5\n1,0.25\n"


def test_half_lines_and_closed_logs_are_refused(tmp_path):
    log = LineAppender(tmp_path / "log.csv")
    with pytest.raises(ValueError, match=r"whole lines.*got '1,2'"):
        log.write("1,2")
    log.close()
    log.close()
    with pytest.raises(ValueError, match=r"log\.csv' is closed"):
        log.write("1,2\n")


def test_killed_writers_leave_whole_rows(tmp_path):
    done = run(
        """
        import os, random, signal, sys, time
        from torchkeras.utils.atomic import LineAppender
        path = sys.argv[1]
        random.seed(3)
        for attempt in range(30):
            child = os.fork()
            if child == 0:
                with LineAppender(path, sync=False) as log:
                    number = 0
                    while True:
                        log.write(f"{number}," + "x" * 3000 + "\\n")
                        number += 1
            time.sleep(random.uniform(0.005, 0.02))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            with LineAppender(path):
                pass
            rows = open(path).read().splitlines()
            assert all(len(row.partition(",")[2]) == 3000 for row in rows), f"torn at attempt {attempt}"
        print(len(rows))
        """,
        tmp_path / "log.csv",
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
