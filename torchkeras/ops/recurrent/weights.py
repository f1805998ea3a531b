"""Weights of one recurrent layer in torch's layout, and the way from and to Keras' layout.

Keras and torch agree on the gates of an LSTM (i f c o is i f g o). A GRU is z r h in Keras and r z n in torch: the
first two blocks change places. Both write new = (1 - z) * candidate + z * old.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

Mode = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
GATES: Final[dict[str, int]] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


class Weights(NamedTuple):
    """Weights of one layer and direction, as `torch.nn.LSTM` and its kin have them.

    Shape:
        weight_ih (gates * units, inputs), weight_hh (gates * units, units), bias_ih and bias_hh (gates * units,).
        A bias that is `None` counts as zero.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None

    @property
    def units(self) -> int:
        """Size of the state."""
        return self.weight_hh.shape[1]


def swap_gates(tensor: Tensor, mode: str, dim: int = 0) -> Tensor:
    """Turn the gate order of Keras into that of torch along `dim`, or back: it is the same step both ways.

    Args:
        tensor: Weight or bias with the gates' blocks along `dim`.
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu"; all but the GRU come back unchanged.
        dim: The axis of the gates.
    """
    if mode != "gru":
        return tensor
    first, second, candidate = tensor.chunk(3, dim)
    return torch.cat((second, first, candidate), dim)


def weights_from_keras(mode: str, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor | None = None) -> Weights:
    """Weights in torch's layout from Keras' `kernel`, `recurrent_kernel` and `bias`.

    Args:
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        kernel: (inputs, gates * units).
        recurrent_kernel: (units, gates * units).
        bias: (gates * units,), or (2, gates * units) of a GRU with `reset_after`, whose rows are torch's two biases.
    """
    ih, hh = swap_gates(kernel.t(), mode), swap_gates(recurrent_kernel.t(), mode)
    if bias is None:
        return Weights(ih.contiguous(), hh.contiguous())
    bias = swap_gates(bias, mode, dim=-1)
    bias_ih, bias_hh = (bias[0], bias[1]) if bias.dim() == 2 else (bias, None)
    return Weights(ih.contiguous(), hh.contiguous(), bias_ih, bias_hh)


def weights_to_keras(mode: str, weights: Weights) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keras' (kernel, recurrent_kernel, bias) from weights in torch's layout; two biases become rows of one."""
    kernel, recurrent = swap_gates(weights.weight_ih, mode).t(), swap_gates(weights.weight_hh, mode).t()
    if weights.bias_ih is None:
        return kernel, recurrent, None
    bias = weights.bias_ih if weights.bias_hh is None else torch.stack((weights.bias_ih, weights.bias_hh))
    return kernel, recurrent, swap_gates(bias, mode, dim=-1)
