"""Symbolic tensors: meta tensors that record which layer made them.

A `KerasTensor` stands for a value of a graph that is being built. Its unknown dimensions are `None`; to find
which dimensions of a result are unknown, the real code runs on two plain meta tensors (the trials) whose sizes differ
exactly where the dimension is unknown. No kernel runs, no memory is taken.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from torchkeras.layers.naming import name_of
from torchkeras.shapes import merge_unknown

T = TypeVar("T")

# sizes that unknown dimensions have in the two trials; large enough for the pools and valid convolutions of deep image nets
BATCH_TRIALS = (8, 12)
SIZE_TRIALS = (192, 256)


class KerasShape(tuple):
    """Shape of a symbolic tensor: a tuple with `None` for what is unknown, and the methods TensorFlow's has."""

    __slots__ = ()

    def as_list(self) -> list[int | None]:
        """The dimensions as a list."""
        return list(self)

    @property
    def ndims(self) -> int:
        """Number of dimensions."""
        return len(self)

    rank = ndims


class _ToMeta(TorchFunctionMode):
    """Inside it every torch function sees its tensors on the meta device, so that weights meet trial inputs."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if _paused:
            return func(*args, **(kwargs or {}))
        args, kwargs = pytree.tree_map_only(Tensor, _as_meta, (args, kwargs or {}))
        return func(*args, **kwargs)


def _as_meta(tensor: Tensor) -> Tensor:
    return tensor if tensor.device.type == "meta" else torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


_paused: list[bool] = []
_running: list[bool] = []


@contextlib.contextmanager
def real_tensors() -> Iterator[None]:
    """Make real tensors although a trial is running: weights are made in here."""
    if not _running:
        yield
        return
    _paused.append(True)
    try:
        with torch.device(_real_device[-1]):
            yield
    finally:
        _paused.pop()


_real_device: list[torch.device] = []


def in_trial() -> bool:
    """Whether code is being run on meta tensors to find its shapes."""
    return bool(_running) and not _paused


@contextlib.contextmanager
def trial() -> Iterator[None]:
    """Run code on the meta device, without gradients; weights that are built inside are real."""
    _real_device.append(torch.get_default_device() if not _running else _real_device[-1])
    _running.append(True)
    try:
        with torch.no_grad(), torch.device("meta"), _ToMeta():
            yield
    finally:
        _running.pop()
        _real_device.pop()


class KerasTensor(torch.Tensor):
    """A value of a graph that is being built.

    Attributes:
        trials: Two plain meta tensors, sized differently where a dimension is unknown.
        keras_history: (layer, index of its node, index of the output), or `None` before a layer made it.
        keras_mask: The symbolic mask that goes with it, or `None`.
    """

    trials: tuple[Tensor, Tensor]
    keras_history: tuple[Any, int, int] | None
    keras_mask: KerasTensor | None

    @staticmethod
    def of(trials: tuple[Tensor, Tensor], name: str = "") -> KerasTensor:
        """Symbolic tensor from two trial results."""
        made = torch.Tensor._make_subclass(KerasTensor, trials[0].detach())
        made.trials = trials
        made.keras_history = None
        made.keras_mask = None
        made.label = name
        return made

    @staticmethod
    def placeholder(shape: Sequence[int | None], dtype: torch.dtype, name: str = "") -> KerasTensor:
        """Symbolic tensor of a shape in which `None` is unknown."""
        sizes = [[pick(axis)[number] if dim is None else dim for axis, dim in enumerate(shape)] for number in (0, 1)]
        first, second = (torch.empty(size, dtype=dtype, device="meta") for size in sizes)
        return KerasTensor.of((first, second), name)

    label: str

    @property
    def shape(self) -> KerasShape:  # type: ignore[override]
        """The dimensions, `None` where unknown."""
        return KerasShape(merge_unknown(self.trials[0].shape, self.trials[1].shape))

    def get_shape(self) -> KerasShape:
        """The dimensions, `None` where unknown."""
        return self.shape

    @property
    def _keras_shape(self) -> tuple[int | None, ...]:
        return tuple(self.shape)

    @property
    def _keras_history(self) -> Any:
        return self.keras_history

    @property
    def _keras_mask(self) -> KerasTensor | None:
        return self.keras_mask

    @property
    def _uses_learning_phase(self) -> bool:
        return False

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the input or of the layer's output."""
        return self.label

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        made_by = f" made by '{name_of(self.keras_history[0])}'" if self.keras_history else ""
        return f"<KerasTensor shape={tuple(self.shape)} dtype={str(self.dtype).removeprefix('torch.')}{made_by}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no value yet, so a Python `if`, `and` or `while` cannot look at it. Use torch.where, or a layer that decides in call()."
        )

    def __len__(self) -> int:
        size = self.shape[0] if self.shape else None
        if size is None:
            raise TypeError(f"The length of {self!r} is not known while the graph is built.")
        return size

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} cannot be iterated over while the graph is built. Take slices such as x[:, 0], or torch.unbind(x, dim).")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(f"NumPy was called on {self!r}, which has no value yet. Use the torch function of the same job, or a Lambda layer.")

    def __hash__(self) -> int:
        return id(self)

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__", "__delete__"):
            return _attribute(func, args, kwargs or {})
        if name in _PLAIN:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        if name == "size":
            shape = args[0].shape
            dim = args[1] if len(args) > 1 else (kwargs or {}).get("dim")
            return shape if dim is None else shape[dim]
        if name in _REFUSED:
            raise TypeError(f"Tensor.{name}() was called on {args[0]!r}, which has no value yet. {_REFUSED[name]}")
        return record_operation[0](func, args, kwargs or {})


_PLAIN = {"dim", "ndimension", "is_floating_point", "is_complex", "requires_grad_", "__repr__", "element_size", "__hash__", "get_device"}
_REFUSED = {
    "item": "Use torch operations instead of Python numbers.",
    "tolist": "Use torch operations instead of Python numbers.",
    "numpy": "Use the torch function of the same job, or a Lambda layer.",
    "__float__": "Use torch operations instead of Python numbers.",
    "__int__": "Use torch operations instead of Python numbers.",
    "__index__": "Use torch operations instead of Python numbers.",
    "backward": "Build the model first, then call it on data.",
}
_TENSOR_ATTRIBUTES = {"T", "mT", "H", "mH", "real", "imag", "data"}

# set by torch_ops, which makes layers of torch functions
record_operation: list[Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]] = []


def _attribute(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    attribute = getattr(getattr(func, "__self__", None), "__name__", "")
    if attribute in _TENSOR_ATTRIBUTES:
        return record_operation[0](func, args, kwargs)
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def pick(axis: int) -> tuple[int, int]:
    """Trial sizes of an unknown dimension: those of the batch for axis 0."""
    return BATCH_TRIALS if axis == 0 else SIZE_TRIALS


def is_symbolic(value: Any) -> bool:
    """Whether a value is a symbolic tensor."""
    return type(value) is KerasTensor


def symbolic_leaves(structure: Any) -> list[KerasTensor]:
    """The symbolic tensors in nested lists, tuples and dicts, in order."""
    if type(structure) is KerasTensor:
        return [structure]
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in symbolic_leaves(part)]
    if isinstance(structure, Mapping):
        return [leaf for part in structure.values() for leaf in symbolic_leaves(part)]
    if isinstance(structure, slice):
        return symbolic_leaves((structure.start, structure.stop, structure.step))
    return []


def map_leaves(structure: Any, change: Callable[[KerasTensor], Any]) -> Any:
    """The same structure with every symbolic tensor changed."""
    if type(structure) is KerasTensor:
        return change(structure)
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_leaves(part, change) for part in structure))
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_leaves(part, change) for part in structure)
    if isinstance(structure, Mapping):
        return {key: map_leaves(part, change) for key, part in structure.items()}
    if isinstance(structure, slice):
        return slice(*(map_leaves(part, change) for part in (structure.start, structure.stop, structure.step)))
    return structure


def shape_of(structure: Any) -> Any:
    """The shape of a tensor, or the list of shapes of several."""
    if isinstance(structure, (list, tuple)):
        return [shape_of(part) for part in structure]
    if isinstance(structure, Mapping):
        return {key: shape_of(part) for key, part in structure.items()}
    return tuple(structure.shape)  # as it is: while a program is exported, a dynamic dimension must not become a number


class NodeList(list):
    """The nodes of one layer. A copy or a pickle of the layer starts without them: graphs are saved by `Network`."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (NodeList, ())

    def __deepcopy__(self, memo: Any) -> NodeList:
        return NodeList()


class Node:
    """One call of a layer on symbolic tensors.

    Attributes:
        layer: The layer or raw module.
        args, kwargs: What it was called with; symbolic tensors stand where values will be.
        inputs: The symbolic tensors among them, in order.
        outputs: The symbolic tensors it gave, in order.
        structure: The outputs as `call` returned them: a tensor, list, tuple or dict.
    """

    def __init__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], structure: Any) -> None:
        self.layer, self.args, self.kwargs, self.structure = layer, args, kwargs, structure
        self.inputs = symbolic_leaves((args, kwargs))
        self.outputs = symbolic_leaves(structure)
        nodes = inbound_nodes(layer)
        for number, output in enumerate(self.outputs):
            output.keras_history = (layer, len(nodes), number)
            if not output.label:
                output.label = f"{name_of(layer)}/output:{number}"
        nodes.append(self)
        for source in self.inputs:
            if source.keras_history is not None:
                outbound_nodes(source.keras_history[0]).append(self)

    @property
    def inbound_layers(self) -> list[nn.Module]:
        """The layers that made the inputs."""
        return [source.keras_history[0] for source in self.inputs if source.keras_history]

    @property
    def input_tensors(self) -> list[KerasTensor]:
        """The inputs, under Keras' name."""
        return self.inputs

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The outputs, under Keras' name."""
        return self.outputs


def inbound_nodes(layer: nn.Module) -> NodeList:
    """The calls of a layer or raw module on symbolic tensors."""
    return layer.__dict__.setdefault("_inbound_nodes", NodeList())


def outbound_nodes(layer: nn.Module) -> NodeList:
    """The calls of other layers on what this one made."""
    return layer.__dict__.setdefault("_outbound_nodes", NodeList())


def run_trials(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function on the trial tensors of its symbolic arguments.

    Returns:
        The structure that the function returns, with symbolic tensors where it has tensors.
    """
    results = []
    for number in (0, 1):
        trial_args, trial_kwargs = map_leaves((args, kwargs), lambda leaf, n=number: leaf.trials[n])  # type: ignore[misc]
        with trial():
            results.append(function(*trial_args, **trial_kwargs))
    return _pair(results[0], results[1])


def _pair(first: Any, second: Any) -> Any:
    if isinstance(first, Tensor):
        made = KerasTensor.of((_as_meta(first), _as_meta(second)))
        if getattr(first, "_keras_mask", None) is not None:  # hung there by a layer inside
            made.keras_mask = _pair(first._keras_mask, second._keras_mask)  # type: ignore[attr-defined]
        return made
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(_pair, first, second))
    if isinstance(first, (list, tuple)):
        return type(first)(map(_pair, first, second))
    if isinstance(first, Mapping):
        return {key: _pair(first[key], second[key]) for key in first}
    return first
