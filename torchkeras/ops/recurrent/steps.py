"""One step of the standard cells, after the projection of the inputs.

A step takes the projected inputs (batch, gates * units), the states and the constants, all with the batch first, and
returns the output and the new states. Gates are in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.ops.recurrent.weights import GATES, Weights

Activation = Callable[[Tensor], Tensor]
States = tuple[Tensor, ...]
Step = Callable[[Any, States, tuple[Any, ...]], tuple[Tensor, States]]


def project(inputs: Tensor, weights: Weights, dropped: Tensor | None = None) -> Tensor:
    """`inputs @ weight_ih.T + bias_ih`, for any number of steps in one matrix product.

    Args:
        inputs: (..., size).
        weights: In torch's layout.
        dropped: Dropout masks of the inputs, one for all gates, (batch, 1, size), or one for each,
            (batch, gates, size), with `inputs` (batch, steps, size); `None`: no dropout.
    """
    if dropped is None:
        return F.linear(inputs, weights.weight_ih, weights.bias_ih)
    if dropped.shape[1] == 1:
        return F.linear(inputs * dropped, weights.weight_ih, weights.bias_ih)
    gates = dropped.shape[1]
    by_gate = zip(dropped.unbind(1), weights.weight_ih.chunk(gates), strict=True)
    projected = torch.cat([F.linear(inputs * mask.unsqueeze(1), block) for mask, block in by_gate], -1)
    return projected if weights.bias_ih is None else projected + weights.bias_ih


def recur(hidden: Tensor, weight: Tensor, bias: Tensor | None, dropped: Tensor | None, added: Tensor | None = None) -> Tensor:
    """`hidden @ weight.T + bias + added`, with dropout masks of the state as in `project`.

    Args:
        hidden: (batch, units).
        weight: (blocks * units, units).
        bias: (blocks * units,) or `None`.
        dropped: (batch, 1, units), one mask for all blocks, or (batch, blocks, units), or `None`.
        added: (batch, blocks * units) or `None`.
    """
    if dropped is not None and dropped.shape[1] > 1:
        blocks = dropped.shape[1]
        by_block = (hidden.unsqueeze(1) * dropped).transpose(0, 1)  # (blocks, batch, units)
        product = torch.bmm(by_block, weight.view(blocks, -1, weight.shape[1]).transpose(1, 2))
        product = product.transpose(0, 1).flatten(1)
        product = product if bias is None else product + bias
        return product if added is None else product + added
    if dropped is not None:
        hidden = hidden * dropped.squeeze(1)
    if bias is not None or added is None:
        product = F.linear(hidden, weight, bias)
        return product if added is None else product + added
    return torch.addmm(added, hidden, weight.t())


def simple_rnn_step(
    projected: Tensor, states: States, constants: tuple[Any, ...] = (), *, weights: Weights, activation: Activation
) -> tuple[Tensor, States]:
    """h = activation(projected + h @ weight_hh.T); `constants` may hold the state's dropout mask."""
    hidden = activation(recur(states[0], weights.weight_hh, weights.bias_hh, constants[0] if constants else None, projected))
    return hidden, (hidden,)


def lstm_step(
    projected: Tensor,
    states: States,
    constants: tuple[Any, ...] = (),
    *,
    weights: Weights,
    activation: Activation = torch.tanh,
    recurrent_activation: Activation = torch.sigmoid,
) -> tuple[Tensor, States]:
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000), gates i f g o."""
    gates = recur(states[0], weights.weight_hh, weights.bias_hh, constants[0] if constants else None, projected)
    return lstm_gates(gates, states[1], activation, recurrent_activation)


def lstm_gates(gates: Tensor, carry: Tensor, activation: Activation, recurrent_activation: Activation) -> tuple[Tensor, States]:
    """What an LSTM makes of its gates' sums (batch, 4 * units, ...), in the order i f g o, and of its carry (batch, units, ...)."""
    units = carry.shape[1]
    opened, candidate, shown = gates.split((2 * units, units, units), 1)
    write, keep = recurrent_activation(opened).chunk(2, 1)
    carry = torch.addcmul(keep * carry, write, activation(candidate))
    hidden = recurrent_activation(shown) * activation(carry)
    return hidden, (hidden, carry)


def gru_step(
    projected: Tensor,
    states: States,
    constants: tuple[Any, ...] = (),
    *,
    weights: Weights,
    activation: Activation = torch.tanh,
    recurrent_activation: Activation = torch.sigmoid,
    reset_after: bool = True,
) -> tuple[Tensor, States]:
    """Gated recurrent unit, gates r z n.

    Args:
        projected: Projected inputs.
        states: (h,).
        constants: Empty, or the state's dropout mask.
        weights: In torch's layout.
        activation: Of the candidate.
        recurrent_activation: Of the gates.
        reset_after: Whether the reset gate acts after the matrix product, as in cuDNN, or on the state before it (Cho
            et al., 2014, first version).
    """
    (hidden,) = states
    units = hidden.shape[1]
    dropped = constants[0] if constants else None
    gates_in, candidate_in = projected.split((2 * units, units), 1)
    if reset_after:
        recurrent = recur(hidden, weights.weight_hh, weights.bias_hh, dropped)
        gates_hh, candidate_hh = recurrent.split((2 * units, units), 1)
        reset, update = recurrent_activation(gates_in + gates_hh).chunk(2, 1)
        candidate = activation(torch.addcmul(candidate_in, reset, candidate_hh))
    else:
        weight_gates, weight_candidate = weights.weight_hh.split((2 * units, units))
        each = dropped is not None and dropped.shape[1] > 1
        for_gates, for_candidate = (dropped[:, :2], dropped[:, 2:]) if each and dropped is not None else (dropped, dropped)
        reset, update = recurrent_activation(recur(hidden, weight_gates, None, for_gates, gates_in)).chunk(2, 1)
        candidate = activation(recur(reset * hidden, weight_candidate, None, for_candidate, candidate_in))
    hidden = torch.addcmul(candidate, update, hidden - candidate)  # lerp takes no mixed types, as autocast makes them
    return hidden, (hidden,)


def standard_step(mode: str, weights: Weights) -> Step:
    """The step that the fused kernel of a mode takes."""
    if mode == "lstm":
        return partial(lstm_step, weights=weights)
    if mode == "gru":
        return partial(gru_step, weights=weights)
    return partial(simple_rnn_step, weights=weights, activation=torch.tanh if mode == "rnn_tanh" else torch.relu)


STATES: Final = {mode: 2 if mode == "lstm" else 1 for mode in GATES}
