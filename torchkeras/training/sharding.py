"""Data of a data-parallel run: of each batch, every process has a part."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data.distributed import DistributedSampler

from torchkeras.metrics.processes import several
from torchkeras.training.arrays import ArrayBatches, InMemory
from torchkeras.training.batches import Batch, Batches, on_device
from torchkeras.training.disk import DiskBatches, Rows
from torchkeras.training.distributed import from_chief, order_of_chief, processes, rank
from torchkeras.training.parts import cut, evened, part, place_in, set_part
from torchkeras.training.ragged import RaggedBatches, to_numpy
from torchkeras.training.shared_rows import SharedRows
from torchkeras.training.tensors import flatten, map_leaves, present

Make = TypeVar("Make", bound=Callable[..., Batches])


def shard(batches: Batches) -> Batches:
    """Batches of which this process has its part."""
    if not several():
        return batches
    if isinstance(batches, (ArrayBatches, DiskBatches)):
        return SharedArrays(batches)  # type: ignore[arg-type]
    if isinstance(batches, RaggedBatches):
        return SharedRows(batches)
    sampler = getattr(getattr(batches, "source", None), "sampler", None)
    return SharedLoader(batches) if isinstance(sampler, DistributedSampler) else SharedStream(batches)


def shared_out(make: Make) -> Make:
    """Decorator: what a function makes of data are batches of this process's part."""

    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Batches:
        return shard(make(*args, **kwargs))

    return cast(Make, made)


class SharedArrays(InMemory):
    """Parts of batches of data that every process has; only the part's rows are read.

    Args:
        batches: The whole batches.
    """

    def __init__(self, batches: InMemory) -> None:
        super().__init__(batches.packing, batches.batch_size, False, batches.device)
        self.whole, self.steps, self.order = batches, batches.steps, batches.order
        self.leaves: list[Any] = batches.packing.leaves

    def first(self) -> Batch:
        return self.whole.first()

    def __iter__(self) -> Iterator[Batch]:
        return self.tracked(self._epoch())

    def _epoch(self) -> Iterator[Batch]:
        if isinstance(self.whole, ArrayBatches):
            self.whole.device = self.device
            self.leaves = self.whole.placed()
        order, first_batch = self.drawn(lambda: order_of_chief(self.order.next(), self.samples))
        for number in range(first_batch, self.steps):
            first = number * self.batch_size
            size = min(self.batch_size, self.samples - first)
            where, count = place_in(size)
            start, stop = where.start, where.stop
            rows = None if order is None else order[first + start : first + stop]
            run = rows is None or self.order.shuffle == "batch"  # neighbours
            begin = first + start if rows is None else int(rows[0])
            parts = [on_device(_rows(leaf, begin, stop - start, None if run else rows), self.device) for leaf in self.leaves]
            set_part(count, size)
            yield self.packing(parts)

    def outputs(self) -> Any:
        return GatheredOutputs()


def _rows(leaf: Any, begin: int, count: int, rows: Tensor | None) -> Tensor:
    if isinstance(leaf, Rows):
        return leaf.read(begin, begin + count) if rows is None else leaf.take(rows.numpy())
    return leaf[begin : begin + count] if rows is None else leaf.index_select(0, rows.to(leaf.device))


class SharedStream(Batches):
    """Parts of batches that the first process reads and hands out: the others do not touch their copy of the source.

    Args:
        batches: The whole batches.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__(batches.device)
        self.whole = batches
        self.whole.device = torch.device("cpu")
        self._size = 0
        self._first: Batch | None = None

    def first(self) -> Batch:
        if self._first is None:
            here = rank() == 0
            row = tuple(map_leaves(lambda leaf: cut(leaf, slice(1), copy=True), section) for section in self.whole.first()) if here else None
            told = (row, self.whole.steps, self.whole.samples, self.whole.batch_size, self.whole.restarts)
            self._first, self.steps, self.samples, self.batch_size, self.restarts = from_chief(told)
        assert self._first is not None
        return self._first

    def size_of(self, number: int) -> int:
        return self._size

    def __iter__(self) -> Iterator[Batch]:
        source = iter(self.whole) if rank() == 0 else None
        while True:
            shares = None if source is None else _shares(next(source, None))
            box: list[Any] = [None]
            torch.distributed.scatter_object_list(box, shares, src=0)
            if box[0] is None:
                return
            batch, count, self._size = box[0]
            set_part(count, self._size)
            yield tuple(None if section is None else on_device(section, self.device) for section in batch)  # type: ignore[misc]

    def outputs(self) -> Any:
        return GatheredOutputs()

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """The first process knows the place in the data, which it alone reads."""
        if rank() == 0:
            self.whole.watch(position)

    def position(self) -> dict[str, Any] | None:
        """The first process's place."""
        return self.whole.position() if rank() == 0 else None

    def allow(self, batches: int) -> None:
        """Told how many batches may be made ahead."""
        self.whole.allow(batches)

    def left(self) -> None:
        """Told where a pass over the data is not gone on with."""
        self.whole.left()

    def epoch_ended(self) -> None:
        self.whole.epoch_ended()

    def close(self, timeout: float | None = None) -> None:
        self.whole.close(timeout)


def _shares(batch: Batch | None) -> list[Any]:
    """What each process gets of a batch; `None`: the end."""
    if batch is None:
        return [None] * processes()
    size = present(batch[0])[0].shape[0]
    found = []
    for who in range(processes()):
        where, count = place_in(size, who)
        own = functools.partial(cut, where=where, copy=True)
        found.append((tuple(map_leaves(own, section) for section in batch), count, size))
    return found


class SharedLoader(Batches):
    """Batches of a DataLoader whose `DistributedSampler` has shared out the samples: each process reads its own.

    Args:
        batches: This process's batches.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__(batches.device)
        self.own = batches
        self.steps, self.samples, self.batch_size = batches.steps, batches.samples, batches.batch_size
        self._epoch = 0

    def first(self) -> Batch:
        return self.own.first()

    def size_of(self, number: int) -> int:
        return self.own.size_of(number)

    def __iter__(self) -> Iterator[Batch]:
        self.own.device = self.device
        self.own.source.sampler.set_epoch(self._epoch)  # type: ignore[attr-defined]
        self._epoch += 1
        for batch in self.own:
            count = present(batch[0])[0].shape[0]
            size = torch.tensor([count])
            torch.distributed.all_reduce(size)
            set_part(count, int(size))
            yield evened(batch)

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """From here on know the place in this process's data."""
        self.own.watch(None if position is None else position["own"])
        if position is not None:
            self._epoch = position["epoch"]

    def position(self) -> dict[str, Any] | None:
        """The place in this process's data, and the number that its sampler gets for the pass that is gone on with."""
        own = self.own.position()
        return {"own": own, "epoch": self._epoch - (1 if own is not None and own["open"] and not own["looked"] else 0)}

    def left(self) -> None:
        """Told where a pass over the data is not gone on with."""
        self.own.left()

    def epoch_ended(self) -> None:
        self.own.epoch_ended()

    def close(self, timeout: float | None = None) -> None:
        self.own.close(timeout)


class GatheredOutputs:
    """Predictions of all processes, in the order of the samples."""

    def __init__(self) -> None:
        self.kept: list[list[np.ndarray]] = []
        self.form: Any = None

    def append(self, output: Any) -> None:
        """Keep what the model gave for this process's part of a batch."""
        self.form = output
        self.kept.append([to_numpy(leaf[: part.count]) for leaf in flatten(output)])

    def joined(self) -> Any:
        """The predictions for all samples, in every process."""
        gathered: list[Any] = [None] * processes()
        torch.distributed.all_gather_object(gathered, self.kept)
        leaves = range(len(self.kept[0]))
        joined = [np.concatenate([own[step][leaf] for step in range(len(self.kept)) for own in gathered]) for leaf in leaves]
        found = iter(joined)
        if isinstance(self.form, dict):
            return {name: next(found) for name in self.form}
        return joined if isinstance(self.form, (list, tuple)) else joined[0]
