"""Data larger than memory: HDF5 data sets and memory maps, read batch by batch, ahead of the step that takes them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from torchkeras.training.ahead import Ahead, touched_by_data
from torchkeras.training.arrays import InMemory, Packing
from torchkeras.training.batches import Batch, on_device
from torchkeras.training.mapped import SCATTERED, USUAL, WINDOW, Mapped, memory_to_spare
from torchkeras.training.resuming.passes import Allowance
from torchkeras.training.resuming.reads import NOTHING
from torchkeras.training.tensors import from_array
from torchkeras.utils.io_utils import HDF5Matrix

LARGE: Final = 64 << 20  # bytes of a memory map from which on it is read batch by batch: it may not be in memory
SHORT: Final = 64  # bytes of a row below which it never is: of targets, say, which are checked as a whole
READ_ROOM: Final = 64 << 20  # bytes of batches that may wait to be taken


def stays_on_disk(value: Any) -> bool:
    """Whether data is to be read piece by piece: an HDF5 data set, an `HDF5Matrix`, or a memory map that is large or would have to be cast.

    On CUDA a large map goes to the device as a whole, where it fits there.
    """
    if isinstance(value, HDF5Matrix) or type(value).__module__.startswith("h5py"):
        return True
    if not isinstance(value, np.memmap):
        return False
    cast = (value.dtype.kind not in "iub" and value.dtype != np.float32) or not value.dtype.isnative
    fits = torch.cuda.is_available() and value.nbytes <= torch.cuda.mem_get_info()[0] // 4
    return cast or (value.nbytes >= max(LARGE, SHORT * len(value)) and not fits)


class Rows:
    """Rows of an array on disk, as far as training needs them.

    Args:
        source: The array.
        who: The argument's name, for messages.
        start, stop: Which of its rows.
        mapped: The map that they lie in, where that is known.
    """

    def __init__(self, source: Any, who: str, start: int = 0, stop: int | None = None, mapped: Mapped | None = None) -> None:
        self.source, self.who, self.start = source, who, start
        self.stop: int = source.shape[0] if stop is None else stop
        self.shape: tuple[int, ...] = (self.stop - self.start, *source.shape[1:])
        self.mapped = Mapped.of(source) if mapped is None else mapped

    @property
    def plain(self) -> bool:
        """Whether reading runs no code of the user's."""
        kind = type(self.source)
        return self.mapped is not None or kind.__module__.startswith("h5py") or (kind is HDF5Matrix and self.source.normalizer is None)

    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def unsqueeze(self, dim: int) -> Column:
        """Rows of one number, as rows of one column."""
        return Column(self.source, self.who, self.start, self.stop, self.mapped)

    def __getitem__(self, where: slice) -> Any:
        start, stop, _ = where.indices(len(self))
        return type(self)(self.source, self.who, self.start + start, self.start + stop, self.mapped)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Tensor:
        """A run of rows."""
        if self.mapped is not None:
            return self.mapped.read(self.start + start, self.start + stop, self.who)
        return from_array(np.asarray(self.source[self.start + start : self.start + stop]), self.who)

    def take(self, rows: np.ndarray) -> Tensor:
        """Rows in any order; HDF5 reads a file in its own."""
        if self.mapped is not None:
            return self.mapped.take(rows + self.start, self.who)
        order = np.argsort(rows, kind="stable")
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return from_array(np.asarray(self.source[rows[order] + self.start])[inverse], self.who)


class Column(Rows):
    """Rows of one number each, seen as (n, 1)."""

    def __init__(self, source: Any, who: str, start: int = 0, stop: int | None = None, mapped: Mapped | None = None) -> None:
        super().__init__(source, who, start, stop, mapped)
        self.shape = (*self.shape, 1)

    def read(self, start: int, stop: int) -> Tensor:
        return super().read(start, stop).unsqueeze(-1)

    def take(self, rows: np.ndarray) -> Tensor:
        return super().take(rows).unsqueeze(-1)


class DiskBatches(InMemory):
    """Batches of which some leaves are `Rows`.

    Where a batch takes long, a thread reads the next ones while the model trains. Of a mapped file the system is told beforehand which rows
    come.
    """

    def __init__(self, packing: Packing, batch_size: int, shuffle: bool | str, device: torch.device) -> None:
        super().__init__(packing, batch_size, shuffle, device)
        self.rows: list[Rows] = [leaf for leaf in packing.leaves if isinstance(leaf, Rows)]
        self.maps: list[tuple[Rows, Mapped]] = [(leaf, leaf.mapped) for leaf in self.rows if leaf.mapped is not None]
        self._scattered = False
        self.reader = Ahead(lambda by_thread: NOTHING, 1, touches=touched_by_data)

    def first(self) -> Batch:
        return self.packing([leaf.read(0, 1) if isinstance(leaf, Rows) else leaf[:1] for leaf in self.packing.leaves])

    def regrouped(self, batch_size: int) -> DiskBatches:
        """The same data in batches of another size, in its order and to the end."""
        other = copy.copy(self)
        InMemory.__init__(other, self.packing, batch_size, False, self.device)
        return other

    def __iter__(self) -> Iterator[Batch]:
        return self.tracked(self._epoch())

    def _epoch(self) -> Iterator[Batch]:
        order, first_batch = self.drawn(self.order.next)
        row_bytes = sum(leaf.mapped.row_bytes if leaf.mapped else 4 * int(np.prod(leaf.shape[1:])) for leaf in self.rows)
        batch_bytes = max(row_bytes * self.batch_size, 1)
        reader, read = self.reader, self._read(order, first_batch, batch_bytes)
        reader.close(0.5)
        reader.left.clear()
        reader.read, reader.room = lambda by_thread: next(read, NOTHING), min(max(READ_ROOM // batch_bytes, 2), 10)
        # what a user's code draws ahead of a save could not be told from what it draws after
        reader.alone = self.watched and not all(leaf.plain for leaf in self.rows)
        allowance = Allowance()
        allowance.left = self.steps - first_batch
        for parts in reader.items(allowance):
            yield self.packing([on_device(part, self.device) for part in parts])

    def _read(self, order: Tensor | None, first_batch: int, batch_bytes: int) -> Iterator[list[Tensor]]:
        """The parts of each batch, on the host."""
        pinned = self.device.type == "cuda"
        scattered = order is not None and self.order.shuffle != "batch"  # else a whole batch is a run of rows
        fills = scattered and 2 * sum(mapped.array.nbytes for _, mapped in self.maps) < memory_to_spare()
        told = first_batch
        for number in range(first_batch, self.steps):
            while told < min(self.steps, number + 1 + max(WINDOW // batch_bytes, 1)):
                self._tell(told, order, scattered, fills)
                told += 1
            rows, start, stop = self._rows(number, order)
            parts = []
            for leaf in self.packing.leaves:
                if not scattered:
                    part = leaf.read(start, stop) if isinstance(leaf, Rows) else leaf[start:stop]
                elif isinstance(leaf, Rows):
                    part = leaf.take(rows.numpy())  # type: ignore[union-attr]
                else:
                    part = leaf.index_select(0, on_device(rows, leaf.device))
                parts.append(part.pin_memory() if pinned and part.device.type == "cpu" else part)
            yield parts

    def _rows(self, number: int, order: Tensor | None) -> tuple[Tensor | None, int, int]:
        """A batch's rows, and the run that they are where they are one."""
        start = number * self.batch_size
        stop = min(start + self.batch_size, self.samples)
        if order is None:
            return None, start, stop
        rows = order[start:stop]
        first = int(rows[0])
        return rows, first, first + stop - start

    def _tell(self, number: int, order: Tensor | None, scattered: bool, fills: bool) -> None:
        """Tell the system of a batch that comes; where rows come in any order from a file that memory holds, of another part of the file."""
        rows, start, stop = self._rows(number, order)
        for leaf, mapped in self.maps:
            if not scattered:
                mapped.will_read(leaf.start + start, leaf.start + stop)
            elif fills:
                mapped.fill(max(WINDOW, 4 * mapped.array.nbytes // self.steps))
            else:
                self._scattered = True
                mapped.advise(SCATTERED)
                mapped.will_take(rows.numpy() + leaf.start)  # type: ignore[union-attr]

    def close(self, timeout: float | None = None) -> None:
        self.reader.close(timeout)
        if self._scattered:
            self._scattered = False
            for _, mapped in self.maps:
                mapped.advise(USUAL)
