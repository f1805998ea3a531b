"""One step of a convolutional LSTM (Shi et al., 2015, without the feedback loop on the cell's output)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.ops.padding import pad_space
from torchkeras.ops.recurrent.steps import Activation, States, lstm_gates
from torchkeras.ops.recurrent.weights import Weights
from torchkeras.ops.windows import divided_pads


def convolve(
    inputs: Tensor, weight: Tensor, bias: Tensor | None, padding: str, strides: tuple[int, ...] = (1, 1), dilation: tuple[int, ...] = (1, 1)
) -> Tensor:
    """Two-dimensional convolution as Keras pads it.

    Args:
        inputs: (batch, channels, height, width).
        weight: (filters, channels, height, width).
        bias: (filters,) or `None`.
        padding: "same" or "valid".
        strides, dilation: Of both axes.
    """
    pads, rest = divided_pads(inputs.shape[2:], padding, weight.shape[2:], strides, dilation)
    return F.conv2d(pad_space(inputs, rest, True), weight, bias, strides, pads, dilation)


def conv_lstm_step(
    projected: Tensor,
    states: States,
    constants: tuple[Any, ...] = (),
    *,
    weights: Weights,
    activation: Activation,
    recurrent_activation: Activation,
    channels_last: bool,
) -> tuple[Tensor, States]:
    """One step, gates i f g o.

    Args:
        projected: The convolved inputs, (batch, 4 * filters, height, width).
        states: h and c, channels last or first.
        constants: Empty, or the dropout masks of h, one for each gate: (batch, 4, ...).
        weights: `weight_hh` is (4 * filters, filters, height, width).
        activation: Of the candidate and of the carry on its way out.
        recurrent_activation: Of the gates.
        channels_last: Whether states and output are (batch, height, width, filters).
    """
    inward = (0, 3, 1, 2) if channels_last else (0, 1, 2, 3)
    outward = (0, 2, 3, 1) if channels_last else (0, 1, 2, 3)
    hidden, carry = states
    if constants:
        by_gate = zip(constants[0].unbind(1), weights.weight_hh.chunk(4), strict=True)
        recurrent = torch.cat([convolve((hidden * mask).permute(inward), weight, None, "same") for mask, weight in by_gate], 1)
    else:
        recurrent = convolve(hidden.permute(inward), weights.weight_hh, None, "same")
    hidden, (_, carry) = lstm_gates(projected + recurrent, carry.permute(inward), activation, recurrent_activation)
    hidden, carry = hidden.permute(outward), carry.permute(outward)
    return hidden, (hidden, carry)
