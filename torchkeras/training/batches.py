"""What the loops ask of data, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.masks import get_mask, set_mask
from torchkeras.ops.recurrent import hand_on_counts
from torchkeras.training.tensors import flatten, like

Batch = tuple[Any, Any, Any]  # inputs, targets, sample weights: tensors, or lists of them (with `None` for what is not there)


class Batches:
    """Batches on a device; iterating starts an epoch.

    Attributes:
        steps: Batches in an epoch, `None` where only the end of the data tells.
        samples: Samples in an epoch, `None` where unknown.
        batch_size: Samples in a whole batch.
        restarts: Whether the data can be iterated anew; a generator cannot.
        device: Where batches are wanted.
    """

    steps: int | None = None
    samples: int | None = None
    batch_size: int | None = None
    restarts: bool = True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __iter__(self) -> Iterator[Batch]:
        raise NotImplementedError

    def first(self) -> Batch:
        """Some samples to build the model with and to check, on any device; they are not lost for training."""
        raise NotImplementedError

    def size_of(self, number: int) -> int:
        """Samples in the batch of that number in its epoch, which is the present one."""
        raise NotImplementedError

    def epoch_ended(self) -> None:
        """Told after each epoch, before the first batch of the next."""

    def outputs(self) -> Any:
        """What gathers the predictions of this data, where it takes more than joining the batches; else `None`."""
        return None

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """From here on know the place in the data, for a run that is to be gone on with by another process. Before the first batch.

        Args:
            position: Where to begin, as `position()` of another process gave it; `None`: at the beginning.

        Raises:
            ValueError: data that cannot be gone on with, or other data than those of the position.
        """
        raise NotImplementedError(f"{type(self).__name__} does not know its place.")

    def position(self) -> dict[str, Any] | None:
        """The place after the last batch that was given, as plain data; `None` in a process that reads no data."""
        raise NotImplementedError(f"{type(self).__name__} does not know its place.")

    def allow(self, batches: int) -> None:
        """Told where the place will be asked for: so many batches may be made ahead, no more."""

    def left(self) -> None:
        """Told where a pass over the data is not gone on with."""

    def close(self, timeout: float | None = None) -> None:
        """End what works in the background; wait for it so many seconds, or (`None`) until it is gone."""


def on_device(structure: Any, device: torch.device) -> Any:
    """Tensors of a structure on a device; from the CPU to CUDA without a wait."""
    if isinstance(structure, Tensor):
        return structure if structure.device == device else moved(structure, device)
    return like(structure, [None if leaf is None else on_device(leaf, device) for leaf in flatten(structure)])


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on another device, with what hangs on it. To CUDA it goes by pinned memory, so that neither side waits."""
    source = tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor
    there = source.to(device, non_blocking=device.type == "cuda")
    if tensor.__dict__:  # a mask, and lengths that the host counted: so no one has to wait for the device to count
        mask = get_mask(tensor)
        set_mask(there, None if mask is None else moved(mask, device))
        hand_on_counts(tensor, there)
    return there
