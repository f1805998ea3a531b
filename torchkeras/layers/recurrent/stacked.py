"""Cells on top of each other, as one cell."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras import generations
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.recurrent.calling import call_cell, cell_states, flat_sizes, is_torch_cell, takes
from torchkeras.layers.recurrent.gated_cell import zero_states
from torchkeras.layers.serialization import deserialize, serialize


@layer_registry.add()
class StackedRNNCells(Layer):
    """Cells that run one after the other at each step, the output of one being the input of the next.

    In `RNN` a stack of the library's (or torch's) own cells runs cell by cell over whole sequences, which gives the same
    numbers in fewer, fused kernels.

    Args:
        cells: The cells, the first of which sees the inputs.
        reverse_state_order: List the states of the last cell first, as early Keras 2 did.

    Raises:
        ValueError: something that is no cell.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `StackedRNNCells`.
    """

    config_omits = ("cells", "reverse_state_order")

    def __init__(self, cells: Any, *, reverse_state_order: bool = False, **kwargs: Any) -> None:
        for cell in cells:
            check_cell(cell, "All cells")
        super().__init__(**kwargs)
        if reverse_state_order:
            warnings.warn("reverse_state_order=True in StackedRNNCells is deprecated: the natural order of states is the cells' own.", stacklevel=2)
        self.reverse_state_order = reverse_state_order
        self._nested_states = generations.choose("rnn.nested_states")
        modules = [cell for cell in cells if isinstance(cell, nn.Module)]
        self.cells: Any = nn.ModuleList(modules) if len(modules) == len(cells) else list(cells)

    def _in_state_order(self) -> list[Any]:
        return list(self.cells)[::-1] if self.reverse_state_order else list(self.cells)

    @property
    def state_size(self) -> Any:
        """The sizes of all cells' states: flat (Keras 2.2.4), or grouped by cell."""
        sizes = [cell_states(cell) for cell in self._in_state_order()]
        return tuple(sizes) if self._nested_states else tuple(flat_sizes(sizes))

    @property
    def output_size(self) -> Any:
        """Size of the last cell's output."""
        return output_size(self.cells[-1])

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """The initial states of all cells."""
        states = []
        for cell in self._in_state_order():
            if hasattr(cell, "get_initial_state"):
                states.append(cell.get_initial_state(inputs=inputs, batch_size=batch_size, dtype=dtype))
            else:
                states.append(zero_states(cell_states(cell), inputs, batch_size, dtype))
        return states

    def split(self, states: Any) -> list[list[Tensor]]:
        """Each cell's states, in the order of the cells, out of all states in the order of `state_size`."""
        parts, rest = [], list(flat_sizes(states))
        for cell in self._in_state_order():
            count = len(flat_sizes(cell_states(cell)))
            parts.append(rest[:count])
            rest = rest[count:]
        return parts[::-1] if self.reverse_state_order else parts

    def join(self, parts: list[Any]) -> list[Tensor]:
        """All states in the order of `state_size`, flat, out of each cell's."""
        return [state for part in (parts[::-1] if self.reverse_state_order else parts) for state in flat_sizes(part)]

    @property
    def runs_whole(self) -> bool:
        """Whether running cell by cell over whole sequences is what `call` does: not where a subclass has its own `call`."""
        return type(self).call is StackedRNNCells.call

    def build(self, input_shape: Any) -> None:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        shape, constants = shapes[0], shapes[1:]
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell._scope = f"{self.weight_scope()}/{cell.name}" if generations.choose("rnn.cell_scope") else self.weight_scope()  # type: ignore[attr-defined]
                cell.build_now([shape, *constants] if constants and takes(cell, "constants") else shape, self._build_device)
            size = output_size(cell)
            shape = (shape[0], *(size if isinstance(size, torch.Size) else (size,)))
        number_names(self)

    def call(self, inputs: Any, states: Any, constants: Any = None, training: bool | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """One step: (batch, size) and the states of all cells -> (output, new states)."""
        new = []
        for cell, own in zip(self.cells, self.split(states), strict=True):
            inputs, own = call_cell(cell, inputs, own, constants, training)
            new.append(own)
        return inputs, self.join(new)

    def reset_dropout_mask(self) -> None:
        """Draw new dropout masks of the inputs at the next step."""
        for cell in self.cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        """Draw new dropout masks of the states at the next step."""
        for cell in self.cells:
            if hasattr(cell, "reset_recurrent_dropout_mask"):
                cell.reset_recurrent_dropout_mask()

    def get_config(self) -> dict[str, Any]:
        reversed_states = {"reverse_state_order": True} if self.reverse_state_order else {}
        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells], **reversed_states}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> StackedRNNCells:
        """Make it from `get_config()`."""
        rest = dict(config)
        return cls([deserialize(cell, custom_objects) for cell in rest.pop("cells")], **rest)


def check_cell(cell: Any, who: str) -> None:
    """Whether something can serve as a cell.

    Raises:
        ValueError: it has no `call` or no `state_size`.
    """
    if is_torch_cell(cell):
        return
    if not (hasattr(cell, "call") or isinstance(cell, nn.Module)):
        raise ValueError(f"{who} must have a `call` method: (inputs, states) -> (output, new states). Got {cell!r}.")
    if not hasattr(cell, "state_size"):
        raise ValueError(f"{who} must have a `state_size` attribute: the size of the state, or a list of sizes. Got {cell!r}.")


def output_size(cell: Any) -> Any:
    """Size of a cell's output: its `output_size`, else that of its first state."""
    size = getattr(cell, "output_size", None)
    return flat_sizes(cell_states(cell))[0] if size is None else size


def number_names(layer: Layer) -> None:
    """Where the cells' variables share one scope (Keras 2.2.4), number the names that repeat: kernel, kernel_1."""
    seen: dict[str, int] = {}
    for inner in layer.sublayers():
        for spec in inner._weight_specs.values():
            full = f"{inner.weight_scope()}/{spec.path}"
            if full in seen:
                spec.path = f"{spec.path}_{seen[full]}"
            seen[full] = seen.get(full, 0) + 1
