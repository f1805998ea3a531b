"""A recurrent cell on valid steps that were moved to where a kernel wants them, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from torchkeras.ops.recurrent.gru_after_loop import gru_after_loop, trains_written_out
from torchkeras.ops.recurrent.kernels import run_fused
from torchkeras.ops.recurrent.lstm_loop import takes_loop
from torchkeras.ops.recurrent.order import StepOrder
from torchkeras.ops.recurrent.scan import masked_scan, packed_scan, scan
from torchkeras.ops.recurrent.steps import States, Step, project, standard_step
from torchkeras.ops.recurrent.weights import Weights

CLOSED: Final = 1e4  # shuts or opens a gate wholly, in half precision too


@dataclass(frozen=True)
class Recurrence:
    """How one cell runs.

    Attributes:
        step: (projected input, states, constants) -> (output, new states).
        project: What of a step does not depend on the state, for all steps at once: (slots, ...) -> (slots, ...).
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu" where the fused kernel of that mode computes the same.
        weights: Those of the fused kernel.
        by_row: Whether the step treats each row by itself and its output is its first state: then steps may be moved.
        loop: The same as `step` over many steps with a gradient of its own: (inputs (slots, size), states, rows of each step) ->
            (outputs, last states); without constants.
    """

    step: Step
    project: Callable[[Tensor], Tensor] | None = None
    mode: str | None = None
    weights: Weights | None = None
    by_row: bool = False
    loop: Callable[[Tensor, States, Sequence[int]], tuple[Tensor, States]] | None = None

    @classmethod
    def fused(cls, mode: str, weights: Weights) -> Recurrence:
        """The recurrence of a fused kernel; in the form "scan" its steps are taken one by one."""
        return cls(standard_step(mode, weights), lambda inputs: project(inputs, weights), mode, weights, by_row=True)


def run_moved(
    recurrence: Recurrence, data: Tensor, start: States, order: StepOrder, form: str, count: int, constants: tuple[Any, ...] = ()
) -> tuple[list[Tensor], States]:
    """Run a cell over data in the slots of an order.

    Args:
        recurrence: The cell.
        data: (slots, ...).
        start: The states of the rows of the first block.
        order: Where the slots are.
        form: "dense" or "packed".
        count: How many of the last states are wanted.
        constants: Handed to every step, their rows in the order of the batch.

    Returns:
        The outputs, which follow one another in the slots, and the first `count` last states by descending length.
    """
    if recurrence.mode is None or recurrence.weights is None:
        constants = tuple(None if each is None else order.sorted(each)[: order.sizes[0][1]] for each in constants)
        return _steps(recurrence, data, start, constants, order, form)
    if form == "packed":
        held = (tensor for tensor in recurrence.weights if tensor is not None)
        if trains_written_out(recurrence.mode, data.dtype, data, *start, *held):
            outputs, last = gru_after_loop(data, start[0], [rows for _, rows in order.sizes], recurrence.weights)
            return [outputs], (last,)
        return _packed_kernel(recurrence.mode, recurrence.weights, data, start, order)
    return _dense_kernel(recurrence.mode, recurrence.weights, data, start, order, count)


def _packed_kernel(mode: str, weights: Weights, data: Tensor, states: States, order: StepOrder) -> tuple[list[Tensor], States]:
    batch_sizes = torch.tensor([rows for _, rows in order.sizes])
    outputs, states = run_fused(mode, data, states, weights, batch_sizes=batch_sizes)
    return [outputs], states


def _dense_kernel(mode: str, weights: Weights, data: Tensor, states: States, order: StepOrder, count: int) -> tuple[list[Tensor], States]:
    """Run the fused kernel block by block, and give the outputs and the first `count` last states.

    A row's last output is read where it is, since the kernel goes on over padding; the carry of an LSTM is kept over it.
    """
    if mode == "lstm" and count > 1 and order.padded is not None:
        data, weights = _hold_carry(data, weights, order.padded)
    parts: list[Tensor] = []
    ended: list[tuple[Tensor, ...]] = []
    blocks = data.split([span * rows for span, rows in order.sizes])
    left = order.sizes[0][1]  # rows that have steps after a block
    for (span, rows), block, ends in zip(order.sizes, blocks, order.ends, strict=True):
        if rows < states[0].shape[0]:
            states = tuple(state[:rows] for state in states)
        outputs, states = run_fused(mode, block.view(span, rows, -1), states, weights, batch_first=False)
        parts.append(outputs.reshape(span * rows, -1))
        begin, left = left, left - ends.shape[0]
        if count:
            ended.append((parts[-1].index_select(0, ends), *(state[left:begin] for state in states[1:count])))
    return parts, tuple(torch.cat(each) if len(ended) > 1 else each[0] for each in zip(*reversed(ended), strict=True))


def _hold_carry(data: Tensor, weights: Weights, padded: Tensor) -> tuple[Tensor, Weights]:
    """Give an LSTM one more input that shuts the input gate and opens the forget gate at padding, so that c stays as it is.

    A fused kernel gives c only after the last step, padding or not; h needs no such care, it is among the outputs.
    """
    units = weights.units
    gates = data.new_zeros(4, units)
    gates[0], gates[1] = -CLOSED, CLOSED
    wider = torch.cat((weights.weight_ih, gates.view(-1, 1).to(weights.weight_ih.dtype)), 1)
    return torch.cat((data, padded.unsqueeze(1).to(data.dtype)), 1), weights._replace(weight_ih=wider)


def _steps(
    recurrence: Recurrence, data: Tensor, states: States, constants: tuple[Any, ...], order: StepOrder, form: str
) -> tuple[list[Tensor], States]:
    if form == "packed":
        sizes = [rows for _, rows in order.sizes]
        if recurrence.loop is not None and not constants and takes_loop(data, *states):
            outputs, states = recurrence.loop(data, states, sizes)
            return [outputs], states
    projected = data if recurrence.project is None else recurrence.project(data)
    if form == "packed":
        return packed_scan(recurrence.step, projected.split(sizes), states, constants)
    ((span, rows),) = order.sizes
    each = projected.unflatten(0, (span, rows)).unbind(0)
    if order.padded is None:
        return scan(recurrence.step, each, states, constants)
    return masked_scan(recurrence.step, each, states, constants, mask=(~order.padded).view(span, rows).unbind(0))


def finish(ended: States, initial: States, order: StepOrder) -> States:
    """Last states in the order of the batch: those of rows without a valid step are the initial ones."""
    rows = order.sizes[0][1]
    last = []
    for state, start in zip(ended, initial, strict=True):
        if order.alive is not None:
            state = torch.where(_over(order.alive, state), state, start[:rows])
        if rows < start.shape[0]:
            state = torch.cat((state, start[rows:]))
        last.append(order.unsorted(state))
    return tuple(last)


def last_output(state: Tensor, order: StepOrder, masked_output: str) -> Tensor:
    """The output of the last step where no other is wanted."""
    if masked_output == "state" or (masked_output == "output" and order.alive is None and order.sizes[0][1] == state.shape[0]):
        return state
    own = order.mask[:, -1] if masked_output == "zeros" else order.given.any(1)
    return torch.where(_over(own, state), state, 0.0)


def put_back(parts: list[Tensor], initial: Tensor, order: StepOrder, masked_output: str) -> Tensor:
    """The output of every step of the batch, read from the slot where it was computed or from a row to fill with."""
    index, filled = order.reading(masked_output)
    if filled:
        fill = initial if masked_output == "state" else torch.zeros_like(initial)
        parts = [*parts, fill.to(parts[0].dtype)]
    every = torch.cat(parts) if len(parts) > 1 else parts[0]
    return every.index_select(0, index).unflatten(0, order.given.shape)


def _over(rows: Tensor, like: Tensor) -> Tensor:
    """Values of rows as wide as a tensor that has more axes."""
    return rows.view(-1, *(1,) * (like.dim() - 1))
