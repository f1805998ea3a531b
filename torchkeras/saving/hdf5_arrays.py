"""An array of an HDF5 file: what it declares is checked before anything is read.

Chunked arrays are unpacked here, not by HDF5: its deflate filter unpacks whatever a chunk holds, so that a few
kilobytes become gigabytes; here a chunk gives at most the bytes that its shape has room for.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras.saving import h5, hdf5_attributes
from torchkeras.saving.errors import ContentError, DamagedFileError, LimitError, UnsafeFileError
from torchkeras.saving.limits import readable

if TYPE_CHECKING:
    from torchkeras.saving.hdf5 import Source

Array = np.ndarray[Any, Any]

KINDS = {"f": "floating point", "i": "integer", "u": "unsigned integer", "b": "boolean"}
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3  # HDF5's numbers of its filters


class SafeArray:
    """An array of an open file, not yet read; made by `SafeGroup`.

    Args:
        source: The open file.
        dataset: The HDF5 object.
        path: Where it is in the file.

    Raises:
        UnsafeFileError: it is virtual, lies in other files, or is packed by a filter that Keras files do not use.
        ContentError: it holds no numbers.
    """

    def __init__(self, source: Source, dataset: Any, path: str) -> None:
        self.source = source
        self.path = path
        self._dataset = dataset
        with source.guard(path):
            self._plan = dataset.get_create_plist()
            self._check_storage()
            self.dtype, self._bfloat16 = self._number_type()
            self.shape = self._declared_shape()
        self.size = math.prod(self.shape)
        self.declared_bytes = self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"<array {self.path} of {self.source.name}, shape {self.shape}, {self.dtype}>"

    def read(self, shape: tuple[int, ...] | None, kinds: str = "fiub") -> Array:
        """The numbers, once shape and type are known to be right.

        Args:
            shape: What the caller has room for; `None` takes any shape within the limits.
            kinds: The numpy kinds allowed: "f" floating point, "i", "u" integers, "b" booleans.

        Raises:
            ContentError: another shape or type.
            LimitError: it is larger than the limits allow.
            DamagedFileError: the file does not hold what it declares.
        """
        if shape is not None and tuple(shape) != self.shape:
            raise ContentError(f"{self.source.name}: {self.path} has the shape {self.shape}, but {tuple(shape)} is needed.")
        if self.dtype.kind not in kinds:
            wanted = " or ".join(KINDS[kind] for kind in kinds)
            raise ContentError(f"{self.source.name}: {self.path} holds {KINDS[self.dtype.kind]} numbers ({self.dtype}), but {wanted} is needed.")
        with self.source.guard(self.path):
            self._check_size(free=shape is not None)
            layout = self._plan.get_layout()
            numbers = self._read_chunks() if layout == h5.h5d.CHUNKED else self._read_plain(contiguous=layout == h5.h5d.CONTIGUOUS)
        if self._bfloat16:  # the upper half of a float32
            return (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers.astype(self.dtype.newbyteorder("="), copy=False)

    def _refuse(self, what: str) -> UnsafeFileError:
        return UnsafeFileError(f"{self.source.name}: {self.path} {what}; the file was not read.")

    def _check_storage(self) -> None:
        if self._plan.get_layout() == h5.h5d.VIRTUAL:
            raise self._refuse("is a virtual array, whose numbers lie in other files or arrays")
        if self._plan.get_external_count() > 0:
            raise self._refuse(f"has external storage: its numbers lie in the file {self._plan.get_external(0)[0]!r}")
        if self._plan.get_layout() not in (h5.h5d.COMPACT, h5.h5d.CONTIGUOUS, h5.h5d.CHUNKED):
            raise self._refuse("is stored in an unknown way")
        for number in range(self._plan.get_nfilters()):
            code = self._plan.get_filter(number)[0]
            if code not in (_DEFLATE, _SHUFFLE, _FLETCHER32):
                raise self._refuse(f"is packed by filter {code}; only gzip, shuffle and fletcher32 are read. Repack it with `h5repack -f GZIP=4`")

    def _number_type(self) -> tuple[np.dtype[Any], bool]:
        """The type of the numbers as read, and whether they are bfloat16 that comes as bytes."""
        kind = self._dataset.get_type()
        if kind.get_class() == h5.h5t.OPAQUE and kind.get_size() == 2 and self._named_bfloat16():
            return np.dtype(np.float32), True
        if kind.get_class() not in (h5.h5t.INTEGER, h5.h5t.FLOAT, h5.h5t.ENUM) or kind.get_size() not in (1, 2, 4, 8):
            raise ContentError(
                f"{self.source.name}: {self.path} holds no plain numbers, but {type(kind).__name__.removeprefix('Type').removesuffix('ID')}."
            )
        dtype = kind.dtype
        if dtype.kind not in KINDS or dtype.itemsize != kind.get_size():
            raise ContentError(f"{self.source.name}: {self.path} holds no plain numbers, but {dtype}.")
        return np.dtype(dtype.str), False

    def _named_bfloat16(self) -> bool:
        return hdf5_attributes.exists(self._dataset, "dtype") and hdf5_attributes.read(self.source, self._dataset, self.path, "dtype") == "bfloat16"

    def _declared_shape(self) -> tuple[int, ...]:
        space = self._dataset.get_space()
        if space.get_simple_extent_type() not in (h5.h5s.SCALAR, h5.h5s.SIMPLE):
            raise ContentError(f"{self.source.name}: {self.path} is declared without a shape.")
        return tuple(int(length) for length in space.shape)

    def _check_size(self, free: bool) -> None:
        """Hold what the array declares against what the file stores and, unless the caller has room for it, against the limits."""
        if free:
            self._stored()
            return
        self.check_declared()
        self.source.bytes_read += self.declared_bytes
        if self.source.bytes_read > self.source.limits.total_bytes:
            raise self._too_large(f"and with it the file comes to more than the limit total_bytes={self.source.limits.total_bytes}")

    def _stored(self) -> int:
        """How many bytes the file stores for the array."""
        stored = int(self._dataset.get_storage_size())
        if stored > self.source.size:
            what = f"should fill {readable(stored)}, but the file has only {readable(self.source.size)}"
            raise DamagedFileError(f"{self.source.name}: {self.path} {what}.")
        return stored

    def check_declared(self) -> None:
        """Hold the declared shape against what the file stores and against the limits; nothing is read.

        Raises:
            LimitError: it is larger than the limits allow.
            DamagedFileError: the file is too short for it.
        """
        allowed, stored = self.source.limits, self._stored()
        if self.declared_bytes > allowed.array_bytes:
            raise self._too_large(f"more than the limit array_bytes={allowed.array_bytes}")
        if self.declared_bytes > max(allowed.free_bytes, stored * allowed.expansion):
            raise self._too_large(
                f"but the file stores {readable(stored)} for it, less than a genuine array needs (limit expansion={allowed.expansion})"
            )

    def _too_large(self, why: str) -> LimitError:
        return LimitError(
            f"{self.source.name}: {self.path} declares the shape {self.shape}, {readable(self.declared_bytes)}, {why}; it was not read."
        )

    def _read_plain(self, contiguous: bool) -> Array:
        if contiguous and self._dataset.get_storage_size():
            start = self._dataset.get_offset() or 0
            if start + self._dataset.get_storage_size() > self.source.size:
                raise DamagedFileError(f"{self.source.name}: {self.path} lies beyond the end of the file; the file was cut short.")
        if self._bfloat16:
            raw = np.empty(self.shape, "V2")
            self._dataset.read(h5.h5s.ALL, h5.h5s.ALL, raw)
            return raw.view("<u2").reshape(self.shape)
        return np.asarray(h5.h5py.Dataset(self._dataset)[()], self.dtype)

    def _read_chunks(self) -> Array:
        chunk = tuple(int(length) for length in self._plan.get_chunk())
        stored_type = np.dtype("<u2") if self._bfloat16 else self.dtype
        if not self._bfloat16 and h5.h5t.py_create(self.dtype, logical=True) != self._dataset.get_type():
            raise ContentError(
                f"{self.source.name}: {self.path} holds numbers of an unusual form in packed chunks. Repack it with `h5repack -l CONTI`."
            )
        room = math.prod(chunk) * stored_type.itemsize
        if room > max(self.declared_bytes, self.source.limits.free_bytes):
            raise self._too_large(f"in chunks of {readable(room)} each")
        counts = [-(-length // piece) for length, piece in zip(self.shape, chunk, strict=True)]
        if math.prod(counts) > self.source.limits.chunks:
            raise self._too_large(f"in {math.prod(counts):,} chunks, more than the limit chunks={self.source.limits.chunks:,}")
        numbers = np.full(self.shape, self._fill_value(stored_type), stored_type)
        for place in itertools.product(*map(range, counts)):
            start = tuple(index * piece for index, piece in zip(place, chunk, strict=True))
            data = self._unpack(start, room, stored_type.itemsize)
            if data is None:  # never written: the fill value stands for it
                continue
            inside = tuple(slice(a, min(a + piece, length)) for a, piece, length in zip(start, chunk, self.shape, strict=True))
            values = np.frombuffer(data, stored_type).reshape(chunk)
            if stored_type.kind == "b":
                values = values.view(np.uint8) != 0
            numbers[inside] = values[tuple(slice(0, part.stop - part.start) for part in inside)]
        return numbers

    def _fill_value(self, dtype: np.dtype[Any]) -> Array:
        value = np.zeros((), dtype)
        if not self._bfloat16 and self._plan.fill_value_defined() == h5.h5d.FILL_VALUE_USER_DEFINED:
            self._plan.get_fill_value(value)
        return value

    def _unpack(self, start: tuple[int, ...], room: int, itemsize: int) -> bytes | None:
        """One chunk's bytes, `room` of them, or `None` where the file holds none."""
        info = self._dataset.get_chunk_info_by_coord(start)
        if info.byte_offset is None or info.size == 0:
            return None
        if info.byte_offset + info.size > self.source.size:
            raise DamagedFileError(f"{self.source.name}: a chunk of {self.path} lies beyond the end of the file; the file was cut short.")
        skipped, data = self._dataset.read_direct_chunk(start)
        for number in reversed(range(self._plan.get_nfilters())):
            if skipped & (1 << number):
                continue
            code = self._plan.get_filter(number)[0]
            if code == _FLETCHER32:
                data = data[:-4]
            elif code == _DEFLATE:
                data = _inflate(data, room + 4)  # 4: a checksum behind the numbers
            else:
                data = _unshuffle(data, itemsize)
        if len(data) != room:
            raise DamagedFileError(f"{self.source.name}: a chunk of {self.path} unpacks to {len(data):,} bytes, but {room:,} are declared.")
        return data


def declared(arrays: Iterable[SafeArray]) -> int:
    """How many numbers arrays hold together, once the file is known to store about as many as they declare.

    Raises:
        LimitError: one declares more than the limits allow.
        DamagedFileError: the file is too short for one.
    """
    total = 0
    for array in arrays:
        with array.source.guard(array.path):
            array.check_declared()
        total += array.size
    return total


def _inflate(data: bytes, most: int) -> bytes:
    """Unpack at most `most` bytes, so that a bomb stops there."""
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"a packed chunk is damaged ({error})") from None
    if len(plain) > most:
        raise ValueError("a packed chunk unpacks to more than its declared shape")
    return plain


def _unshuffle(data: bytes, itemsize: int) -> bytes:
    """Undo the shuffle filter, which stores the first bytes of all numbers, then all second bytes, ..."""
    count = len(data) // itemsize
    whole = np.frombuffer(data[: count * itemsize], np.uint8).reshape(itemsize, count).T.tobytes()
    return whole + data[count * itemsize :]
