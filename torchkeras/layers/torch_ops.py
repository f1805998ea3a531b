"""Torch functions, operators and slices on symbolic tensors as layers of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.layers.base import Layer
from torchkeras.layers.naming import unique_name
from torchkeras.layers.raw_modules import inside_module
from torchkeras.layers.symbolic import KerasTensor, map_leaves, record_operation, run_trials, symbolic_leaves


class Slot:
    """Place of a symbolic argument in the arguments of a recorded function."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"<{self.index}>"


class TorchOp(Layer):
    """A torch function with its constant arguments, applied to the tensors it is called on.

    Args:
        function: The torch function.
        arguments: (args, kwargs) with a `Slot` in place of each symbolic tensor.
    """

    supports_masking = False
    accepts_integers = True

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, Any], **kwargs: Any) -> None:
        kwargs.setdefault("name", unique_name(operation_name(function), first_index=0))
        super().__init__(**kwargs)
        self.function = function
        self.built = True
        self._refuses_masks = False
        self.constants = nn.ParameterList()
        self.arguments = _fill(arguments, self._keep)

    def _keep(self, value: Any) -> Any:
        """Parameters and tensors among the arguments belong to the layer, so that they train and move with it."""
        if isinstance(value, nn.Parameter):
            self.constants.append(value)
            return Constant(f"p{len(self.constants) - 1}")
        if isinstance(value, Tensor):
            name = f"constant_{sum(1 for _ in self.buffers(recurse=False))}"
            self.register_buffer(name, value.detach(), persistent=True)
            return Constant(name)
        return value

    def call(self, *tensors: Any) -> Any:
        """Shape: as the function says."""

        def value(part: Any) -> Any:
            if isinstance(part, Slot):
                return tensors[part.index]
            if isinstance(part, Constant):
                return self.constants[int(part.name[1:])] if part.name[0] == "p" else getattr(self, part.name)
            return part

        args, kwargs = _fill(self.arguments, value)
        return self.function(*args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


class Constant:
    """Place of a parameter or tensor that the layer keeps."""

    def __init__(self, name: str) -> None:
        self.name = name


def _fill(structure: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(_fill(part, change) for part in structure))
    if isinstance(structure, torch.Size):
        return structure
    if isinstance(structure, (list, tuple)):
        return type(structure)(_fill(part, change) for part in structure)
    if isinstance(structure, dict):
        return {key: _fill(part, change) for key, part in structure.items()}
    if isinstance(structure, slice):
        return slice(*(_fill(part, change) for part in (structure.start, structure.stop, structure.step)))
    return change(structure)


def operation_name(function: Callable[..., Any]) -> str:
    """Name prefix for a recorded function: "add" for `torch.Tensor.__add__`."""
    name = getattr(function, "__name__", "op")
    if name in ("__get__",):
        name = getattr(getattr(function, "__self__", None), "__name__", "attribute")
    return name.strip("_").lower() or "op"


def record(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make a layer of a torch function that was called on symbolic tensors, and call it."""
    if inside_module():
        return run_trials(function, args, kwargs)
    leaves: list[KerasTensor] = []

    def place(leaf: KerasTensor) -> Slot:
        for index, known in enumerate(leaves):
            if known is leaf:
                return Slot(index)
        leaves.append(leaf)
        return Slot(len(leaves) - 1)

    arguments = map_leaves((args, kwargs), place)
    probe = run_trials(function, args, kwargs)
    if not symbolic_leaves(probe):
        return probe  # a Python value, such as a number of dimensions
    return TorchOp(function, arguments)(*leaves)


record_operation.append(record)
