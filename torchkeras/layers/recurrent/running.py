"""Running a cell over whole sequences: the library's and torch's cells in fused kernels, stacks cell by cell, others step by step."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from torchkeras.layers.recurrent.calling import call_cell, cell_states, flat_sizes
from torchkeras.layers.recurrent.stacked import StackedRNNCells
from torchkeras.ops.recurrent import Recurrence, Result, Weights, run

_TORCH_MODES: Final = {nn.LSTMCell: "lstm", nn.GRUCell: "gru", nn.RNNCell: "rnn_tanh"}


class Request(NamedTuple):
    """What a layer wants of a run; see `torchkeras.ops.recurrent.run`."""

    go_backwards: bool
    return_sequences: bool
    return_state: bool
    masked_output: str
    masked: str
    lengths: list[int] | None = None


def runs_whole(cell: Any) -> bool:
    """Whether whole sequences of a cell run without calling it at each step."""
    if isinstance(cell, StackedRNNCells):
        return cell.runs_whole and all(runs_whole(part) for part in cell.cells)
    return type(cell) in _TORCH_MODES or bool(getattr(cell, "runs_whole", False))


def run_cell(cell: Any, inputs: Any, states: list[Tensor], mask: Tensor | None, constants: list[Tensor], training: bool, request: Request) -> Result:
    """Run a cell over all steps.

    Args:
        cell: Any cell.
        inputs: (batch, steps, ...), or such tensors nested as the cell takes them.
        states: The initial states, flat, in the order of the cell's `state_size`.
        mask: (batch, steps) or `None`.
        constants: What every step gets besides.
        training: Whether dropout acts.
        request: What is wanted.
    """
    if not runs_whole(cell):
        return _run_steps(cell, inputs, states, mask, constants, training, request)
    if isinstance(cell, StackedRNNCells):
        return _run_stack(cell, inputs, states, mask, training, request)
    recurrence, taken, own = _recurrence(cell, inputs, training)
    return run(recurrence, taken, tuple(states), mask, constants=own, **request._asdict())


def _recurrence(cell: Any, inputs: Tensor, training: bool) -> tuple[Recurrence, Tensor, tuple[Any, ...]]:
    mode = _TORCH_MODES.get(type(cell))
    if mode is None:
        return cell.recurrence(inputs, training)
    if isinstance(cell, nn.RNNCell) and cell.nonlinearity == "relu":
        mode = "rnn_relu"
    return Recurrence.fused(mode, Weights(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)), inputs, ()


def _run_stack(stack: StackedRNNCells, inputs: Tensor, states: list[Tensor], mask: Tensor | None, training: bool, request: Request) -> Result:
    """Cell by cell: what a cell puts out at masked steps the next one passes over anyway."""
    if request.go_backwards:  # once, for all cells
        inputs, mask = inputs.flip(1), None if mask is None else mask.flip(1)
        request = request._replace(go_backwards=False)
    inner = request._replace(return_sequences=True)
    results: list[Result] = []
    parts = stack.split(states)
    for number, (cell, own) in enumerate(zip(stack.cells, parts, strict=True)):
        wanted = request if number == len(parts) - 1 else inner
        results.append(run_cell(cell, inputs if not results else results[-1].outputs, own, mask, [], training, wanted))
    last, outputs, _ = results[-1]
    if mask is not None and request.masked_output == "state" and len(results) > 1 and not stack.reverse_state_order:
        last, outputs = _held_by_first(stack, results, mask)
    return Result(last, outputs, tuple(stack.join([result.states for result in results])))


def _held_by_first(stack: StackedRNNCells, results: list[Result], mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """In Keras 2.2.4 a masked step puts out the first of all states, which in a stack is that of the first cell."""
    held, (last, outputs, _) = results[0].outputs, results[-1]
    if held is None or held.shape[2:] != last.shape[1:]:
        sizes = [flat_sizes(cell_states(cell))[0] for cell in stack.cells]
        raise ValueError(
            f"Stacked cells of the sizes {sizes} take no mask in Keras 2.2.4, whose masked steps put out the state of the first cell. "
            "Stack layers with return_sequences=True instead, or cells of one size."
        )
    last = torch.where(mask[:, -1:], last, held[:, -1])
    return last, None if outputs is None else torch.where(mask.unsqueeze(2), outputs, held)


def _run_steps(
    cell: Any, inputs: Any, states: list[Tensor], mask: Tensor | None, constants: list[Tensor], training: bool, request: Request
) -> Result:
    for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
        if hasattr(cell, name):
            getattr(cell, name)()
    leaves, tree = pytree.tree_flatten(inputs)
    steps: Any = inputs
    if not isinstance(inputs, Tensor):
        steps = [pytree.tree_unflatten(parts, tree) for parts in zip(*(leaf.unbind(1) for leaf in leaves), strict=True)]
    step = partial(_one_step, cell=cell, training=training)
    return run(Recurrence(step), steps, tuple(states), mask, constants=tuple(constants), **request._asdict())


def _one_step(inputs: Any, states: tuple[Tensor, ...], constants: tuple[Any, ...], *, cell: Any, training: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    output, new = call_cell(cell, inputs, list(states), list(constants), training)
    return output, tuple(new)
