"""Torch functions, operators and slices on symbolic tensors as layers of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.config import base_config
from torchkeras.layers.late_calls import in_late_call
from torchkeras.layers.layouts import as_is
from torchkeras.layers.naming import name_of, unique_name
from torchkeras.layers.nodes import Node, producer, take_over
from torchkeras.layers.op_arguments import Kept, OwnSize, Slot, from_plain, to_plain
from torchkeras.layers.raw_modules import watch_modules
from torchkeras.layers.symbolic import KerasTensor, map_leaves, map_structure, record_operation, run_trials, shapes_text, symbolic_leaves
from torchkeras.layers.torch_functions import function_named, name_of_function, without_change
from torchkeras.layers.weights import KerasWeight, WeightSpec

_RESHAPING = {"view", "reshape", "expand", "broadcast_to"}  # take sizes, of which an unknown one may be the tensor's own


@layer_registry.add()
class TorchOp(Layer):
    """A torch function with its constant arguments, applied to the tensor, or the list of tensors, that the layer is called on.

    Recorded where a torch function, operator or slice meets a symbolic tensor; there is no need to make one by hand.

    Args:
        function: The torch function; it changes nothing in place.
        args, kwargs: What it is called with, with a `Slot` in place of each symbolic tensor. Parameters among them become weights
            of the layer, other tensors buffers.

    Shape: as the function says.

    Raises:
        ValueError: a tensor without values among the arguments.
    """

    accepts_integers = True

    def __init__(self, function: Callable[..., Any], args: Any = (), kwargs: Mapping[str, Any] | None = None, **base: Any) -> None:
        name = base.pop("name", None) or unique_name(operation_name(function), first_index=0)
        super().__init__(name=name, **base)
        self.function = function
        self.built = True
        self._refuses_masks = False
        self._kept = 0
        self._args, self._kwargs = map_structure((tuple(args), dict(kwargs or {})), self._keep)
        self._places = _places(self._args, self._kwargs)

    def _keep(self, value: Any) -> Any:
        """Parameters and tensors among the arguments belong to the layer, so that they train and move with it."""
        if not isinstance(value, Tensor):
            return value
        who = f"The function '{operation_name(self.function)}' was given a tensor of shape {tuple(value.shape)} beside a symbolic one"
        if value.device.type == "meta":
            raise ValueError(f"{who} that has no values (device 'meta'). Make constants on a real device: they move with the model.")
        name = f"constant_{self._kept}"
        self._kept += 1
        if isinstance(value, KerasWeight):  # of a layer, in Keras' layout: the parameter behind it is what trains
            _register(self, name, value.parameter)
            return Kept(name, value.spec)
        if value.requires_grad and not value.is_leaf:
            raise ValueError(
                f"{who} that was computed from a parameter, which would not be trained. Make it from a symbolic tensor and the parameter."
            )
        _register(self, name, value)
        if isinstance(value, nn.Parameter):
            self._weight_specs[name] = WeightSpec(name, name, as_is, tuple(value.shape), trainable=True, path=name)
        return Kept(name)

    def call(self, inputs: Any) -> Any:
        """Apply the function."""
        tensors = inputs if type(inputs) in (list, tuple) else (inputs,)
        if self._places is not None:
            args = [*self._args]
            for place, index in self._places:
                args[place] = tensors[index]
            return self.function(*args, **self._kwargs)

        def value(part: Any) -> Any:
            kind = type(part)
            if kind is Slot:
                return tensors[part.index]
            if kind is Kept:
                stored = getattr(self, part.name)
                return stored if part.shared is None else part.shared.layout.to_keras(stored, part.shared.shape)
            return tensors[part.index].shape[part.dim] if kind is OwnSize else part

        args, kwargs = map_structure((self._args, self._kwargs), value)
        return self.function(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        # some of torch's functions cannot be pickled
        return {**self.__dict__, "function": name_of_function(self.function) or self.function}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(self.function, str):
            self.function = function_named(self.function)

    def get_config(self) -> dict[str, Any]:
        """The function's name and its constant arguments.

        Raises:
            ValueError: the function is not in the table of those that a config can name, or an argument is no plain data.
        """
        function = name_of_function(self.function)
        if function is None:
            raise ValueError(
                f"Layer '{self.name}' applies {self.function!r}, which is none of the torch functions that a config can name. Write a Layer "
                "with get_config() around it, or save the weights only (save_weights, state_dict)."
            )
        args, kwargs = to_plain(list(self._args), self), {key: to_plain(value, self) for key, value in self._kwargs.items()}
        return {**base_config(self), "function": function, "args": args, "kwargs": kwargs}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TorchOp:
        """Make the layer from `get_config()`; parameters are drawn anew.

        Raises:
            ValueError: a function that is not in the table, or arguments of another form.
        """
        rest = dict(config)
        function, args, kwargs = function_named(rest.pop("function", None)), rest.pop("args", None), rest.pop("kwargs", None)
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
            raise ValueError(
                f"The config of TorchOp {rest.get('name')!r} needs a list 'args' and a dict 'kwargs', but has {args!r:.80} and {kwargs!r:.80}."
            )
        return cls(function, from_plain(args), {str(key): from_plain(value) for key, value in kwargs.items()}, **rest)


def _register(layer: nn.Module, name: str, value: Tensor) -> None:
    if isinstance(value, nn.Parameter):
        layer.register_parameter(name, value)
    else:
        layer.register_buffer(name, value.detach())


def _places(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    """(position, index of the tensor) for each tensor, where all of them stand among the positional arguments themselves."""
    found: list[tuple[int, int]] = []
    nested: list[Any] = []
    for place, part in enumerate(args):
        if isinstance(part, Slot):
            found.append((place, part.index))
        else:
            nested.append(part)
    special: list[Any] = []
    map_structure((nested, dict(kwargs)), lambda part: special.append(part) if isinstance(part, (Slot, Kept, OwnSize)) else None)
    return None if special else found


def operation_name(function: Callable[..., Any]) -> str:
    """Name prefix for a recorded function: "add" for `torch.Tensor.__add__`."""
    return getattr(function, "__name__", "op").strip("_").lower() or "op"


def record(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make a layer of a torch function that was called on symbolic tensors, and call it.

    Raises:
        ValueError: the function cannot be run on such shapes, or writes into a tensor where a graph cannot.
    """
    late = in_late_call(function, args, kwargs)
    if late is not None:
        return late[0]
    plain, changes = without_change(function)
    if kwargs.get("inplace"):
        kwargs, changes = {**kwargs, "inplace": False}, True
    target: Any = args[0] if args else kwargs.get("input")
    if changes:
        _check_change(function, target)
    if symbolic_leaves(kwargs.get("out")):
        raise ValueError(f"'{operation_name(function)}' cannot write into a symbolic tensor (out=...): use the value that it returns.")
    result = _applied(plain, args, kwargs)
    if changes:
        take_over(target, result)
        return target
    return result


def _applied(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    leaves: list[KerasTensor] = []

    def place(leaf: KerasTensor) -> Slot:
        for index, known in enumerate(leaves):
            if known is leaf:
                return Slot(index)
        leaves.append(leaf)
        return Slot(len(leaves) - 1)

    slots, keywords = map_leaves((args, kwargs), place)
    if operation_name(function) in _RESHAPING:
        slots, keywords = _with_own_sizes(slots, keywords, leaves)
    layer = TorchOp(function, slots, keywords, name="trial")
    try:
        probe = run_trials(layer.call, (leaves,), {})
    except Exception as error:
        raise ValueError(
            f"The torch function '{operation_name(function)}' could not be run on symbolic tensors of shape {shapes_text(leaves)}: "
            f"{str(error).rstrip('. ')}. "
            "Unknown dimensions are None in x.shape: write -1 for one of them, use torch.flatten, or a layer (Reshape, Lambda)."
        ) from error
    if not symbolic_leaves(probe):
        return probe  # a Python value, such as a number of dimensions
    layer.name = unique_name(operation_name(function), first_index=0)
    Node(layer, (leaves[0] if len(leaves) == 1 else leaves,), {}, probe)
    watch_modules(symbolic_leaves(probe))
    return probe


def _with_own_sizes(args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[KerasTensor]) -> tuple[Any, Any]:
    """An unknown size in `x.view(x.size(0), -1)` is that of the tensor's own dimension at that place."""
    source = args[0] if args else None
    if not isinstance(source, Slot):
        return args, kwargs
    shape = leaves[source.index].shape

    def filled(sizes: Any) -> Any:
        return [OwnSize(source.index, dim) if size is None and dim < len(shape) and shape[dim] is None else size for dim, size in enumerate(sizes)]

    rest, keywords = args[1:], {key: filled(value) if key in ("shape", "size") else value for key, value in kwargs.items()}
    if len(rest) == 1 and isinstance(rest[0], (list, tuple)):
        return (source, filled(rest[0])), keywords
    return (source, *filled(rest)), keywords


def _check_change(function: Callable[..., Any], target: Any) -> None:
    """Refuse a change in place that a graph cannot follow."""
    name = getattr(function, "__name__", "")
    if not isinstance(target, KerasTensor):
        raise ValueError(f"'{name}' would write symbolic values into a tensor that has values. Write an operation that gives a new tensor.")
    node = producer(target)
    if node is not None and not node.inputs:
        raise ValueError(f"'{name}' would change the model's input '{name_of(node.layer)}'. Write an operation that gives a new tensor: x = x + 1.")
    if target.trials[0]._is_view():  # type: ignore[operator]
        raise ValueError(
            f"'{name}' would change a part of another symbolic tensor through {target!r}, a view of it. "
            "Change the whole tensor (x[:, 0] = value), or use torch.where or torch.cat."
        )


record_operation.append(record)
