"""Layouts of recurrent weights: gates side by side, in Keras' order and in torch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchkeras.layers.layouts import Layout
from torchkeras.ops.recurrent import GATES, swap_gates


@dataclass(frozen=True)
class GateKernel(Layout):
    """Keras (size, gates * units), stored (gates * units, size) with the gates in torch's order: a copy, not a view.

    Args:
        mode: "gru", the one whose gates change places.
    """

    mode: str = "gru"

    @property
    def is_view(self) -> bool:
        return False

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return swap_gates(stored, self.mode).t()

    def to_torch(self, value: Tensor) -> Tensor:
        return swap_gates(value.t(), self.mode).contiguous()


@dataclass(frozen=True)
class GateBias(Layout):
    """Keras (gates * units,) or (2, gates * units), stored in the same shape with the gates in torch's order: a copy."""

    mode: str = "gru"

    @property
    def is_view(self) -> bool:
        return False

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return swap_gates(stored, self.mode, dim=-1)

    def to_torch(self, value: Tensor) -> Tensor:
        return swap_gates(value, self.mode, dim=-1).contiguous()


@dataclass(frozen=True)
class CudnnKernel(Layout):
    """Kernels of Keras' CuDNN layers: each gate's block holds the numbers of torch's (units, size) in that order, but is
    called (size, units)."""

    mode: str

    @property
    def is_view(self) -> bool:
        return False

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        blocks = swap_gates(stored, self.mode).chunk(GATES[self.mode])
        return torch.cat([block.reshape(keras_shape[0], -1) for block in blocks], 1)

    def to_torch(self, value: Tensor) -> Tensor:
        blocks = value.chunk(GATES[self.mode], 1)
        return swap_gates(torch.cat([block.reshape(block.shape[1], block.shape[0]) for block in blocks]), self.mode).contiguous()


@dataclass(frozen=True)
class CudnnBias(Layout):
    """Biases of Keras' CuDNN layers: (2 * gates * units,), stored (2, gates * units) with the gates in torch's order."""

    mode: str

    @property
    def is_view(self) -> bool:
        return self.mode != "gru"

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return swap_gates(stored, self.mode, dim=-1).reshape(-1)

    def to_torch(self, value: Tensor) -> Tensor:
        return swap_gates(value.reshape(2, -1), self.mode, dim=-1).contiguous()
