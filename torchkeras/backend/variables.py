"""Tensors that Keras code makes: variables, constants, tensors of zeros and ones; and what it asks of any tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras.backend.conversion import Dimension, Sizes, as_sizes, as_tensor, default_device, device_for, from_sparse, recorded
from torchkeras.backend.state import scoped_name
from torchkeras.layers.symbolic import in_trial, real_tensors
from torchkeras.random import as_dtype


class Variable(nn.Parameter):
    """A tensor that Keras code sets and updates in place; also an ordinary `torch.nn.Parameter`.

    Attributes:
        name: Its name, ending in ":0" as TensorFlow's do.
        constraint: Applied by whoever trains the variable, or `None`.
    """

    label: str
    constraint: Callable[[Tensor], Tensor] | None

    @property
    def name(self) -> str:  # type: ignore[override]
        """Keras' variable name."""
        return getattr(self, "label", "Variable:0")

    def assign(self, value: Any) -> Variable:
        """Write a value of the same shape.

        Raises:
            ValueError: another shape.
        """
        write(self, value, f"Variable '{self.name}'")
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add in place."""
        with torch.no_grad():
            return self.add_(as_tensor(value, like=self))  # type: ignore[return-value]

    def assign_sub(self, value: Any) -> Variable:
        """Subtract in place."""
        with torch.no_grad():
            return self.sub_(as_tensor(value, like=self))  # type: ignore[return-value]

    def read_value(self) -> Tensor:
        """The value as it is now, as a plain tensor that gradients flow through."""
        return self.view_as(self)

    value = read_value

    def numpy(self, *, force: bool = False) -> Any:
        """A copy as a NumPy array, from any device."""
        return self.detach().cpu().numpy().copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<Variable '{self.name}' shape={tuple(self.shape)} dtype={str(self.dtype).removeprefix('torch.')}>"


def write(target: Tensor, value: Any, who: str) -> None:
    """Copy a value of the same shape into a tensor in place.

    Raises:
        ValueError: another shape.
    """
    new = value.detach() if isinstance(value, Tensor) else as_tensor(value, like=target)
    if tuple(new.shape) != tuple(target.shape):
        raise ValueError(f"{who} has the shape {tuple(target.shape)}, but got a value of shape {tuple(new.shape)}. Give a value of its own shape.")
    with torch.no_grad():
        target.copy_(new)


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Callable[[Tensor], Tensor] | None = None) -> Variable | Tensor:
    """A tensor of its own that can be set and updated in place; with floats in it gradients reach it.

    Args:
        value: Initial value: a tensor, array, number or list; a scipy sparse matrix gives a sparse tensor.
        dtype: Type; `None`: `floatx()`.
        name: Its name.
        constraint: Kept with the variable, for whoever trains it.
    """
    if hasattr(value, "tocoo"):
        return from_sparse(value)
    wanted = as_dtype(dtype)
    with real_tensors(), torch.no_grad():
        stored = as_tensor(value).detach().to(default_device(), wanted, copy=True)
    made = Variable(stored, requires_grad=wanted.is_floating_point)
    made.label = scoped_name(name or "Variable") + ":0"
    made.constraint = constraint
    return made


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor with a fixed value.

    Args:
        value: A number, list or array.
        dtype: Type; `None`: `floatx()`.
        shape: Shape of the result: one number fills it, more are reshaped, and the last one is repeated where they are too few.
        name: A label in TensorFlow's graph, without meaning here.

    Raises:
        ValueError: more numbers than fit into the shape.
    """
    made = as_tensor(value).to(default_device(), as_dtype(dtype))
    if shape is None:
        return made
    sizes = as_sizes(shape)
    room, flat = int(np.prod(sizes)), made.reshape(-1)
    if flat.numel() > room:
        raise ValueError(f"constant got {flat.numel()} numbers for the shape {sizes}, which holds {room}. Give a greater shape, or fewer numbers.")
    return torch.cat([flat, flat[-1:].expand(room - flat.numel())]).reshape(sizes)


def _filled(shape: Any, dtype: Any, name: str | None, fill: Callable[..., Tensor]) -> Variable | Tensor:
    """A variable; but a plain tensor where the shape depends on data or the code runs to find shapes."""
    dynamic = isinstance(shape, (Tensor, Sizes)) or (
        isinstance(shape, (list, tuple)) and any(isinstance(dim, (Dimension, Tensor, torch.SymInt)) for dim in shape)
    )
    made = fill(as_sizes(shape), dtype=as_dtype(dtype), device=device_for(shape))
    if dynamic or in_trial() or torch.compiler.is_compiling():
        return made
    return variable(made, as_dtype(dtype), name)


@recorded
def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Variable | Tensor:
    """A variable full of zeros; a plain tensor where the shape comes from `K.shape`."""
    return _filled(shape, dtype, name, torch.zeros)


@recorded
def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Variable | Tensor:
    """A variable full of ones; a plain tensor where the shape comes from `K.shape`."""
    return _filled(shape, dtype, name, torch.ones)


@recorded
def eye(size: Any, dtype: Any = None, name: str | None = None) -> Variable | Tensor:
    """A variable with ones on the diagonal and zeros elsewhere.

    Args:
        size: Number of rows, or (rows, columns).
        dtype: Type; `None`: `floatx()`.
        name: Its name.
    """

    def fill(sizes: tuple[int, ...], **options: Any) -> Tensor:
        return torch.eye(*sizes, **options)

    return _filled(size, dtype, name, fill)


@recorded
def zeros_like(x: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Zeros in the shape of `x`; `name` is a label in TensorFlow's graph, without meaning here."""
    x = as_tensor(x)
    return torch.zeros_like(x.detach(), dtype=x.dtype if dtype is None else as_dtype(dtype))


@recorded
def ones_like(x: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Ones in the shape of `x`; `name` is a label in TensorFlow's graph, without meaning here."""
    x = as_tensor(x)
    return torch.ones_like(x.detach(), dtype=x.dtype if dtype is None else as_dtype(dtype))


@recorded
def identity(x: Any, name: str | None = None) -> Tensor:
    """A tensor of its own with the same content; `name` is a label in TensorFlow's graph, without meaning here."""
    return as_tensor(x).clone()


def is_sparse(tensor: Any) -> bool:
    """Whether a value is a sparse tensor."""
    return isinstance(tensor, Tensor) and tensor.layout != torch.strided


@recorded
def to_dense(tensor: Any) -> Any:
    """A sparse tensor as a dense one; anything else as it is."""
    return tensor.to_dense() if is_sparse(tensor) else tensor


def is_tensor(x: Any) -> bool:
    """Whether a value is a tensor: of data, symbolic, a variable or a weight."""
    return isinstance(x, Tensor)
