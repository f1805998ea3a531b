"""Run a recurrent cell over a batch of sequences, under a mask of any pattern.

Three forms give the same numbers: "dense" runs a fused kernel over valid steps that were moved to the front and picks
each row's last valid step; "packed" runs exactly the valid steps; "scan" goes over all steps and holds rows still at
masked ones. What a masked step puts out is then a matter of where its output is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from torchkeras.ops.recurrent.choice import choose_cut, choose_form
from torchkeras.ops.recurrent.kernels import run_fused
from torchkeras.ops.recurrent.order import StepOrder, every_step, one_block, readable, remembered_order
from torchkeras.ops.recurrent.scan import masked_scan, packed_scan, scan
from torchkeras.ops.recurrent.steps import States, Step, project, standard_step
from torchkeras.ops.recurrent.weights import Weights

FORMS: Final = ("auto", "dense", "packed", "scan")
MASKED_OUTPUTS: Final = ("output", "state", "zeros")
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
    """

    step: Step
    project: Callable[[Tensor], Tensor] | None = None
    mode: str | None = None
    weights: Weights | None = None
    by_row: bool = False

    @classmethod
    def fused(cls, mode: str, weights: Weights) -> Recurrence:
        """The recurrence of a fused kernel; in the form "scan" its steps are taken one by one."""
        return cls(standard_step(mode, weights), lambda inputs: project(inputs, weights), mode, weights, by_row=True)


class Result(NamedTuple):
    """What a run gives: the last output, the outputs of all steps and the last states, where asked for."""

    last: Tensor
    outputs: Tensor | None
    states: States


class _Wanted(NamedTuple):
    go_backwards: bool
    return_sequences: bool
    return_state: bool
    masked_output: str


def run(
    recurrence: Recurrence,
    inputs: Tensor | Sequence[Any],
    states: States,
    mask: Tensor | None = None,
    *,
    constants: tuple[Any, ...] = (),
    lengths: Sequence[int] | None = None,
    go_backwards: bool = False,
    return_sequences: bool = True,
    return_state: bool = True,
    masked_output: str = "output",
    masked: str = "auto",
) -> Result:
    """Run a cell over all steps.

    Args:
        recurrence: The cell.
        inputs: (batch, steps, ...), or the inputs of each step in any form that the step takes.
        states: The initial states, (batch, ...) each.
        mask: (batch, steps), True where a step counts; rows keep their states over the others.
        constants: Handed to every step: tensors with the batch first.
        lengths: Valid steps of each row where the host knows them; they are read from a mask on the CPU.
        go_backwards: Process the steps from the last to the first; outputs come in the order of processing.
        return_sequences: Whether the outputs of all steps are wanted.
        return_state: Whether the last states are wanted; else there may be none.
        masked_output: What a masked step puts out: "output", the previous output, zeros at first (tf.keras); "state",
            the previous first state, so the initial state at first (Keras 2.2.4); "zeros".
        masked: How masked steps are passed over: "dense", "packed", "scan" or "auto", the fastest known.

    Shape:
        last (batch, ...), outputs (batch, steps, ...), states (batch, ...) each

    Raises:
        ValueError: no step, a mask of another shape, an unknown form, or a form that the cell cannot take.
    """
    _check(recurrence, inputs, mask, masked_output, masked)
    wanted = _Wanted(go_backwards, return_sequences, return_state, masked_output)
    known = None if mask is None else _known_lengths(mask, lengths)
    if known is not None and mask is not None and min(known) == mask.shape[1]:
        mask = None
    if mask is None:
        return _run_plain(recurrence, inputs, states, constants, wanted)
    form = masked
    if form == "auto":
        form = choose_form(recurrence.mode, inputs, known) if isinstance(inputs, Tensor) and recurrence.by_row else "scan"
    if form == "scan" or not isinstance(inputs, Tensor):
        return _run_masked_scan(recurrence, inputs, states, constants, mask, wanted)
    if form == "packed" and known is None:
        known = mask.sum(1).tolist()  # packing needs the lengths on the host
    cut = every_step if form == "packed" else choose_cut(recurrence.mode, inputs, states[0].shape[-1]) if masked == "auto" else one_block
    order = remembered_order(mask, known, cut, go_backwards=go_backwards)
    return _run_ordered(recurrence, inputs, states, constants, order, form, wanted)


def _check(recurrence: Recurrence, inputs: Any, mask: Tensor | None, masked_output: str, masked: str) -> None:
    steps = inputs.shape[1] if isinstance(inputs, Tensor) else len(inputs)
    if steps == 0:
        raise ValueError(
            "A recurrent layer needs at least one time step, but got sequences of length 0. Drop them, or pad them and mask the padding."
        )
    if masked not in FORMS:
        raise ValueError(f"masked must be one of {FORMS}, but got {masked!r}.")
    if masked_output not in MASKED_OUTPUTS:
        raise ValueError(f"masked_output must be one of {MASKED_OUTPUTS}, but got {masked_output!r}.")
    if mask is None:
        return
    if isinstance(inputs, Tensor) and mask.shape != inputs.shape[:2]:
        raise ValueError(
            f"A recurrent layer needs a mask of shape (batch, steps) = {tuple(inputs.shape[:2])} for inputs of shape "
            f"{tuple(inputs.shape)}, but got a mask of shape {tuple(mask.shape)}."
        )
    if masked in ("dense", "packed") and not (recurrence.by_row and isinstance(inputs, Tensor)):
        raise ValueError(
            f"masked={masked!r} moves time steps, which only cells that treat each row by itself and put out their first state allow. "
            "Use masked='scan' or 'auto' for this cell."
        )


def _known_lengths(mask: Tensor, lengths: Sequence[int] | None) -> list[int] | None:
    """Valid steps of each row where no device has to be waited for."""
    if lengths is not None:
        return [int(length) for length in lengths]
    return mask.sum(1).tolist() if readable(mask) else None


def _over_steps(recurrence: Recurrence, inputs: Tensor | Sequence[Any], go_backwards: bool) -> list[Any]:
    """The projected input of each step, in the order of processing."""
    if isinstance(inputs, Tensor):
        steps = list((inputs if recurrence.project is None else recurrence.project(inputs)).unbind(1))
    else:
        steps = list(inputs)
    return steps[::-1] if go_backwards else steps


def _run_plain(recurrence: Recurrence, inputs: Tensor | Sequence[Any], states: States, constants: tuple[Any, ...], wanted: _Wanted) -> Result:
    if recurrence.mode is not None and recurrence.weights is not None and isinstance(inputs, Tensor):
        outputs, states = run_fused(recurrence.mode, inputs.flip(1) if wanted.go_backwards else inputs, states, recurrence.weights)
        return Result(outputs[:, -1], outputs if wanted.return_sequences else None, states)
    each, states = scan(recurrence.step, _over_steps(recurrence, inputs, wanted.go_backwards), states, constants)
    return Result(each[-1], torch.stack(each, 1) if wanted.return_sequences else None, states)


def _run_masked_scan(
    recurrence: Recurrence, inputs: Tensor | Sequence[Any], states: States, constants: tuple[Any, ...], mask: Tensor, wanted: _Wanted
) -> Result:
    valid = mask.unbind(1)
    each, states = masked_scan(
        recurrence.step,
        _over_steps(recurrence, inputs, wanted.go_backwards),
        states,
        constants,
        mask=valid[::-1] if wanted.go_backwards else valid,
        masked_output=wanted.masked_output,
    )
    return Result(each[-1], torch.stack(each, 1) if wanted.return_sequences else None, states)


def _run_ordered(
    recurrence: Recurrence, inputs: Tensor, states: States, constants: tuple[Any, ...], order: StepOrder, form: str, wanted: _Wanted
) -> Result:
    """Move the valid steps to where the kernel wants them, run it, and read every step's output where it now is."""
    data = inputs.flatten(0, 1).index_select(0, order.source)
    alive = order.sizes[0][1]
    first = order.sorted(states[0])
    initial = (first, *(first if state is states[0] else order.sorted(state) for state in states[1:]))
    start = tuple(state[:alive] for state in initial)
    # how many of the last states are asked for: all, the first as the last output, or none
    count = len(states) if wanted.return_state else 0 if wanted.return_sequences else 1
    if recurrence.mode is None or recurrence.weights is None:
        constants = tuple(None if each is None else order.sorted(each)[:alive] for each in constants)
        parts, ended = _steps(recurrence, data, start, constants, order, form)
    elif form == "packed":
        parts, ended = _packed_kernel(recurrence.mode, recurrence.weights, data, start, order)
    else:
        parts, ended = _dense_kernel(recurrence.mode, recurrence.weights, data, start, order, count)
    last = _finish(ended[:count], initial[:count], order)
    if wanted.return_sequences:
        outputs = _put_back(parts, states[0], order, wanted.masked_output)
        return Result(outputs[:, -1], outputs, last)
    return Result(_last_output(last[0], order, wanted.masked_output), None, last if wanted.return_state else ())


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
    for (span, rows), block, ends in zip(order.sizes, blocks, order.ends, strict=True):
        if rows < states[0].shape[0]:
            states = tuple(state[:rows] for state in states)
        outputs, states = run_fused(mode, block.view(span, rows, -1), states, weights, batch_first=False)
        parts.append(outputs.reshape(span * rows, -1))
        stay = rows - len(ends)
        if count:
            ended.append((parts[-1].index_select(0, ends), *(state[stay:] for state in states[1:count])))
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
    projected = data if recurrence.project is None else recurrence.project(data)
    if form == "packed":
        return packed_scan(recurrence.step, projected.split([rows for _, rows in order.sizes]), states, constants)
    ((span, rows),) = order.sizes
    each = projected.unflatten(0, (span, rows)).unbind(0)
    if order.padded is None:
        return scan(recurrence.step, each, states, constants)
    return masked_scan(recurrence.step, each, states, constants, mask=(~order.padded).view(span, rows).unbind(0))


def _finish(ended: States, initial: States, order: StepOrder) -> States:
    """Last states in the order of the batch: those of rows without a valid step are the initial ones."""
    rows = order.sizes[0][1]
    last = []
    for state, start in zip(ended, initial, strict=True):
        if order.alive is not None:
            state = torch.where(_over(order.alive, state), state, start[:rows])
        if rows < len(start):
            state = torch.cat((state, start[rows:]))
        last.append(order.unsorted(state))
    return tuple(last)


def _last_output(state: Tensor, order: StepOrder, masked_output: str) -> Tensor:
    """The output of the last step where no other is wanted."""
    if masked_output == "state" or (masked_output == "output" and order.alive is None and order.sizes[0][1] == len(state)):
        return state
    own = order.mask[:, -1] if masked_output == "zeros" else order.given.any(1)
    return torch.where(_over(own, state), state, 0.0)


def _put_back(parts: list[Tensor], initial: Tensor, order: StepOrder, masked_output: str) -> Tensor:
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
