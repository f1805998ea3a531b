"""The one reader of HDF5 files: groups, arrays and attributes only through checks.

Every step of a path must be a hard link: soft and external links, external storage and virtual arrays make a file
read other files. Shapes, types and sizes are looked at before anything is read.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from torchkeras.saving import h5, hdf5_attributes, hdf5_texts
from torchkeras.saving.errors import ContentError, DamagedFileError, FileError, LimitError, UnsafeFileError
from torchkeras.saving.files import PathLike, check_file, wrong_kind
from torchkeras.saving.hdf5_arrays import SafeArray
from torchkeras.saving.hdf5_heaps import check_heaps
from torchkeras.saving.limits import Limits, limits

# What h5py and numpy raise at a damaged file; HDF5 itself has no error classes.
_LIBRARY_ERRORS = (RuntimeError, OSError, KeyError, ValueError, TypeError, IndexError, ArithmeticError, AttributeError, SystemError, struct.error)


class Source:
    """An open file and what its parts share: its name, its size, the limits, and how much was read.

    Args:
        name: Of the file, for messages.
        file: The open file.
        size: Its length in bytes.
        content: Its path, or the bytes themselves.
    """

    def __init__(self, name: str, file: Any, size: int, content: str | bytes) -> None:
        self.name = name
        self.file = file
        self.size = size
        self.content = content
        self.limits: Limits = limits()
        self.bytes_read = 0
        self.texts: hdf5_texts.Texts | None = None  # found when the first attribute needs them
        with self.guard("its head"):
            self.base = hdf5_texts.base_of(file, name)

    @contextlib.contextmanager
    def guard(self, where: str) -> Iterator[None]:
        """Turn the HDF5 library's errors into one that names the file and the place in it."""
        try:
            yield
        except FileError:
            raise
        except _LIBRARY_ERRORS as error:
            raise DamagedFileError(f"{self.name} is damaged at {where}: {_first_line(error)}") from error


@contextlib.contextmanager
def open_safely(source: PathLike | bytes | io.BytesIO, name: str | None = None) -> Iterator[SafeGroup]:
    """The root group of an HDF5 file, open inside a `with` block.

    Args:
        source: The path, or the bytes of a file, such as a member of an archive.
        name: What messages call it; the path where it is left out.

    Raises:
        MissingFileError: there is no such file.
        FolderError: it is a folder.
        NoPermissionError: it may not be read.
        DamagedFileError: it is no HDF5 file, or is cut short or damaged.
    """
    content: str | bytes
    handle: str | io.BytesIO
    if isinstance(source, (bytes, bytearray, io.BytesIO)):
        content = source.getvalue() if isinstance(source, io.BytesIO) else bytes(source)
        handle, size, name = io.BytesIO(content), len(content), name or "The HDF5 data"
    else:
        handle = content = check_file(source)
        size, name = os.path.getsize(content), name or repr(content)
    try:
        file = h5.h5py.File(handle, "r")
    except _LIBRARY_ERRORS as error:
        raise wrong_kind(name, "an HDF5 file", b"\x89HDF", _start(content), size, _first_line(error)) from error
    try:
        owner = Source(name, file, size, content)
        check_heaps(content, owner.base, name)
        with owner.guard("its root group"):
            root = h5.h5o.open(file.id, b"/")
        yield SafeGroup(owner, root, "/")
    finally:
        with contextlib.suppress(*_LIBRARY_ERRORS):  # closing a damaged file can complain once more
            file.close()


class SafeGroup:
    """A group of an open file; made by `open_safely`."""

    def __init__(self, source: Source, group: Any, path: str) -> None:
        self.source = source
        self.path = path
        self._group = group

    def __repr__(self) -> str:
        return f"<group {self.path} of {self.source.name}>"

    def keys(self) -> list[str]:
        """Names of the members, in the file's order of names."""
        with self.source.guard(self.path):
            count = self._group.get_num_objs()
            if count > self.source.limits.names:
                raise LimitError(
                    f"{self.source.name}: group {self.path} has {count:,} members, more than the limit names={self.source.limits.names:,}."
                )
            return [name.decode("utf-8", "surrogateescape") for name in self._group]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, path: str) -> bool:
        return self._open(path) is not None

    def get(self, path: str) -> SafeGroup | SafeArray | None:
        """The group or array at `path` below this group, or `None` where there is none.

        Raises:
            UnsafeFileError: a step of the path is no hard link, or the array lies outside the file.
        """
        found = self._open(path)
        where = self.path.rstrip("/") + "/" + path
        if found is None:
            return None
        if isinstance(found, h5.h5g.GroupID):
            return SafeGroup(self.source, found, where)
        if isinstance(found, h5.h5d.DatasetID):
            return SafeArray(self.source, found, where)
        raise UnsafeFileError(f"{self.source.name}: {where} is neither a group nor an array ({type(found).__name__}).")

    def group(self, path: str) -> SafeGroup:
        """The group at `path`.

        Raises:
            ContentError: there is none, or it is an array.
        """
        found = self._present(path)
        if not isinstance(found, SafeGroup):
            raise ContentError(f"{self.source.name}: {found.path} is an array, but a group is needed there.")
        return found

    def array(self, path: str) -> SafeArray:
        """The array at `path`, not yet read.

        Raises:
            ContentError: there is none, or it is a group.
        """
        found = self._present(path)
        if not isinstance(found, SafeArray):
            raise ContentError(f"{self.source.name}: {found.path} is a group, but an array is needed there.")
        return found

    def read(self, path: str, shape: tuple[int, ...] | None, kinds: str = "fiub") -> np.ndarray[Any, Any]:
        """Read the array at `path`, as `SafeArray.read`."""
        return self.array(path).read(shape, kinds)

    def walk(self, most: int | None = None) -> Iterator[SafeGroup | SafeArray]:
        """Every group and array below this one, parents first; a hard link back to a parent ends at the limit `depth`.

        Args:
            most: Stop with an error after so many; the limit `names` where it is left out.

        Raises:
            LimitError: there are more, or they are nested too deep.
            UnsafeFileError: a member is no hard link, or lies outside the file.
        """
        most = most or self.source.limits.names
        waiting: list[tuple[SafeGroup, str, int]] = [(self, name, 1) for name in reversed(self.keys())]
        while waiting:
            group, name, level = waiting.pop()
            most -= 1
            if most < 0 or level > self.source.limits.depth:
                raise LimitError(
                    f"{self.source.name}: {self.path} holds more groups and arrays, or deeper ones, than the limits names and depth allow."
                )
            member = group.get(name)
            if member is not None:
                yield member
            if isinstance(member, SafeGroup):
                waiting += [(member, below, level + 1) for below in reversed(member.keys())]

    def has_attribute(self, name: str) -> bool:
        """Whether the group has the attribute `name`, or its first piece `name0`."""
        with self.source.guard(self.path):
            return hdf5_attributes.exists(self._group, name) or hdf5_attributes.exists(self._group, f"{name}0")

    def attribute(self, name: str) -> Any:
        """The attribute `name`: text, a list of texts, a number or an array of numbers.

        Raises:
            ContentError: there is none.
            LimitError: it is larger than the limits allow.
        """
        with self.source.guard(f"attribute {name!r} of {self.path}"):
            return hdf5_attributes.read(self.source, self._group, self.path, name)

    def text(self, name: str) -> str:
        """The attribute `name`, which must be one text.

        Raises:
            ContentError: there is none, or it is something else.
        """
        value = self.attribute(name)
        if not isinstance(value, str):
            raise ContentError(f"{self.source.name}: attribute {name!r} of {self.path} should be a text, but is {type(value).__name__}.")
        return value

    def names(self, name: str) -> list[str]:
        """The attribute `name`, which must be a list of texts; Keras cuts long ones into `name0`, `name1`, ...

        Raises:
            ContentError: there is none, or it is something else.
        """
        with self.source.guard(f"attribute {name!r} of {self.path}"):
            return hdf5_attributes.read_names(self.source, self._group, self.path, name)

    def _present(self, path: str) -> SafeGroup | SafeArray:
        found = self.get(path)
        if found is None:
            known = self.keys()
            raise ContentError(f"{self.source.name}: nothing is called {path!r} in {self.path}. Its members are: {', '.join(known[:20]) or 'none'}.")
        return found

    def _open(self, path: str) -> Any:
        """The HDF5 object at `path`, every step of which is a hard link; `None` where a step is missing."""
        here: Any = self._group
        where = self.path.rstrip("/")
        for part in parts_of(path, self.source):
            if not isinstance(here, h5.h5g.GroupID):
                return None
            where += "/" + part
            name = part.encode("utf-8", "surrogateescape")
            with self.source.guard(where):
                if not here.links.exists(name):
                    return None
                kind = here.links.get_info(name).type
                if kind != h5.h5l.TYPE_HARD:
                    words = {h5.h5l.TYPE_SOFT: "a soft link", h5.h5l.TYPE_EXTERNAL: "an external link, which leads to another file"}
                    raise UnsafeFileError(f"{self.source.name}: {where} is {words.get(kind, 'a link of an unknown kind')}. Model files hold none.")
                here = h5.h5o.open(here, name)
        return here


def parts_of(path: str, source: Source) -> list[str]:
    """The steps of a path below a group; HDF5 has no way up, so `..` is a name like any other.

    Raises:
        UnsafeFileError: the path starts at the root, or is not a name that HDF5 can hold.
        LimitError: it has too many steps.
    """
    if path.startswith("/"):
        raise UnsafeFileError(f"{source.name}: the name {path!r} starts with '/', so it would lead out of its group.")
    if "\0" in path:
        raise UnsafeFileError(f"{source.name}: the name {path!r} contains a null character.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise UnsafeFileError(f"{source.name}: the name {path!r} names nothing.")
    if len(parts) > source.limits.depth:
        raise LimitError(f"{source.name}: the name {path[:60]!r}... has {len(parts)} parts, more than the limit depth={source.limits.depth}.")
    return parts


def _first_line(error: BaseException) -> str:
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _start(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content[:64]
    with contextlib.suppress(OSError), open(content, "rb") as file:
        return file.read(64)
    return b""
