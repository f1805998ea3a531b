"""In-memory data as batches: one permutation an epoch, gathered in large pieces, cut into views."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from torchkeras import generations
from torchkeras.training.batches import Batch, Batches, moved, on_device
from torchkeras.training.resuming.passes import Pass
from torchkeras.training.tensors import flatten, like, present

T = TypeVar("T")

# gathered at once: large enough to make the gather cheap, small enough to stay in the cache until its batches are used, and out of the way
PIECE_BYTES = 1 << 20
DEVICE_PIECE_BYTES = 8 << 20  # where a gather is one more kernel to start, and no cache holds a batch


class Order:
    """The order of the samples, epoch after epoch; drawn as the chosen release draws it.

    Keras 1 and 2 shuffle the same list again and again, by NumPy's generator: one seed gives their orders.

    Args:
        samples: How many there are.
        batch_size: Samples in a batch.
        shuffle: True, "batch" (whole batches change places) or False.
    """

    def __init__(self, samples: int, batch_size: int, shuffle: bool | str) -> None:
        self.samples, self.batch_size, self.shuffle = samples, batch_size, shuffle
        self._by_numpy = generations.choose("random.source") == "numpy"
        self._last = np.arange(samples) if shuffle and self._by_numpy else None

    def carried(self) -> np.ndarray | None:
        """What the next order is made of besides random numbers: in Keras 1 and 2 the one before."""
        return None if self._last is None else self._last.copy()

    def carry(self, last: np.ndarray | None) -> None:
        """Take back what `carried` gave."""
        self._last = last

    def next(self) -> Tensor | None:
        """The next epoch's order, `None`: as given."""
        if not self.shuffle:
            return None
        if self._last is not None:
            if self.shuffle == "batch":
                cut = self.samples // self.batch_size * self.batch_size
                blocks = self._last[:cut].reshape(-1, self.batch_size)
                np.random.shuffle(blocks)  # a view: changes the list itself
            else:
                np.random.shuffle(self._last)
            return torch.from_numpy(self._last.copy())
        if self.shuffle == "batch":
            whole = self.samples // self.batch_size
            kept = (torch.randperm(whole)[:, None] * self.batch_size + torch.arange(self.batch_size)).reshape(-1)
            return torch.cat([kept, torch.arange(whole * self.batch_size, self.samples)])
        return torch.randperm(self.samples)


class Packing:
    """How the leaves of inputs, targets and weights stand in a batch.

    Args:
        x, y, sample_weight: Leaves, lists or dicts of them; lists may hold `None`.
    """

    def __init__(self, x: Any, y: Any, sample_weight: Any) -> None:
        self.structures = (x, y, sample_weight)
        self.leaves: list[Any] = [leaf for structure in self.structures for leaf in present(structure)]
        self.single = not any(isinstance(structure, (list, tuple, dict)) for structure in self.structures)
        self.has_y, self.has_weight = y is not None, sample_weight is not None
        left = iter(range(len(self.leaves)))
        # for each structure, which leaf stands where
        self._places = [like(one, [None if leaf is None else next(left) for leaf in flatten(one)]) for one in self.structures]

    def __call__(self, parts: Sequence[Any]) -> Batch:
        """Parts of the leaves, in their order, as a batch."""
        if self.single:
            return parts[0], parts[1] if self.has_y else None, parts[-1] if self.has_weight else None
        x, y, weight = self._places
        return _placed(x, parts), _placed(y, parts), _placed(weight, parts)


def _placed(places: Any, parts: Sequence[Any]) -> Any:
    """The parts in the places of a structure."""
    if type(places) is list:
        return [None if place is None else parts[place] for place in places]
    if type(places) is dict:
        return {name: None if place is None else parts[place] for name, place in places.items()}
    return None if places is None else parts[places]


class InMemory(Batches):
    """What batches of all data at hand have in common.

    Args:
        packing: The data.
        batch_size: Samples in a batch; the last may be smaller.
        shuffle: True: a new order each epoch; "batch": batches in a new order, each whole; False: as given.
        device: Where batches are wanted.
    """

    def __init__(self, packing: Packing, batch_size: int, shuffle: bool | str, device: torch.device) -> None:
        super().__init__(device)
        self.packing = packing
        self.samples: int = packing.leaves[0].shape[0]
        self.batch_size: int = batch_size
        self.steps: int = -(-self.samples // batch_size)
        self.order = Order(self.samples, batch_size, shuffle)
        self._pass: Pass | None = None

    def __len__(self) -> int:
        return self.steps

    def limit(self, steps: int) -> None:
        """End each epoch after so many batches."""
        self.steps = min(self.steps, steps)

    def size_of(self, number: int) -> int:
        number %= self.steps
        return min(self.batch_size, self.samples - number * self.batch_size)

    @property
    def watched(self) -> bool:
        """Whether the place in the data has to be known."""
        return self._pass is not None

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """From here on know the place in the data."""
        data = {"samples": self.samples, "batch_size": self.batch_size, "shuffle": self.order.shuffle}
        self._pass = Pass(data, position, self.order.carried, self.order.carry)

    def position(self) -> dict[str, Any]:
        """The place after the last batch that was given."""
        assert self._pass is not None
        return self._pass.position()

    def left(self) -> None:
        """Told where a pass over the data is not gone on with."""
        if self._pass is not None:
            self._pass.open = False

    def drawn(self, draw: Callable[[], T]) -> tuple[T, int]:
        """An epoch's order, and the batch to begin with: the first one, unless a saved run is gone on with."""
        return (draw(), 0) if self._pass is None else self._pass.begin(draw)

    def tracked(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches of an epoch, counted where the place in them has to be known."""
        return batches if self._pass is None else self._pass.counted(batches)


class ArrayBatches(InMemory):
    """Batches of tensors that are in memory.

    Attributes:
        data_device: Where they lie: "auto", "device" or "cpu", as `fit` takes it.
    """

    data_device: str = "auto"

    def __init__(self, packing: Packing, batch_size: int, shuffle: bool | str, device: torch.device) -> None:
        super().__init__(packing, batch_size, shuffle, device)
        self.leaves: list[Tensor] = packing.leaves
        self._placed = False

    def first(self) -> Batch:
        return self.packing([leaf[:1] for leaf in self.leaves])

    def _place(self) -> None:
        """Move all data once where it is to be; "auto": where it takes at most a quarter of the free memory. Else each batch goes by itself."""
        self._placed = True
        if self.device.type == "cpu" or self.data_device == "cpu":
            return
        fits = self.data_device == "device"
        if not fits and self.device.type == "cuda":
            size = sum(leaf.numel() * leaf.element_size() for leaf in self.leaves if leaf.device != self.device)
            fits = size <= torch.cuda.mem_get_info(self.device)[0] // 4
        if fits:
            self.leaves = [leaf if leaf.device == self.device else leaf.to(self.device, non_blocking=True) for leaf in self.leaves]

    def placed(self) -> list[Tensor]:
        """The data, on the device where it fits there."""
        if not self._placed:
            self._place()
        return self.leaves

    def regrouped(self, batch_size: int) -> ArrayBatches:
        """The same data, placed where it is now, in batches of another size, in its order and to the end."""
        self.placed()
        other = copy.copy(self)
        InMemory.__init__(other, self.packing, batch_size, False, self.device)
        return other

    def pieces(self) -> Iterator[list[Tensor]]:
        """The data in this epoch's order, in pieces of whole batches."""
        order, start = self.drawn(self.order.next)
        start, end = start * self.batch_size, min(self.steps * self.batch_size, self.samples)
        if start >= end:  # a saved run had taken them all
            return
        whole = start == 0 and end == self.samples
        if order is None:
            yield self.leaves if whole else [leaf[start:end] for leaf in self.leaves]
            return
        row_bytes = sum(leaf[0].numel() * leaf.element_size() for leaf in self.leaves) or 1
        room = PIECE_BYTES if all(leaf.device.type == "cpu" for leaf in self.leaves) else DEVICE_PIECE_BYTES
        rows = max(1, room // (row_bytes * self.batch_size)) * self.batch_size
        begin = start // rows * rows  # of a piece: each batch lies in memory as it did, since rounding may depend on that
        for index in (order if whole else order[begin:end]).split(rows):
            indices = {leaf.device: on_device(index, leaf.device) for leaf in self.leaves}
            piece = [leaf.index_select(0, indices[leaf.device]) for leaf in self.leaves]
            yield piece if start <= begin else [leaf[start - begin :] for leaf in piece]
            start = 0

    def __iter__(self) -> Iterator[Batch]:
        self.placed()
        return self.tracked(self._epoch())

    def _epoch(self) -> Iterator[Batch]:
        pack, device = self.packing, self.device
        single, has_y, has_weight = pack.single, pack.has_y, pack.has_weight
        for piece in self.pieces():
            here = all(leaf.device == device for leaf in piece)
            for parts in zip(*(leaf.split(self.batch_size) for leaf in piece), strict=True):
                if not here:
                    parts = tuple(moved(part, device) for part in parts)
                if single:
                    yield parts[0], parts[1] if has_y else None, parts[-1] if has_weight else None
                else:
                    yield pack(parts)


def keep_data(batches: Batches, where: Any) -> None:
    """Say where data at hand is to lie: "auto", "device" or "cpu".

    Raises:
        ValueError: another place, or a place for data that is not at hand.
    """
    if where not in ("auto", "device", "cpu"):
        raise ValueError(f"fit takes data_device='auto', 'device' (where the model is) or 'cpu', but got {where!r}.")
    whole = getattr(batches, "whole", batches)  # of which several processes have parts
    if isinstance(whole, ArrayBatches):
        whole.data_device = where
    elif where == "device":
        raise ValueError(
            f"fit got data_device='device', but {type(whole).__name__} gives its data batch by batch. Leave it out, or give arrays in memory."
        )
