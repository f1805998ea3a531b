"""Bridges between torch's and Keras' layout of a weight.

A `Layout` turns the stored tensor (torch's layout) into the Keras one and back. All of them but `Blocks` are
views, so writing to the Keras side writes to the parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The same layout on both sides."""

    @property
    def is_view(self) -> bool:
        """Whether `to_keras` shares memory with the stored tensor."""
        return True

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        """The stored tensor as Keras has it."""
        return stored

    def to_torch(self, value: Tensor) -> Tensor:
        """A tensor in Keras' layout as it is stored."""
        return value


@dataclass(frozen=True)
class Permuted(Layout):
    """Keras' axes are the stored ones in another order.

    Args:
        order: `keras = stored.permute(order)`.
        channels_last: Store in torch's channels-last memory format, which the kernels of convolutions want.
    """

    order: tuple[int, ...] = (1, 0)
    channels_last: bool = False

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return stored.permute(self.order)

    def to_torch(self, value: Tensor) -> Tensor:
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        stored = value.permute(inverse)
        if self.channels_last and stored.dim() == 3:  # torch has no name for it: (out, in, window), with `in` next to each other
            return stored.transpose(1, 2).contiguous().transpose(1, 2)
        if self.channels_last and stored.dim() in (4, 5):
            memory = torch.channels_last if stored.dim() == 4 else torch.channels_last_3d
            return stored.contiguous(memory_format=memory)
        return stored.contiguous()


@dataclass(frozen=True)
class Depthwise(Layout):
    """Depthwise kernels: Keras (*window, channels, multiplier), stored (channels * multiplier, 1, *window)."""

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        window = tuple(keras_shape[:-2])
        split = stored.view(keras_shape[-2], keras_shape[-1], *window)
        return split.permute(*range(2, 2 + len(window)), 0, 1)

    def to_torch(self, value: Tensor) -> Tensor:
        window = value.dim() - 2
        moved = value.permute(window, window + 1, *range(window))
        return moved.reshape(-1, 1, *value.shape[:window]).contiguous()


as_is = Layout()
dense = Permuted((1, 0))
conv1d = Permuted((2, 1, 0), channels_last=True)
conv2d = Permuted((2, 3, 1, 0), channels_last=True)
conv3d = Permuted((2, 3, 4, 1, 0), channels_last=True)
# for channels-first data, on which a channels-last kernel would make torch convert the whole input
conv_channels_first = {1: Permuted((2, 1, 0)), 2: Permuted((2, 3, 1, 0)), 3: Permuted((2, 3, 4, 1, 0))}
depthwise = Depthwise()
