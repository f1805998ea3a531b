"""Unpacking archives that come from elsewhere: regular files below the target, and nothing else.

An archive is looked through before anything is written. A name that leads outside, a link, a device, or a size out of all
proportion refuses the whole archive. Files are unpacked into a new folder and moved into place when all of them are good.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import functools
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

PathLike = str | os.PathLike[str]

MAX_MEMBERS: Final = 2_000_000
MAX_NAME: Final = 1024  # bytes of a whole name; 255 for each part, as file systems have it
RATIO: Final = 200  # unpacked size over the archive's, beyond ALLOWANCE
ALLOWANCE: Final = 256 * 2**20  # bytes that may come out of an archive of any size
CHUNK: Final = 2**20
LONGEST_READ: Final = 64 * 2**20  # no header of an archive is longer: a larger figure in it is a lie

# what the standard library's readers raise on bytes that are no archive
_BROKEN: Final[tuple[type[BaseException], ...]] = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    MemoryError,
)
_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)  # no fault of the archive


class ArchiveError(ValueError):
    """An archive that is broken, or that holds what may not be unpacked."""


class Member(NamedTuple):
    """One entry of an archive, already checked."""

    parts: tuple[str, ...]
    is_folder: bool
    size: int
    open: Callable[[], IO[bytes]]


def extract_archive(file_path: PathLike, path: PathLike = ".", archive_format: str | Iterable[str] | None = "auto") -> bool:
    """Unpack a tar (also .gz, .bz2, .xz) or zip archive.

    Args:
        file_path: The archive.
        path: The folder that the files go to; files of the same name are replaced.
        archive_format: "tar", "zip", a list of these, "auto" for both, or `None` for none.

    Returns:
        Whether the file was an archive of one of these formats.

    Raises:
        ArchiveError: broken, or with a link, a device, a name that leads outside, or an unlikely size. Nothing was written then.
        ValueError: another format.

    Source: tf.keras 2.4.0 `_extract_archive`, whose weaknesses are CVE-2024-55459, CVE-2025-12060 and CVE-2025-12638.
    """
    formats = [] if archive_format is None else ["tar", "zip"] if archive_format == "auto" else archive_format
    for name in [formats] if isinstance(formats, str) else formats:
        if name not in _READERS:
            raise ValueError(f"extract_archive knows the formats {sorted(_READERS)}, 'auto' and None, but got {name!r}.")
        if _READERS[name].recognises(Path(file_path)):
            _extract(Path(file_path), Path(path), _READERS[name].members)
            return True
    return False


def _extract(file_path: Path, target: Path, members: Callable[[Path], contextlib.AbstractContextManager[list[Member]]]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=target) as unpacked:
        try:
            with members(file_path) as found:
                for member in found:
                    _write(member, Path(unpacked))
        except ArchiveError:
            raise
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            raise ArchiveError(f"The archive {file_path} is broken: {error}. Nothing of it was unpacked.") from error
        _move_into(Path(unpacked), target)


def _write(member: Member, folder: Path) -> None:
    place = folder.joinpath(*member.parts)
    if member.is_folder:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    written = 0
    with member.open() as source, open(place, "xb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > member.size:
                raise ArchiveError(f"The archive says that {'/'.join(member.parts)} has {member.size} bytes, but more came out of it.")
            file.write(chunk)
    if written < member.size:
        raise ArchiveError(f"The archive says that {'/'.join(member.parts)} has {member.size} bytes, but only {written} came out of it.")


def _move_into(source: Path, target: Path) -> None:
    """Move every entry of `source` into `target`, into folders that are there already."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir() and not place.is_symlink():
            _move_into(entry, place)
        elif place.is_symlink() or (place.exists() and place.is_dir() != entry.is_dir()):
            raise ArchiveError(f"The archive cannot be unpacked over {place}, which is of another kind. Move that away first.")
        else:
            os.replace(entry, place)


class _Census:
    """Looks at each entry's name and size before anything is unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.limit = path.stat().st_size * RATIO + ALLOWANCE
        self.total = 0
        self.count = 0

    def refuse(self, name: str, why: str) -> ArchiveError:
        return ArchiveError(f"The archive {self.path} is refused: {name!r:.200} {why}. Nothing of it was unpacked.")

    def check(self, name: str, size: int) -> tuple[str, ...]:
        """The parts of a good name."""
        self.total += size
        self.count += 1
        if size < 0 or self.total > self.limit:
            raise self.refuse(
                name, f"brings its unpacked size to {self.total} bytes, out of all proportion to the archive's {self.path.stat().st_size}"
            )
        if self.count > MAX_MEMBERS:
            raise self.refuse(name, f"is entry number {self.count}, and {MAX_MEMBERS} are the most")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in (parts or ("",))[0]:
            raise self.refuse(name, "leads out of the folder")
        if "\0" in name or any(len(os.fsencode(part)) > 255 for part in parts) or len(os.fsencode(name)) > MAX_NAME:
            raise self.refuse(name, "is no name that a file can have")
        return parts


class _ShortReads:
    """A file that reads no more at a time than an archive's header may be long, whatever the header says."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        return self.file.read(LONGEST_READ if size is None or size < 0 else min(size, LONGEST_READ))


@contextlib.contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(path, "rb"))
        start = file.read(6)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            file = stack.enter_context(gzip.GzipFile(fileobj=file))
        elif start[:3] == b"BZh":
            file = stack.enter_context(bz2.BZ2File(file))
        elif start == b"\xfd7zXZ\x00":
            file = stack.enter_context(lzma.LZMAFile(file))
        yield stack.enter_context(tarfile.TarFile(fileobj=_ShortReads(file)))  # type: ignore[arg-type]


def _is_tar(path: Path) -> bool:
    try:
        with _open_tar(path):
            return True
    except _BROKEN:
        return False


@contextlib.contextmanager
def _tar_members(path: Path) -> Iterator[list[Member]]:
    census = _Census(path)
    with _open_tar(path) as archive:
        found = []
        for entry in archive:
            parts = census.check(entry.name, entry.size if entry.isreg() else 0)
            if not (entry.isreg() or entry.isdir()):
                raise census.refuse(entry.name, "is a link or a device, not a regular file")
            if parts:
                found.append(Member(parts, entry.isdir(), entry.size, functools.partial(archive.extractfile, entry)))  # type: ignore[arg-type]
        yield found


@contextlib.contextmanager
def _zip_members(path: Path) -> Iterator[list[Member]]:
    census = _Census(path)
    with zipfile.ZipFile(path) as archive:
        found = []
        for entry in archive.infolist():
            parts = census.check(entry.orig_filename, entry.file_size)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise census.refuse(entry.filename, "is a link or a device, not a regular file")
            if entry.flag_bits & 1:
                raise census.refuse(entry.filename, "is encrypted")
            if parts:
                found.append(Member(parts, entry.is_dir(), entry.file_size, functools.partial(archive.open, entry)))
        yield found


class _Reader(NamedTuple):
    recognises: Callable[[Path], bool]
    members: Callable[[Path], contextlib.AbstractContextManager[list[Member]]]


_READERS: Final = {"tar": _Reader(_is_tar, _tar_members), "zip": _Reader(zipfile.is_zipfile, _zip_members)}
