"""Calling cells of any make: Keras' own, a user's, torch's."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.layers.raw_modules import torch_call


def is_torch_cell(cell: Any) -> bool:
    """Whether a cell is torch's `LSTMCell`, `GRUCell` or `RNNCell`, which put out their states alone."""
    return isinstance(cell, nn.RNNCellBase) and not hasattr(cell, "state_size")


def cell_states(cell: Any) -> Any:
    """`state_size` of a cell; torch's cells say `hidden_size`."""
    if is_torch_cell(cell):
        return [cell.hidden_size] * (2 if isinstance(cell, nn.LSTMCell) else 1)
    return cell.state_size


def flat_sizes(nested: Any) -> list[Any]:
    """The sizes (or tensors) in nested lists and tuples, in order; a torch.Size is one size."""
    if isinstance(nested, (list, tuple)) and not isinstance(nested, torch.Size):
        return [leaf for part in nested for leaf in flat_sizes(part)]
    return [nested]


def pack_like(structure: Any, leaves: list[Any]) -> list[Any]:
    """Flat tensors nested as the sizes of the states are; a list at least."""
    rest = iter(leaves)

    def fill(part: Any) -> Any:
        if isinstance(part, (list, tuple)) and not isinstance(part, torch.Size):
            return [fill(inner) for inner in part]
        return next(rest)

    packed = fill(structure)
    return packed if isinstance(packed, list) else [packed]


def takes(cell: Any, argument: str) -> bool:
    """Whether a cell's `call` has an argument of that name."""
    function = getattr(type(cell), "call", None) or getattr(type(cell), "forward", None) or cell.call
    return argument in _parameters(function)


def _parameters(function: Any) -> frozenset[str]:
    found = _PARAMETERS.get(function)
    if found is None:
        found = _PARAMETERS[function] = frozenset(inspect.signature(function).parameters)
    return found


_PARAMETERS: dict[Any, frozenset[str]] = {}  # functools.cache is not for functions that torch.compile traces


def call_cell(cell: Any, inputs: Any, states: list[Tensor], constants: Any, training: bool | None) -> tuple[Tensor, list[Tensor]]:
    """One step of any cell: (output, flat new states)."""
    if is_torch_cell(cell):
        new = torch_call(cell, inputs, states[0] if len(states) == 1 else tuple(states))
        return flat_sizes(new)[0], flat_sizes(new)
    kwargs: dict[str, Any] = {}
    if constants and takes(cell, "constants"):
        kwargs["constants"] = constants
    if takes(cell, "training"):
        kwargs["training"] = training
    packed = pack_like(cell_states(cell), states)
    # past the door of the layer: the cell is built, and nothing of a single step is recorded
    output, new = torch_call(cell, inputs, packed, **kwargs) if isinstance(cell, nn.Module) else cell.call(inputs, packed, **kwargs)
    return output, flat_sizes(new)
