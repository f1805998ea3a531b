"""Run a recurrent cell over a batch of sequences, under a mask of any pattern.

Three forms give the same numbers: "dense" runs a fused kernel over valid steps that were moved to the front and picks
each row's last valid step; "packed" runs exactly the valid steps; "scan" goes over all steps and holds rows still at
masked ones. What a masked step puts out is then a matter of where its output is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from torchkeras.ops.recurrent.choice import choose_cut, choose_form, cost_of_a_step
from torchkeras.ops.recurrent.kernels import run_fused
from torchkeras.ops.recurrent.lstm_loop import takes_loop
from torchkeras.ops.recurrent.order import Cut, StepOrder, every_step, one_block, readable, remembered_order
from torchkeras.ops.recurrent.recurrence import Recurrence, finish, last_output, put_back, run_moved
from torchkeras.ops.recurrent.scan import masked_scan, scan
from torchkeras.ops.recurrent.steps import States

FORMS: Final = ("auto", "dense", "packed", "scan")
MASKED_OUTPUTS: Final = ("output", "state", "zeros")


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
    known = None if mask is None else lengths_on_host(mask, lengths)
    if known is not None and mask is not None and min(known) == mask.shape[1]:
        mask = None
    if mask is None:
        return _run_plain(recurrence, inputs, states, constants, wanted)
    form = masked
    if form == "auto":
        form = choose_form(recurrence.mode, inputs.dtype, mask, known) if isinstance(inputs, Tensor) and recurrence.by_row else "scan"
    if form == "scan" or not isinstance(inputs, Tensor):
        return _run_masked_scan(recurrence, inputs, states, constants, mask, wanted)
    if form == "packed" and known is None:
        known = mask.sum(1).tolist()  # packing needs the lengths on the host
    cut: Cut = every_step if form == "packed" else one_block
    if form == "dense" and masked == "auto":
        cut = choose_cut(inputs, recurrence.mode, cost_of_a_step(states[0].shape[-1], inputs.shape[-1]), known)
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


def lengths_on_host(mask: Tensor, lengths: Sequence[int] | None) -> list[int] | None:
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
    if recurrence.loop is not None and isinstance(inputs, Tensor) and not constants and takes_loop(inputs, *states):
        batch, steps = inputs.shape[:2]
        by_step = (inputs.flip(1) if wanted.go_backwards else inputs).transpose(0, 1)
        outputs, states = recurrence.loop(by_step.flatten(0, 1), states, [batch] * steps)
        return Result(states[0], outputs.view(steps, batch, -1).transpose(0, 1) if wanted.return_sequences else None, states)
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
    parts, ended = run_moved(recurrence, data, start, order, form, count, constants)
    last = finish(ended[:count], initial[:count], order)
    if wanted.return_sequences:
        outputs = put_back(parts, states[0], order, wanted.masked_output)
        return Result(outputs[:, -1], outputs, last)
    return Result(last_output(last[0], order, wanted.masked_output), None, last if wanted.return_state else ())
