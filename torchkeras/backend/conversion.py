"""What the K functions do with their arguments: values to tensors, shapes to sizes, symbolic calls to nodes.

A K function that meets a symbolic tensor is recorded whole, as one node of the graph, and runs again on real tensors each time
the graph does. So its code may look at shapes, loop over steps and so on: it never sees an unknown dimension.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from torchkeras import config
from torchkeras.layers.symbolic import KerasTensor, in_trial, record_operation
from torchkeras.layers.torch_functions import add_function

F = TypeVar("F", bound=Callable[..., Any])


def default_device() -> torch.device | None:
    """Where K functions put tensors that are made from nothing; `None`: torch's default device."""
    return None if in_trial() else config._settings["device"]


def set_default_device(device: torch.device | str | None) -> None:
    """Choose where K functions put tensors that are made from nothing (`K.constant`, `K.random_normal`, ...).

    A model that begins to train, evaluate or predict chooses its own device, so that constants in losses and metrics are where its data are.

    Args:
        device: A device, its name, or `None` for torch's default device.
    """
    config._settings["device"] = None if device is None else torch.device(device)


def has_symbolic(values: Any) -> bool:
    """Whether a symbolic tensor is among some values, or in lists and tuples among them."""
    for value in values:
        kind = type(value)
        if kind is KerasTensor or (isinstance(value, (list, tuple)) and has_symbolic(value)):
            return True
    return False


def recorded(function: F) -> F:
    """Decorator: a call with a symbolic tensor becomes one node of the graph."""

    @functools.wraps(function)
    def enter(*args: Any, **kwargs: Any) -> Any:
        if has_symbolic(args) or (kwargs and has_symbolic(kwargs.values())):
            return record_operation[0](enter, args, kwargs)
        return function(*args, **kwargs)

    add_function(f"K.{function.__name__}", enter)
    return enter  # type: ignore[return-value]


def _from_numpy(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"A tensor holds numbers, but got an array of type {array.dtype}.")
    # torch shares memory, so it wants arrays that may be written and run forwards
    return torch.from_numpy(array if array.flags.writeable and all(step >= 0 for step in array.strides) else array.copy())


def from_sparse(matrix: Any) -> Tensor:
    """A torch sparse tensor from a scipy sparse matrix (anything with `tocoo`)."""
    coo = matrix.tocoo()
    indices = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
    return torch.sparse_coo_tensor(indices, torch.from_numpy(np.array(coo.data)), tuple(coo.shape), check_invariants=True).coalesce()


def as_tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """A tensor from a tensor, array, number or (nested) list.

    Args:
        value: Python floats become `floatx()`, Python ints int32; arrays keep their type.
        like: Beside this tensor the value takes its device, and its type where both are floats or both are integers, or
            where `like` is a float.

    Raises:
        TypeError: text or objects.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        return torch.stack([as_tensor(part, like) for part in value])
    if hasattr(value, "tocoo"):
        return from_sparse(value)
    array = np.asarray(value)
    made = _from_numpy(array if array.ndim else array.reshape(1)).reshape(array.shape)
    if not isinstance(value, (np.ndarray, np.generic)):
        made = made.to({"f": config.float_dtype(), "i": torch.int32}.get(array.dtype.kind, made.dtype))
    if like is None:
        return made.to(default_device() or torch.get_default_device())
    same = like.is_floating_point() or (made.dtype != torch.bool and not made.is_floating_point())
    return made.to(like.device, like.dtype if same else made.dtype)


def as_operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands for an element-wise torch function: at least one tensor; Python numbers beside a tensor stay numbers."""
    if not isinstance(x, Tensor):
        if not isinstance(y, Tensor):
            x = as_tensor(x)
        elif not isinstance(x, (int, float)):
            x = as_tensor(x, like=y)
    if not isinstance(y, (Tensor, int, float)):
        y = as_tensor(y, like=x)
    return x, y


class Dimension(int):
    """A size that is known only when the code runs; tensors made with it follow the device of where it came from."""

    device: torch.device

    @staticmethod
    def of(size: int, device: torch.device) -> Dimension:
        """The size of an axis of a tensor on `device`."""
        made = Dimension(size)
        made.device = device
        return made


class Sizes(tuple):
    """The sizes of a tensor, as `K.shape` gives them: ints, with the arithmetic of a vector."""

    device: torch.device

    @staticmethod
    def of(sizes: Sequence[int], device: torch.device) -> Sizes:
        """The sizes of a tensor on `device`."""
        made = Sizes(sizes)
        made.device = device
        return made

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Sizes.of(found, self.device) if isinstance(index, slice) else Dimension.of(found, self.device)

    def __iter__(self) -> Any:
        return (Dimension.of(size, self.device) for size in tuple.__iter__(self))

    def _each(self, other: Any, compute: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, (Tensor, np.ndarray)):
            return compute(as_tensor(tuple(map(int, self))), as_tensor(other))
        others = other if isinstance(other, (list, tuple)) else [other] * len(self)
        if len(others) != len(self):
            raise ValueError(f"A shape of {len(self)} sizes does not go together with {len(others)} numbers: {tuple(self)} and {others!r}.")
        return Sizes.of([compute(int(a), b) for a, b in zip(self, others, strict=True)], self.device)

    def __add__(self, other: Any) -> Any:
        return self._each(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._each(other, lambda a, b: a - b)

    def __mul__(self, other: Any) -> Any:
        return self._each(other, lambda a, b: a * b)

    __rmul__ = __mul__  # type: ignore[assignment]

    def __floordiv__(self, other: Any) -> Any:
        return self._each(other, lambda a, b: a // b)


def as_size(dim: Any) -> int:
    """One size from an int, a NumPy int or a tensor with one element."""
    if isinstance(dim, Tensor):
        known = getattr(dim, "_keras_size", None)  # in a trial run, sizes are meta tensors that carry their value
        return int(dim) if known is None else known
    return dim if isinstance(dim, (int, torch.SymInt)) else int(dim)  # type: ignore[return-value]


def as_sizes(shape: Any) -> tuple[int, ...]:
    """Sizes for torch from what Keras code gives as a shape: a number, list, tuple, array or tensor, or a list of them."""
    if isinstance(shape, (Tensor, np.ndarray)):
        return tuple(shape.reshape(-1).tolist())
    if isinstance(shape, (int, np.integer)):
        return (as_size(shape),)
    return tuple(as_size(dim) for dim in shape)


def as_axes(axis: Any) -> list[int] | None:
    """Axes of a reduction as a list; `None` for all."""
    if axis is None:
        return None
    return list(as_sizes(axis))


def device_for(shape: Any) -> torch.device | None:
    """Where to put a tensor made from a shape: where the shape was read from, else the default."""
    if isinstance(shape, (list, tuple)):
        for dim in (shape, *shape):
            found = getattr(dim, "device", None) if isinstance(dim, (Dimension, Sizes)) else None
            if found is not None:
                return found
    return default_device()
