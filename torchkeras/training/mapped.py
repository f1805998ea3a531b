"""Arrays that lie in a file as they lie in memory: the system is told which rows come next, and reads them meanwhile.

A plain memory map is read where it is touched, a page or a window of the system's at a time, while the program waits. Told beforehand, the
system reads whole batches, several at once, into its cache.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
from typing import Any, Final

import numpy as np
from torch import Tensor

from torchkeras.training.tensors import from_array
from torchkeras.utils.io_utils import HDF5Matrix

WINDOW: Final = 16 << 20  # bytes to be read beforehand: enough to keep a disk busy
SCATTERED: Final = getattr(mmap, "MADV_RANDOM", 1)
USUAL: Final = getattr(mmap, "MADV_NORMAL", 0)


@functools.cache
def _advise() -> Any:
    """The system's `madvise`, which ctypes calls without Python's lock; `None` where there is none."""
    if not hasattr(mmap, "MADV_WILLNEED"):
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return function


def memory_to_spare() -> int:
    """Bytes of memory that programs and the system's cache of files could still take; 0 where it cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return 0


class Mapped:
    """Rows that lie one after the other in a mapped file.

    Args:
        array: The map; contiguous.
    """

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = np.asarray(array)  # slices of a np.memmap cost more
        self.address: int = self.array.__array_interface__["data"][0]
        self.row_bytes = self.array.nbytes // max(len(self.array), 1)
        self.filled = 0  # bytes from the beginning that were asked for

    @classmethod
    def of(cls, source: Any) -> Mapped | None:
        """The map that a memory map is, or that an HDF5 data set can be read by; `None`: there is none."""
        if type(source) is HDF5Matrix:
            rows = None if source.normalizer is not None else _contiguous(source.data)
            return None if rows is None else cls(rows[source.start : source.end])
        if type(source).__module__.startswith("h5py"):
            source = _contiguous(source)
        fits = isinstance(source, np.memmap) and source.flags.c_contiguous and source.ndim > 0 and source.size > 0
        return cls(source) if fits else None

    def read(self, start: int, stop: int, who: str) -> Tensor:
        """A run of rows, in memory."""
        rows = self.array[start:stop]
        found = from_array(rows if rows.flags.aligned else rows.copy(), who)
        return found.clone() if found.data_ptr() == rows.__array_interface__["data"][0] else found

    def take(self, rows: np.ndarray[Any, Any], who: str) -> Tensor:
        """Rows in any order, in memory."""
        return from_array(self.array.take(rows, axis=0), who)

    def advise(self, what: int, start: int = 0, stop: int | None = None) -> None:
        """Tell the system of bytes of the map what is to come."""
        advise = _advise()
        if advise is not None:
            first = (self.address + start) // mmap.PAGESIZE * mmap.PAGESIZE
            last = self.address + (self.array.nbytes if stop is None else stop)
            advise(first, last - first, what)

    def will_read(self, start: int, stop: int) -> None:
        """Told of a run of rows that will be read."""
        if _advise() is not None:
            self.advise(mmap.MADV_WILLNEED, start * self.row_bytes, stop * self.row_bytes)

    def will_take(self, rows: np.ndarray[Any, Any]) -> None:
        """Told of rows here and there that will be read."""
        for row in np.sort(rows).tolist():
            self.will_read(row, row + 1)

    def fill(self, count: int) -> None:
        """Have so many more bytes of the whole file in the cache."""
        start = self.filled
        self.filled = min(start + count, self.array.nbytes)
        while start < self.filled:
            stop = min(start + WINDOW, self.filled)
            if _advise() is not None:
                self.advise(mmap.MADV_WILLNEED, start, stop)
            start = stop


def _contiguous(dataset: Any) -> np.memmap[Any, Any] | None:
    """A data set that lies in its file in one piece, as a memory map; `None` where it does not, or may still change."""
    import h5py

    if not isinstance(dataset, h5py.Dataset) or not dataset.size or dataset.dtype.kind not in "fiu":
        return None
    file, layout = dataset.file, dataset.id.get_create_plist()
    offset = dataset.id.get_offset()
    plain = layout.get_layout() == h5py.h5d.CONTIGUOUS and not layout.get_external_count() and not layout.get_nfilters()
    if not plain or offset is None or file.mode != "r" or file.driver != "sec2" or file.swmr_mode or file.userblock_size:
        return None
    if not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype)):
        return None
    with os.fdopen(os.dup(file.id.get_vfd_handle()), "rb") as opened:  # the very file that is open, whatever its name is by now
        return np.memmap(opened, dataset.dtype, "r", offset, dataset.shape)
