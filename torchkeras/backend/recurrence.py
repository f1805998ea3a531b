"""`K.rnn`: a step function carried along the time axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.generations import choose

StepFunction = Callable[[Any, tuple[Any, ...]], tuple[Any, Any]]


@recorded
def rnn(
    step_function: StepFunction,
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    constants: Any = None,
    unroll: bool = False,
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Any, Any, tuple[Any, ...]]:
    """Run a step function over time.

    A masked step leaves the states as they were. It puts out the previous output (zeros at first); in Keras 1 and 2, without
    `unroll`, the first state.

    Args:
        step_function: Takes the input of one step (batch, ...) and the tuple of states followed by the constants; gives
            the output and the list of new states.
        inputs: A tensor (batch, steps, ...), or a structure of them.
        initial_states: The states before the first step.
        go_backwards: Begin with the last step; outputs come in the order of computation.
        mask: (batch, steps) or (batch, steps, 1), true where a step counts.
        constants: Tensors that every step gets.
        unroll: Steps are always run one by one here; it only decides what a masked step puts out, see above.
        input_length: Number of steps of each row, a tensor (batch,), used where there is no mask; a number has to be that of all steps.
        time_major: Inputs, mask and outputs have the steps before the batch.
        zero_output_for_mask: Masked steps put out zeros.

    Returns:
        The last output (batch, ...), all outputs (batch, steps, ...), the tuple of last states.

    Raises:
        ValueError: inputs of fewer than three axes or without steps, a mask without states where the first state would be
            put out, or a step function that gives another number of states.
    """
    leaves, structure = pytree.tree_flatten(inputs)
    leaves = [as_tensor(leaf) for leaf in leaves]
    if any(leaf.ndim < 3 for leaf in leaves):
        raise ValueError(f"rnn needs inputs of at least 3 axes (batch, steps, ...), but got the shapes {[tuple(leaf.shape) for leaf in leaves]}.")
    time_axis = 0 if time_major else 1
    steps = leaves[0].shape[time_axis]
    if steps == 0:
        raise ValueError(f"rnn needs at least one step, but got the shapes {[tuple(leaf.shape) for leaf in leaves]}.")
    rows = list(zip(*(leaf.unbind(time_axis) for leaf in leaves), strict=True))
    masks = _step_masks(mask, input_length, steps, time_axis, go_backwards, unroll)
    if go_backwards:
        rows.reverse()
    fallback = _fallback(unroll, zero_output_for_mask, mask is not None)
    states, fixed = tuple(initial_states), tuple(constants or ())
    if masks is not None and fallback == "state" and not states:
        raise ValueError("rnn with a mask needs initial states: a masked step puts out the first state, as in Keras 2. Give initial_states.")
    outputs: list[list[Tensor]] = []
    for number, row in enumerate(rows):
        output, new_states = step_function(pytree.tree_unflatten(list(row), structure), states + fixed)
        flat, output_structure = pytree.tree_flatten(output)
        if masks is not None:
            instead = (
                outputs[-1] if outputs and fallback == "output" else [states[0] if fallback == "state" else torch.zeros_like(one) for one in flat]
            )
            flat = [_where(masks[number], one, other) for one, other in zip(flat, instead, strict=True)]
            new_states = _keep(masks[number], new_states, states)
        states = tuple(new_states)
        outputs.append(flat)
    stacked = [torch.stack(parts, dim=time_axis) for parts in zip(*outputs, strict=True)]
    return pytree.tree_unflatten(outputs[-1], output_structure), pytree.tree_unflatten(stacked, output_structure), states


def _fallback(unroll: bool, zero_output_for_mask: bool, masked: bool) -> str:
    """What a masked step puts out: "zero", "state" (the first one) or "output" (the previous one)."""
    if zero_output_for_mask:
        return "zero"
    return "state" if masked and not unroll and choose("rnn.masked_output") == "state" else "output"


def _step_masks(mask: Any, input_length: Any, steps: int, time_axis: int, go_backwards: bool, unroll: bool) -> list[Tensor] | None:
    """The mask of each step in the order of computation, each (batch, ...)."""
    if mask is not None:
        masks = list(as_tensor(mask).to(torch.bool).unbind(time_axis))
        return masks[::-1] if go_backwards else masks
    if input_length is None:
        return None
    if not isinstance(input_length, Tensor) or input_length.ndim == 0:
        if int(input_length) != steps:
            raise ValueError(
                f"rnn got input_length={int(input_length)} for inputs of {steps} steps. Cut the inputs, or give a tensor with a length for each row."
            )
        return None
    if unroll:
        raise ValueError("rnn with unroll=True takes no lengths of rows. Give a mask instead of input_length.")
    if go_backwards:
        behind = input_length.amax() - 1 - input_length
        return [behind < number for number in range(steps)]
    return [input_length > number for number in range(steps)]


def _where(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.reshape(mask.shape + (1,) * (new.ndim - mask.ndim)), new, old)


def _keep(mask: Tensor, new_states: Any, states: tuple[Any, ...]) -> list[Any]:
    """The new states, and the old ones where a step is masked."""
    if len(new_states) != len(states):
        raise ValueError(f"rnn began with {len(states)} states, but its step function gave {len(new_states)}. It has to give one for each.")
    return [pytree.tree_map(lambda new, old: _where(mask, new, old), after, before) for after, before in zip(new_states, states, strict=True)]
