"""Files that are whole or absent: written beside the old one, forced to disk, then put in its place.

A reader sees the old file or the new one, never a part, whether the writer fails, is interrupted or is killed.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

try:
    import fcntl
except ImportError:  # not a POSIX system: leftovers of killed writers stay
    fcntl = None  # type: ignore[assignment]

PathLike = str | os.PathLike[str]

# A file younger than this may belong to a writer that has not locked it yet.
_LEFTOVER_AGE = 60.0  # seconds


@contextlib.contextmanager
def atomic_write(path: PathLike, mode: str = "wb", *, encoding: str | None = None, newline: str | None = None) -> Iterator[IO[Any]]:
    """Open a file for writing that appears under `path` only when the `with` block ends well.

    On any exception, Ctrl-C included, the old file stays as it was and nothing is left behind. A process killed in
    between leaves a hidden `.name.*.tmp` file, which the next write to the same path removes. The permissions of an old file are kept,
    and a symbolic link stays a link to the file that is replaced.

    Args:
        path: The file to write.
        mode: "wb" or "w+b" for bytes, "w" or "w+" for text.
        encoding: Of text; UTF-8 where it is left out.
        newline: Of text, as in `open`.

    Raises:
        ValueError: another mode.
        OSError: the folder is missing (FileNotFoundError), the path is a folder (IsADirectoryError), may not be written
            (PermissionError), or the disk is full. The message names the path.
    """
    if mode not in ("wb", "w+b", "wb+", "w", "w+"):
        raise ValueError(f"atomic_write opens with mode 'wb', 'w+b', 'w' or 'w+', but got {mode!r}. A file grows by LineAppender.")
    target = _target(path)
    before = _permissions_of(target)
    _remove_leftovers(target)
    if "b" not in mode:
        encoding = codecs.lookup(encoding or "utf-8").name
    temporary = target.with_name(f".{_short(target.name)}.{secrets.token_hex(6)}.tmp")
    try:
        descriptor = _create(temporary, path)
        with open(descriptor, mode, encoding=encoding, newline=newline) as file:
            _lock(descriptor)
            if before is not None:
                _restore_permissions(descriptor, before)
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target.parent)


@contextlib.contextmanager
def atomic_text(path: PathLike, encoding: str = "utf-8", newline: str | None = None) -> Iterator[IO[str]]:
    """`atomic_write` for text.

    Args:
        path: The file to write.
        encoding: Of the text.
        newline: As in `open`.

    Raises:
        OSError: as `atomic_write`.
    """
    with atomic_write(path, "w", encoding=encoding, newline=newline) as file:
        yield file


@contextlib.contextmanager
def atomic_hdf5(path: PathLike) -> Iterator[h5py.File]:
    """An empty HDF5 file that appears under `path` only when the `with` block ends well.

    Args:
        path: The file to write.

    Raises:
        OSError: as `atomic_write`.
    """
    import h5py

    # Through a Python file HDF5 reports a full disk as an exception; with its own driver it cannot close the file any more.
    with atomic_write(path, "w+b") as file, _named_errors(path), h5py.File(file, "w") as hdf5:
        yield hdf5


@contextlib.contextmanager
def _named_errors(path: PathLike) -> Iterator[None]:
    """Turn HDF5's own complaints about failed writes into OSErrors that name the file."""
    try:
        yield
    except RuntimeError as error:
        if "Can't decrement id ref count" in str(error) or "write failed" in str(error) or "Unable to" in str(error):
            raise OSError(errno.EIO, f"The HDF5 file could not be written: {error}", os.fspath(path)) from error
        raise


class LineAppender:
    """Text file that grows by whole lines, such as the rows of a CSV log.

    Each `write` is one system call; a write that fails is undone, and a last line that a killed process left
    unfinished is cut off when the file is opened. `csv.writer(appender)` works.

    Args:
        path: The file.
        append: Go on after the lines that are there; `False` starts with an empty file.
        encoding: Of the text.
        sync: Force each line to disk, so that it also survives a loss of power.

    Raises:
        OSError: as `atomic_write`.
    """

    _descriptor = -1

    def __init__(self, path: PathLike, *, append: bool = True, encoding: str = "utf-8", sync: bool = True) -> None:
        target = _target(path)
        _permissions_of(target)
        self.path = target
        self.encoding = encoding
        self.sync = sync
        if not append:
            with atomic_write(target):
                pass
        new = not target.exists()
        self._descriptor = os.open(target, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)
        if new:
            _sync_folder(target.parent)
        self._size = _whole_lines(self._descriptor)
        os.ftruncate(self._descriptor, self._size)

    @property
    def empty(self) -> bool:
        """Whether the file has no line yet, so that a header is still to be written."""
        return self._size == 0

    @property
    def size(self) -> int:
        """Bytes of the lines that are there."""
        return self._size

    def cut(self, size: int) -> None:
        """Drop the lines beyond a size that the file once had; a shorter file stays as it is."""
        if size < self._size:
            os.ftruncate(self._descriptor, size)
            self._size = size

    def write(self, text: str) -> int:
        """Append `text`, one or more whole lines.

        Raises:
            ValueError: the text does not end with a line break, or the file is closed.
            OSError: it could not be written; the file is as it was before.
        """
        if self._descriptor < 0:
            raise ValueError(f"LineAppender for {str(self.path)!r} is closed.")
        if not text.endswith("\n"):
            raise ValueError(f"LineAppender takes whole lines that end with a line break, but got {text[-40:]!r}.")
        data = text.encode(self.encoding)
        try:
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            if os.write(self._descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            if self.sync:
                os.fsync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        return len(text)

    def flush(self) -> None:
        """Nothing to do: each line is written at once."""

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> LineAppender:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _whole_lines(descriptor: int) -> int:
    """Length of the file up to and including its last line break."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - 65536)
        os.lseek(descriptor, start, os.SEEK_SET)
        found = os.read(descriptor, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _target(path: PathLike) -> Path:
    """The file that `path` leads to, checked: its folder exists and it is no folder itself."""
    text = os.fspath(path)
    target = Path(os.path.realpath(text))
    if text.endswith(("/", os.sep)) or target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Cannot write a file there: it is a folder. Give a file name in it", text)
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"Cannot write: the folder {str(target.parent)!r} does not exist. Make it first", text)
    return target


def _permissions_of(target: Path) -> os.stat_result | None:
    """State of the old file, or `None` where there is none."""
    try:
        before = os.stat(target)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, "Cannot write there: it is a device or a pipe, not a regular file", str(target))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "Cannot replace the file: it is read-only for this user", str(target))
    return before


def _create(temporary: Path, path: PathLike) -> int:
    """A new, empty file beside the target."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(temporary, flags, 0o666)
    except PermissionError:
        message = f"Cannot write: no permission to create files in {str(temporary.parent)!r}"
        raise PermissionError(errno.EACCES, message, os.fspath(path)) from None


def _restore_permissions(descriptor: int, before: os.stat_result) -> None:
    with contextlib.suppress(OSError, AttributeError):  # another user's file, or a system without owners
        os.fchown(descriptor, -1, before.st_gid)
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _short(name: str) -> str:
    """`name`, cut so that the temporary name stays below the 255 bytes that file systems allow."""
    return os.fsdecode(os.fsencode(name)[:200])


def _lock(descriptor: int) -> None:
    """Mark the file as one whose writer lives; the system takes the mark away when the process ends."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_leftovers(target: Path) -> None:
    """Delete temporary files of the same target whose writers were killed."""
    remove_leftovers(target.parent, re.compile(re.escape(f".{_short(target.name)}.") + r"[0-9a-f]{12}\.tmp"))


def remove_leftovers(folder: Path, pattern: re.Pattern[str], age: float = _LEFTOVER_AGE) -> None:
    """Delete temporary files whose writers were killed.

    Args:
        folder: Where they are.
        pattern: Their whole names.
        age: Younger ones are left alone, seconds.
    """
    if fcntl is None:
        return
    names = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [entry.path for entry in entries if pattern.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(descriptor).st_mtime >= age:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name)
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Force the folder's new entry to disk, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows, or a folder that may be written but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
