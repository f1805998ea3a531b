"""Data larger than memory: HDF5 data sets and memory maps, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from torchkeras.training.arrays import InMemory
from torchkeras.training.batches import Batch, on_device
from torchkeras.training.tensors import from_array
from torchkeras.utils.io_utils import HDF5Matrix


def stays_on_disk(value: Any) -> bool:
    """Whether data is to be read piece by piece: an HDF5 data set, an `HDF5Matrix`, or a memory map that would have to be cast."""
    if isinstance(value, HDF5Matrix) or type(value).__module__.startswith("h5py"):
        return True
    return isinstance(value, np.memmap) and ((value.dtype.kind not in "iub" and value.dtype != np.float32) or not value.dtype.isnative)


class Rows:
    """Rows of an array on disk, as far as training needs them.

    Args:
        source: The array.
        who: The argument's name, for messages.
        start, stop: Which of its rows.
    """

    def __init__(self, source: Any, who: str, start: int = 0, stop: int | None = None) -> None:
        self.source, self.who, self.start = source, who, start
        self.stop: int = source.shape[0] if stop is None else stop
        self.shape: tuple[int, ...] = (self.stop - self.start, *source.shape[1:])

    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def unsqueeze(self, dim: int) -> Column:
        """Rows of one number, as rows of one column."""
        return Column(self.source, self.who, self.start, self.stop)

    def __getitem__(self, where: slice) -> Any:
        start, stop, _ = where.indices(len(self))
        return type(self)(self.source, self.who, self.start + start, self.start + stop)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Tensor:
        """A run of rows."""
        return from_array(np.asarray(self.source[self.start + start : self.start + stop]), self.who)

    def take(self, rows: np.ndarray) -> Tensor:
        """Rows in any order; the file is read in its own."""
        order = np.argsort(rows, kind="stable")
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return from_array(np.asarray(self.source[rows[order] + self.start])[inverse], self.who)


class Column(Rows):
    """Rows of one number each, seen as (n, 1)."""

    def __init__(self, source: Any, who: str, start: int = 0, stop: int | None = None) -> None:
        super().__init__(source, who, start, stop)
        self.shape = (*self.shape, 1)

    def read(self, start: int, stop: int) -> Tensor:
        return super().read(start, stop).unsqueeze(-1)

    def take(self, rows: np.ndarray) -> Tensor:
        return super().take(rows).unsqueeze(-1)


class DiskBatches(InMemory):
    """Batches of which some leaves are `Rows`; a batch is read when it is asked for."""

    def first(self) -> Batch:
        return self.packing([leaf.read(0, 1) if isinstance(leaf, Rows) else leaf[:1] for leaf in self.packing.leaves])

    def __iter__(self) -> Iterator[Batch]:
        return self.tracked(self._epoch())

    def _epoch(self) -> Iterator[Batch]:
        order, first_batch = self.drawn(self.order.next)
        for number in range(first_batch, self.steps):
            start = number * self.batch_size
            stop = min(start + self.batch_size, self.samples)
            rows = None if order is None else order[start:stop]
            run = rows is None or (self.order.shuffle == "batch")  # a whole batch is a run of rows
            first = start if rows is None else int(rows[0])
            parts = []
            for leaf in self.packing.leaves:
                if isinstance(leaf, Rows):
                    part = leaf.read(first, first + stop - start) if run else leaf.take(rows.numpy())  # type: ignore[union-attr]
                else:
                    part = leaf[first : first + stop - start] if run else leaf.index_select(0, on_device(rows, leaf.device))
                parts.append(on_device(part, self.device))
            yield self.packing(parts)
