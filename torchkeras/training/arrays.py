"""In-memory data as batches: one permutation an epoch, gathered in large pieces, cut into views."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import config, generations

PIECE_BYTES = 8 << 20  # gathered at once: large enough to make the gather cheap, small enough to stay out of the way


def to_tensor(value: Any, who: str) -> Tensor:
    """Data as a tensor, without a copy where its type allows it.

    Args:
        value: Array, tensor, list, number or pandas object.
        who: The argument's name, for messages.

    Raises:
        TypeError: text or objects.
    """
    if isinstance(value, Tensor):
        return value.to(config.float_dtype()) if value.dtype is torch.float64 and config.floatx() != "float64" else value
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{who} is no array: its parts have unequal lengths ({error}). Pad them with pad_sequences, or cut them to one length."
        ) from error
    if array.dtype.kind not in "fiub":
        what = (
            "texts"
            if array.dtype.kind in "US"
            else "lists of unequal length or other objects"
            if array.dtype.kind == "O"
            else f"values of type {array.dtype}"
        )
        raise TypeError(
            f"{who} must be numbers, but got {what} (dtype {array.dtype}). Turn them into arrays of numbers first, by Tokenizer, pad_sequences, ..."
        )
    if array.dtype.kind == "f":
        array = np.asarray(array, dtype=config.floatx() if config.floatx() != "bfloat16" else np.float32)
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # read-only memory is only read here
        return torch.from_numpy(array) if array.ndim else torch.as_tensor(array)


def flatten(structure: Any) -> list[Any]:
    """The leaves of one value, a list, or a dict."""
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        return list(structure.values())
    if isinstance(structure, (list, tuple)):
        return list(structure)
    return [structure]


def like(structure: Any, leaves: Sequence[Any]) -> Any:
    """Leaves in the form of a structure."""
    if structure is None:
        return None
    if isinstance(structure, Mapping):
        return dict(zip(structure, leaves, strict=True))
    if isinstance(structure, (list, tuple)):
        return list(leaves)
    return leaves[0]


class ArrayBatches:
    """Batches of tensors that are in memory; iterating anew starts the next epoch.

    Args:
        x, y, sample_weight: Tensors, lists or dicts of them; `y` and `sample_weight` may be `None`.
        batch_size: Samples in a batch; the last may be smaller.
        shuffle: True: a new order each epoch; "batch": batches in a new order, each whole; False: as given.
        device: Where batches are wanted.

    Yields:
        (x, y, sample_weight).
    """

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch_size: int, shuffle: bool | str, device: torch.device) -> None:
        self.structures = (x, y, sample_weight)
        self.flat: list[Tensor] = [*flatten(x), *flatten(y), *flatten(sample_weight)]
        self.samples = self.flat[0].shape[0]
        self.batch_size, self.shuffle, self.device = batch_size, shuffle, device
        self.counts = (len(flatten(x)), len(flatten(y)), len(flatten(sample_weight)))
        self.numpy_order = generations.choose("random.source") == "numpy"
        if device.type == "cuda":
            self._to_device()

    def _to_device(self) -> None:
        """Move all data once where it takes at most a quarter of the free memory; else each batch goes by itself."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in self.flat if tensor.device != self.device)
        free, _ = torch.cuda.mem_get_info(self.device)
        if size <= free // 4:
            self.flat = [tensor.to(self.device, non_blocking=True) for tensor in self.flat]

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def size_of(self, number: int) -> int:
        """Samples in the batch of that number in its epoch."""
        return min(self.batch_size, self.samples - number * self.batch_size)

    def order(self) -> Tensor | None:
        """The order of the samples in the next epoch, `None`: as given."""
        if not self.shuffle:
            return None
        if self.shuffle == "batch":
            whole = self.samples // self.batch_size
            blocks = torch.from_numpy(np.random.permutation(whole)) if self.numpy_order else torch.randperm(whole)
            kept = (blocks[:, None] * self.batch_size + torch.arange(self.batch_size)).reshape(-1)
            return torch.cat([kept, torch.arange(whole * self.batch_size, self.samples)])
        if self.numpy_order:  # as Keras 1 and 2 draw it: the same seed gives the same order
            order = np.arange(self.samples)
            np.random.shuffle(order)
            return torch.from_numpy(order)
        return torch.randperm(self.samples)

    def pieces(self) -> Iterator[list[Tensor]]:
        """The data in this epoch's order, in pieces of whole batches."""
        order = self.order()
        if order is None:
            yield self.flat
            return
        row_bytes = sum(tensor[0].numel() * tensor.element_size() for tensor in self.flat) or 1
        rows = max(1, PIECE_BYTES // (row_bytes * self.batch_size)) * self.batch_size
        for index in order.split(rows):
            indices = {tensor.device: index.to(tensor.device, non_blocking=True) for tensor in self.flat}
            yield [tensor.index_select(0, indices[tensor.device]) for tensor in self.flat]

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        single = all(not isinstance(structure, (list, tuple, Mapping)) for structure in self.structures)
        has_y, has_weight = self.counts[1] > 0, self.counts[2] > 0
        for piece in self.pieces():
            for parts in zip(*(tensor.split(self.batch_size) for tensor in piece), strict=True):
                if parts[0].device != self.device:
                    parts = tuple(part.to(self.device, non_blocking=True) for part in parts)
                if single:
                    yield parts[0], parts[1] if has_y else None, parts[-1] if has_weight else None
                else:
                    yield self._structured(parts)

    def _structured(self, parts: Sequence[Tensor]) -> tuple[Any, Any, Any]:
        first, second = self.counts[0], self.counts[0] + self.counts[1]
        cut = (parts[:first], parts[first:second], parts[second:])
        x, y, weight = (like(structure, leaves) for structure, leaves in zip(self.structures, cut, strict=True))
        return x, y, weight
