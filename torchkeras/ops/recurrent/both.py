"""Both directions of a masked sequence in one call of a fused kernel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchkeras.ops.recurrent.choice import choose_form
from torchkeras.ops.recurrent.gru_after_loop import trains_written_out
from torchkeras.ops.recurrent.kernels import run_fused
from torchkeras.ops.recurrent.order import every_step, known_lengths, remembered_order
from torchkeras.ops.recurrent.recurrence import finish, last_output, put_back
from torchkeras.ops.recurrent.runs import lengths_on_host
from torchkeras.ops.recurrent.steps import STATES, States
from torchkeras.ops.recurrent.weights import Weights


class Both(NamedTuple):
    """What two directions give.

    Attributes:
        outputs: (batch, steps, 2 * units) side by side, in the order of the steps, where they were asked for; else `None`.
        last: The last output of each, (batch, units), where the others were not asked for; else it may be empty.
        states: The last states of the first, then of the second.
    """

    outputs: Tensor | None
    last: tuple[Tensor, ...]
    states: States


def run_both(
    mode: str,
    inputs: Tensor,
    mask: Tensor,
    weights: Weights,
    backward_weights: Weights,
    *,
    return_sequences: bool = True,
    masked_output: str = "output",
    masked: str = "auto",
) -> Both | None:
    """Run two layers over the valid steps alone, the second from the end of each row: in the packed form, from states of zeros.

    Args:
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        inputs: (batch, steps, size).
        mask: (batch, steps), True where a step counts.
        weights, backward_weights: Those of the two layers, of one size.
        return_sequences: Whether the outputs of all steps are wanted, in the order of the steps.
        masked_output: What a masked step puts out; see `run`.
        masked: "auto" or "packed"; see `run`.

    Returns:
        `None` where the two should run one by one: that is quicker, or what masked steps put out depends on the direction.
    """
    lengths = lengths_on_host(mask, known_lengths(mask))
    if lengths is None:
        return None
    if min(lengths) == mask.shape[1]:
        outputs, last = run_fused(mode, inputs, None, weights, backward_weights=backward_weights)
        states = tuple(state[side] for side in (0, 1) for state in last)
        return Both(outputs if return_sequences else None, (states[0], states[len(last)]), states)
    if masked == "auto" and trains_written_out(mode, inputs.dtype, mask):
        return None
    form = choose_form(mode, inputs.dtype, mask, lengths) if masked == "auto" else masked
    if form != "packed" or return_sequences != (masked_output == "zeros"):
        return None
    order = remembered_order(mask, lengths, every_step, go_backwards=False)
    batch, rows = inputs.shape[0], order.sizes[0][1]
    data = inputs.flatten(0, 1).index_select(0, order.source)
    zeros = data.new_zeros((2, batch, weights.units))
    outputs, ended = run_fused(
        mode,
        data,
        (zeros[:, :rows],) * STATES[mode],
        weights,
        batch_sizes=torch.tensor([alive for _, alive in order.sizes]),
        backward_weights=backward_weights,
    )
    there, back = (finish(tuple(state[side] for state in ended), (zeros[side],) * len(ended), order) for side in (0, 1))
    last = tuple(last_output(side[0], order, masked_output) for side in (there, back)) if not return_sequences else ()
    every = put_back([outputs], zeros.new_zeros((batch, 2 * weights.units)), order, masked_output) if return_sequences else None
    return Both(every, last, (*there, *back))
