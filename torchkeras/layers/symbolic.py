"""Symbolic tensors: meta tensors that record which layer made them.

A `KerasTensor` stands for a value of a graph that is being built. Its unknown dimensions are `None`; to find
which dimensions of a result are unknown, the real code runs on two plain meta tensors (the trials) whose sizes differ
exactly where the dimension is unknown. No kernel runs, no memory is taken.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from torchkeras.layers.naming import name_of
from torchkeras.layers.under_way import raw_calls
from torchkeras.shapes import merge_unknown

# sizes that unknown dimensions have in the two trials; large enough for the pools and valid convolutions of deep image nets
BATCH_TRIALS = (8, 12)
SIZE_TRIALS = (224, 448)

# methods and attributes that tell of a symbolic tensor without being part of the graph
_PLAIN = {"dim", "ndimension", "is_floating_point", "is_complex", "element_size", "get_device"}
_TENSOR_ATTRIBUTES = {"T", "mT", "H", "mH", "real", "imag", "data"}
_NO_NUMBERS = "Use torch operations instead of Python numbers."
_NO_NUMPY = "Use the torch function of the same job, or a Lambda layer."
_REFUSED = {
    "item": _NO_NUMBERS,
    "tolist": _NO_NUMBERS,
    "__float__": _NO_NUMBERS,
    "__int__": _NO_NUMBERS,
    "__complex__": _NO_NUMBERS,
    "__index__": _NO_NUMBERS,
    "__contains__": "Use torch.eq(x, value).any(), whose result is part of the graph.",
    "numpy": _NO_NUMPY,
    "backward": "Build the model first, then call it on data.",
    "register_hook": "Build the model first, then call it on data.",
}
_UFUNCS: dict[str, Callable[..., Any]] = {
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.true_divide, "power": torch.pow,
    "matmul": torch.matmul, "floor_divide": torch.floor_divide, "remainder": torch.remainder,
    "maximum": torch.maximum, "minimum": torch.minimum,
    "greater": torch.gt, "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le, "equal": torch.eq, "not_equal": torch.ne,
}  # fmt: skip


_MOVES = {torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda}


class _Trials(threading.local):
    """What runs in this thread, innermost last: trials (True) and, inside of trials, the making of real tensors (False)."""

    def __init__(self) -> None:
        self.running: list[bool] = []
        self.device: torch.device | None = None  # where real tensors are made


_trials = _Trials()


def in_trial() -> bool:
    """Whether code is being run on meta tensors to find its shapes."""
    return bool(_trials.running) and _trials.running[-1]


class _ToMeta(TorchFunctionMode):
    """Inside it every torch function sees its tensors on the meta device, so that weights meet trial inputs."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if in_trial():
            args, kwargs = pytree.tree_map_only(Tensor, _as_meta, (args, kwargs))
            if func in _MOVES:  # from device to device: there is but one here
                args, kwargs = pytree.tree_map_only((torch.device, str), lambda device: "meta", (args, kwargs))
                return args[0] if func is not torch.Tensor.to else func(*args, **kwargs)
        return func(*args, **kwargs)


def _as_meta(tensor: Tensor) -> Tensor:
    return tensor if tensor.device.type == "meta" else torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


@contextlib.contextmanager
def trial() -> Iterator[None]:
    """Run code on the meta device, without gradients; weights that are built inside are real."""
    if not _trials.running:
        _trials.device = torch.get_default_device()
    _trials.running.append(True)
    try:
        with torch.no_grad(), torch.device("meta"), _ToMeta():
            yield
    finally:
        _trials.running.pop()


@contextlib.contextmanager
def real_tensors() -> Iterator[None]:
    """Make real tensors although a trial is running: weights are made in here."""
    if not _trials.running:
        yield
        return
    _trials.running.append(False)
    try:
        with torch.device(_trials.device or "cpu"):
            yield
    finally:
        _trials.running.pop()


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


class KerasTensor(torch.Tensor):
    """A value of a graph that is being built.

    Attributes:
        trials: Two plain meta tensors, sized differently where a dimension is unknown.
        keras_history: (layer, index of its node, index of the output), or `None` before a layer made it.
        keras_mask: The symbolic mask that goes with it, or `None`.
        label: Its name; empty before a layer made it.
        place: (operation, result) in the code of a raw module that is recorded from within, else `None`.
    """

    trials: tuple[Tensor, Tensor]
    keras_history: tuple[Any, int, int] | None
    keras_mask: KerasTensor | None
    label: str
    place: tuple[int, int] | None

    @staticmethod
    def of(trials: tuple[Tensor, Tensor], label: str = "") -> KerasTensor:
        """Symbolic tensor from two trial results."""
        made = torch.Tensor._make_subclass(KerasTensor, trials[0].detach())
        made.trials = trials
        made.keras_history = None
        made.keras_mask = None
        made.label = label
        made.place = None
        return made

    @staticmethod
    def placeholder(shape: Sequence[int | None], dtype: torch.dtype, label: str = "") -> KerasTensor:
        """Symbolic tensor of a shape in which `None` is unknown."""
        sizes = [[pick(axis)[number] if dim is None else dim for axis, dim in enumerate(shape)] for number in (0, 1)]
        first, second = (torch.empty(size, dtype=dtype, device="meta") for size in sizes)
        return KerasTensor.of((first, second), label)

    @property
    def shape(self) -> KerasShape:  # type: ignore[override]
        """The dimensions, `None` where unknown."""
        shape = merge_unknown(self.trials[0].shape, self.trials[1].shape)
        if None in shape and raw_call() is not None:  # torch code computes with sizes
            return KerasShape(self.trials[0].shape)
        return KerasShape(shape)

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
        return depends_on_phase(self)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the input or of the layer's output."""
        return self.label

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where new tensors are made: constants that a graph is given must have values."""
        return torch.get_default_device()

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
        raise TypeError(f"NumPy was called on {self!r}, which has no value yet. {_NO_NUMPY}")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # Python operators between arrays and symbolic tensors end here, as well as np.add and the like
        function = _UFUNCS.get(ufunc.__name__) if method == "__call__" and not kwargs else None
        if function is None:
            raise TypeError(f"NumPy's {ufunc.__name__} was called on {self!r}, which has no value yet. {_NO_NUMPY}")
        return function(*(part if isinstance(part, Tensor) else self._constant(part) for part in inputs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"NumPy's {func.__name__} was called on {self!r}, which has no value yet. {_NO_NUMPY}")

    def _constant(self, value: Any) -> Tensor:
        """An array beside this tensor in an operation: in its type, where that is a float."""
        array = torch.as_tensor(np.asarray(value))
        return array.to(self.dtype) if self.dtype.is_floating_point else array

    # sizes may be None, which torch's own argument check refuses: a recorded function knows whose they are
    def view(self, *size: Any) -> Any:
        return record_operation[0](torch.Tensor.view, (self, *size), {})

    def reshape(self, *shape: Any) -> Any:
        return record_operation[0](torch.Tensor.reshape, (self, *shape), {})

    def expand(self, *size: Any) -> Any:  # type: ignore[override]
        return record_operation[0](torch.Tensor.expand, (self, *size), {})

    def __hash__(self) -> int:
        return id(self)

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__", "__delete__"):
            return _attribute(func, args, kwargs)
        if name in _PLAIN:
            return func(args[0].trials[0], *args[1:], **kwargs)
        if name == "requires_grad_":  # gradients are a matter of running
            return args[0]
        if name == "size":
            shape, dim = args[0].shape, args[1] if len(args) > 1 else kwargs.get("dim")
            return shape if dim is None else shape[dim]
        if name in _REFUSED:
            raise TypeError(f"Tensor.{name}() was called on {args[0]!r}, which has no value yet. {_REFUSED[name]}")
        return record_operation[0](func, args, kwargs)


# `a += b` makes a new value and binds the name to it, as in TensorFlow; methods such as add_ change what all names stand for
for _operator in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(KerasTensor, f"__i{_operator}__", getattr(torch.Tensor, f"__{_operator}__"))

# set by torch_ops, which makes layers of torch functions
record_operation: list[Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]] = []


def _attribute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if getattr(getattr(func, "__self__", None), "__name__", "") in _TENSOR_ATTRIBUTES:
        return record_operation[0](func, args, kwargs)
    if func.__name__ == "__get__":
        return func(args[0].trials[0], *args[1:], **kwargs)
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


def pick(axis: int) -> tuple[int, int]:
    """Trial sizes of an unknown dimension: those of the batch for axis 0."""
    return BATCH_TRIALS if axis == 0 else SIZE_TRIALS


def is_symbolic(value: Any) -> bool:
    """Whether a value is a symbolic tensor."""
    return type(value) is KerasTensor


def symbolic_leaves(structure: Any) -> list[KerasTensor]:
    """The symbolic tensors in nested lists, tuples, dicts and slices, in order."""
    if isinstance(structure, Tensor):
        return [structure] if type(structure) is KerasTensor else []
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in symbolic_leaves(part)]
    if isinstance(structure, Mapping):
        return [leaf for part in structure.values() for leaf in symbolic_leaves(part)]
    if isinstance(structure, slice):
        return symbolic_leaves((structure.start, structure.stop, structure.step))
    return []


def raw_call() -> FrameType | None:
    """The frame of the outermost call of a raw nn.Module on symbolic tensors that is under way in this thread, or `None`."""
    found = None
    for frame in raw_calls():
        if symbolic_leaves((frame.f_locals["args"], frame.f_locals["kwargs"])):
            found = frame
    return found


def map_structure(structure: Any, change: Callable[[Any], Any]) -> Any:
    """The same nested lists, tuples, dicts and slices with every other part changed."""
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_structure(part, change) for part in structure))
    if isinstance(structure, torch.Size):
        return structure
    if isinstance(structure, list):
        return [map_structure(part, change) for part in structure]
    if isinstance(structure, tuple):
        return type(structure)(map_structure(part, change) for part in structure)
    if isinstance(structure, Mapping):
        return {key: map_structure(part, change) for key, part in structure.items()}
    if isinstance(structure, slice):
        return slice(*(map_structure(part, change) for part in (structure.start, structure.stop, structure.step)))
    return change(structure)


def map_leaves(structure: Any, change: Callable[[KerasTensor], Any]) -> Any:
    """The same structure with every symbolic tensor changed."""
    return map_structure(structure, lambda part: change(part) if type(part) is KerasTensor else part)


def shape_of(structure: Any) -> Any:
    """The shape of a tensor, or the list of shapes of several."""
    if isinstance(structure, (list, tuple)):
        return [shape_of(part) for part in structure]
    if isinstance(structure, Mapping):
        return {key: shape_of(part) for key, part in structure.items()}
    return tuple(structure.shape)  # as it is: while a program is exported, a dynamic dimension must not become a number


def shapes_text(structure: Any) -> str:
    """The shapes of the symbolic tensors in a structure, for messages."""
    return ", ".join(str(tuple(leaf.shape)) for leaf in symbolic_leaves(structure))


def depends_on_phase(tensor: KerasTensor) -> bool:
    """Whether a layer on the way to a symbolic tensor does something else in training than otherwise."""
    waiting, seen = [tensor], set()
    while waiting:
        history = waiting.pop().keras_history
        if history is None or id(history[0]) in seen:
            continue
        layer, node, _ = history
        seen.add(id(layer))
        rates = [
            getattr(layer, name)
            for name in ("rate", "stddev", "dropout", "recurrent_dropout", "p")
            if isinstance(getattr(layer, name, None), (int, float))
        ]
        takes = "training" in inspect.signature(type(layer).forward).parameters or layer.__class__.__module__.startswith("torch.nn.modules.batchnorm")
        if (takes and not rates) or any(rates):
            return True
        waiting.extend(layer.__dict__["_inbound_nodes"][node].inputs)
    return False


def run_trial(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], number: int) -> Any:
    """Run a function on the first (0) or second (1) trial tensors of its symbolic arguments."""
    trial_args, trial_kwargs = map_leaves((args, kwargs), lambda leaf: leaf.trials[number])
    with trial():
        return function(*trial_args, **trial_kwargs)


def run_trials(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Run a function on the trial tensors of its symbolic arguments.

    Returns:
        The structure that the function returns, with symbolic tensors where it has tensors.
    """
    return paired(run_trial(function, args, kwargs, 0), run_trial(function, args, kwargs, 1))


def paired(first: Any, second: Any) -> Any:
    """Symbolic tensors from the results of two trials."""
    if isinstance(first, Tensor):
        made = KerasTensor.of((_as_meta(first), _as_meta(second)))
        if getattr(first, "_keras_mask", None) is not None:  # hung there by a layer inside
            made.keras_mask = paired(first._keras_mask, second._keras_mask)  # type: ignore[attr-defined]
        return made
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(paired, first, second))
    if isinstance(first, (list, tuple)):
        return type(first)(map(paired, first, second))
    if isinstance(first, Mapping):
        return {key: paired(first[key], second[key]) for key in first}
    return first
