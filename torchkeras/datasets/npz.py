"""Arrays out of `.npz` files that others made: sizes checked before anything is read, objects only as plain data."""

from __future__ import annotations

import errno
import math
import os
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from torchkeras.datasets.plain_pickle import KINDS, UnsafeData, load_plain
from torchkeras.utils.archives import ALLOWANCE, RATIO

MAX_BYTES: Final = 16 * 2**30  # of one array

_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, IndexError, NotImplementedError, RuntimeError, OverflowError)


def read_npz(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Arrays of an `.npz` file, by name.

    Args:
        path: The file.
        names: The arrays wanted.

    Raises:
        UnsafeData: an array is missing, broken, of an unlikely size, or holds something else than plain data.
        FileNotFoundError: no such file.
    """
    limit = os.path.getsize(path) * RATIO + ALLOWANCE
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                if f"{name}.npy" not in archive.namelist():
                    raise UnsafeData(f"{path} has no array {name!r}; it has {sorted(archive.namelist())[:20]}.")
                size = archive.getinfo(f"{name}.npy").file_size
                if size > min(limit, MAX_BYTES):
                    raise UnsafeData(f"{path} is refused: its array {name!r} is {size} bytes long, out of all proportion to the file.")
                with archive.open(f"{name}.npy") as member:
                    found[name] = _read_npy(member, size, f"The array {name!r} in {path}")
    except UnsafeData:
        raise
    except (*_BROKEN, MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a broken file makes zipfile seek to nowhere
            raise
        raise UnsafeData(f"{path} is broken: {error}.") from error
    return found


def _read_npy(file: IO[bytes], size: int, who: str) -> NDArray[Any]:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise UnsafeData(f"{who} is of the unknown version {version}.")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, columns_first, dtype = read(file)
    except Exception as error:  # numpy parses the header as Python, and lets through whatever the tokenizer has to say
        raise UnsafeData(f"{who} has a broken header: {error!s:.200}.") from error
    if dtype.hasobject and dtype.fields is None:
        values = load_plain(file, who, "ASCII")
        if not isinstance(values, np.ndarray) or values.shape != shape:
            raise UnsafeData(f"{who} does not have the shape {shape} that its header says.")
        return values
    count = math.prod(shape)
    if dtype.kind not in KINDS or dtype.subdtype is not None:
        raise UnsafeData(f"{who} holds {dtype}, not numbers.")
    if count * dtype.itemsize > size:
        raise UnsafeData(f"{who} says that it has {count * dtype.itemsize} bytes, but only {size} are there.")
    content = file.read(count * dtype.itemsize)
    if len(content) != count * dtype.itemsize:
        raise UnsafeData(f"{who} ends too early.")
    return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape, order="F" if columns_first else "C")
