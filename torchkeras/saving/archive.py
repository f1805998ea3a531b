"""The gate for `.keras` archives: a fixed list of members, capped sizes, nothing is ever extracted to disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from torchkeras.saving.errors import ContentError, DamagedFileError, LimitError, UnsafeFileError
from torchkeras.saving.files import PathLike, check_file, wrong_kind
from torchkeras.saving.limits import MIB, limits, readable
from torchkeras.utils.atomic import atomic_write

if TYPE_CHECKING:
    import h5py

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMBERS = (METADATA, CONFIG, WEIGHTS)

_DIRECTORY_BYTES = MIB  # a list of three members has a few hundred bytes
_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LIBRARY_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    KeyError,
    IndexError,
    ArithmeticError,
)


class Archive:
    """An open `.keras` file whose list of members has passed the gate; made by `open_archive`."""

    def __init__(self, name: str, archive: zipfile.ZipFile, size: int) -> None:
        self.name = name
        self._archive = archive
        self._size = size
        self._members = {member.filename: member for member in archive.infolist()}

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def size(self, member: str) -> int:
        """Unpacked length of a member in bytes."""
        return self._members[member].file_size

    def read(self, member: str, most: int | None = None) -> bytes:
        """The bytes of a member.

        Args:
            member: One of `MEMBERS`.
            most: Its largest length; the limits `json_bytes` or `member_bytes` where it is left out.

        Raises:
            ContentError: the archive lacks it.
            LimitError: it is longer.
            DamagedFileError: it cannot be unpacked, or its checksum is wrong.
        """
        info = self._members.get(member)
        if info is None:
            raise ContentError(f"{self.name} lacks {member!r}; a .keras file holds {', '.join(MEMBERS)}.")
        if most is None:
            most = limits().member_bytes if member == WEIGHTS else limits().json_bytes
        if info.file_size > most:
            raise LimitError(f"{self.name}: {member} is {readable(info.file_size)} long, more than the limit of {readable(most)}.")
        try:
            with self._archive.open(info) as file:
                data = file.read(info.file_size + 1)
        except _LIBRARY_ERRORS as error:
            raise DamagedFileError(f"{self.name}: {member} is damaged ({error}).") from error
        if len(data) != info.file_size:
            raise DamagedFileError(f"{self.name}: {member} has {len(data):,} bytes, but {info.file_size:,} are declared.")
        return data


@contextlib.contextmanager
def open_archive(path: PathLike) -> Iterator[Archive]:
    """A `.keras` file, open inside a `with` block.

    Args:
        path: The file.

    Raises:
        MissingFileError: there is no such file.
        DamagedFileError: it is no zip archive, or is cut short or damaged.
        UnsafeFileError: it has members that a `.keras` file never has: other names, paths, links, two of one name.
        LimitError: a member would unpack to far more than is stored.
    """
    text = check_file(path)
    name, size = repr(text), os.path.getsize(text)
    with open(text, "rb") as file:
        start = file.read(64)
        file.seek(0)
        capped = _CappedReads(file)
        try:
            archive = zipfile.ZipFile(capped)  # type: ignore[arg-type]
        except _TooMuch:
            raise LimitError(f"{name}: its list of members is longer than {readable(_DIRECTORY_BYTES)}; a .keras file has three.") from None
        except _LIBRARY_ERRORS as error:
            raise wrong_kind(name, "a .keras archive", b"PK", start, size, str(error)) from error
        capped.most = None
        with archive:
            _check_members(name, archive, size)
            yield Archive(name, archive, size)


def write_archive(path: PathLike, config: str, metadata: str, write_weights: Callable[[h5py.File], None]) -> None:
    """Write a `.keras` file, whole or not at all.

    Args:
        path: The file.
        config: The architecture as JSON.
        metadata: Versions and date as JSON.
        write_weights: Fills the open HDF5 file that becomes `model.weights.h5`.

    Raises:
        OSError: as `atomic_write`.
    """
    import h5py

    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for member, text in ((METADATA, metadata), (CONFIG, config)):
            archive.writestr(_entry(member), text)
        # HDF5 goes back and forth in its file, a zip archive only forth
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))) as weights:
            with h5py.File(weights, "w") as hdf5:
                write_weights(hdf5)
            weights.seek(0)
            with archive.open(_entry(WEIGHTS), "w", force_zip64=True) as member_file:
                shutil.copyfileobj(weights, member_file, MIB)


class _TooMuch(Exception):
    """A single read asks for more than a list of members can have."""


class _CappedReads:
    """A file that, while `most` is set, refuses reads of more bytes: zipfile reads a list of members at one go."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.most: int | None = _DIRECTORY_BYTES

    def read(self, size: int = -1) -> bytes:
        if self.most is None:
            return self._file.read(size)
        data = self._file.read(self.most + 1 if size < 0 else min(size, self.most + 1))
        if len(data) > self.most:
            raise _TooMuch
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _entry(member: str) -> zipfile.ZipInfo:
    """A member with a fixed date, so that equal models give equal files."""
    entry = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o600 << 16
    return entry


def _check_members(name: str, archive: zipfile.ZipFile, size: int) -> None:
    seen: set[str] = set()
    stored = 0
    for member in archive.infolist():
        _check_member(name, member)
        if member.filename in seen:
            raise UnsafeFileError(f"{name} has two members called {member.filename!r}; which one is meant is not clear.")
        seen.add(member.filename)
        stored += member.compress_size
    if stored > size:
        raise UnsafeFileError(f"{name}: its members overlap ({readable(stored)} packed in a file of {readable(size)}).")


def _check_member(name: str, member: zipfile.ZipInfo) -> None:
    if member.filename not in MEMBERS:
        what = ""
        if member.filename.startswith(("/", "\\")) or ".." in member.filename or member.filename[1:2] == ":":
            what = " Its name leads out of the archive."
        elif member.filename.startswith("assets/"):
            what = " Assets (vocabularies of text layers) are not read."
        elif member.filename in ("data.pkl", "archive/data.pkl") or member.filename.endswith("/data.pkl"):
            what = " This looks like a file written by torch.save."
        raise UnsafeFileError(f"{name} has the member {member.filename!r}, but a .keras file holds only {', '.join(MEMBERS)}.{what}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a symbolic link" if kind == stat.S_IFLNK else "no regular file"
        raise UnsafeFileError(f"{name}: its member {member.filename!r} is {what}.")
    if member.flag_bits & 0x1:
        raise UnsafeFileError(f"{name}: its member {member.filename!r} is encrypted.")
    if member.compress_type not in _PLAIN_METHODS:
        raise UnsafeFileError(
            f"{name}: its member {member.filename!r} is packed by method {member.compress_type}; only stored and deflated ones are read."
        )
    if member.file_size > max(MIB, member.compress_size * limits().member_expansion):
        raise LimitError(
            f"{name}: {member.filename} would unpack from {readable(member.compress_size)} to {readable(member.file_size)}, "
            f"more than the limit member_expansion={limits().member_expansion} allows."
        )
