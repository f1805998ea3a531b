"""Loops over time for any cell: plain, with a mask step by step, and over packed steps.

The loops are Python over views of one tensor, so `torch.compile` can take them whole and autograd sees one stack and
one unbind for each sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.ops.recurrent.steps import States, Step


def scan(step: Step, inputs: Sequence[Any], states: States, constants: tuple[Any, ...] = ()) -> tuple[list[Tensor], States]:
    """Run a step over a sequence.

    Args:
        step: (input, states, constants) -> (output, states).
        inputs: What the step gets at each time, in the order of processing.
        states: Tensors with the batch first.
        constants: Handed to every step.

    Returns:
        The output of each time, and the last states.
    """
    outputs = []
    for now in inputs:
        output, states = step(now, states, constants)
        outputs.append(output)
    return outputs, states


def masked_scan(
    step: Step,
    inputs: Sequence[Any],
    states: States,
    constants: tuple[Any, ...] = (),
    *,
    mask: Sequence[Tensor],
    masked_output: str = "output",
) -> tuple[list[Tensor], States]:
    """Run a step over a sequence and keep rows as they are at their masked steps, as Keras' own loop does.

    Args:
        step: (input, states, constants) -> (output, states).
        inputs: What the step gets at each time, in the order of processing.
        states: Tensors with the batch first.
        constants: Handed to every step.
        mask: (batch,) for each time, True where a row's step counts.
        masked_output: What a masked step puts out: "output", the previous output, zeros at first; "state", the first
            state before the step; "zeros".

    Returns:
        The output of each time, and the last states.

    Raises:
        ValueError: the first state should be put out and has not the output's shape.
    """
    outputs: list[Tensor] = []
    zeros: Tensor | None = None
    for now, valid in zip(inputs, mask, strict=True):
        output, new_states = step(now, states, constants)
        if masked_output == "state":
            held = states[0]
            if held.shape != output.shape:
                raise ValueError(
                    f"A masked step puts out the first state (Keras 2.2.4), of shape {tuple(held.shape)}, but this cell's output has the shape "
                    f"{tuple(output.shape)}. Let the first state be the output, or leave the mask away."
                )
        elif outputs and masked_output == "output":
            held = outputs[-1]
        else:
            held = zeros = torch.zeros_like(output) if zeros is None else zeros
        outputs.append(torch.where(_over(valid, output), output, held))
        states = tuple(torch.where(_over(valid, old), new, old) for new, old in zip(new_states, states, strict=True))
    return outputs, states


def packed_scan(step: Step, inputs: Sequence[Tensor], states: States, constants: tuple[Any, ...] = ()) -> tuple[list[Tensor], States]:
    """Run a step over rows sorted by descending length; at each time only the rows that still have a step take part.

    Args:
        step: (input, states, constants) -> (output, states); it treats each row by itself.
        inputs: (rows alive, ...) for each time; the number of rows never grows.
        states: Tensors with the rows first: those of the first step or more.
        constants: Tensors with the rows first, or `None`; cut as the rows end.

    Returns:
        The output of each time, and the states of every row after its own last step.
    """
    outputs, ended = [], []
    rows = states[0].shape[0]
    for now in inputs:
        alive = now.shape[0]
        if alive < rows:
            ended.append(tuple(state[alive:] for state in states))
            states = tuple(state[:alive] for state in states)
            constants = tuple(None if constant is None else constant[:alive] for constant in constants)
            rows = alive
        output, states = step(now, states, constants)
        outputs.append(output)
    if not ended:
        return outputs, states
    return outputs, tuple(torch.cat(parts) for parts in zip(states, *reversed(ended), strict=True))


def _over(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of rows as wide as a tensor that has more axes."""
    return mask.view(-1, *(1,) * (like.dim() - 1))
