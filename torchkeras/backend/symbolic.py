"""K functions about shapes and symbolic tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.conversion import Sizes, as_tensor, recorded
from torchkeras.layers.input_layer import Input, InputLayer
from torchkeras.layers.naming import unique_name
from torchkeras.layers.symbolic import KerasTensor
from torchkeras.random import as_dtype


def int_shape(x: Any) -> tuple[int | None, ...]:
    """Shape of a tensor, array or number as a tuple, with `None` for what is unknown."""
    return tuple(x.shape) if isinstance(x, Tensor) else tuple(as_tensor(x).shape)


get_variable_shape = int_shape


def ndim(x: Any) -> int:
    """Number of axes of a tensor, array or number."""
    return len(int_shape(x))


def count_params(x: Any) -> int:
    """Number of elements.

    Raises:
        ValueError: a symbolic tensor with an unknown dimension.
    """
    count = 1
    for dim in int_shape(x):
        if dim is None:
            raise ValueError(f"count_params needs every dimension known, but got {x!r}.")
        count *= dim
    return count


@recorded
def _size(x: Tensor, axis: int) -> Tensor:
    """The size of one axis as a tensor, for the graph."""
    size = torch.tensor(x.shape[axis], device=x.device if x.device.type == "meta" else "cpu")
    if x.device.type == "meta":
        size._keras_size = x.shape[axis]  # type: ignore[attr-defined]
    return size


def shape(x: Any) -> Any:
    """The sizes of a tensor as they are when the code runs: ints, with the arithmetic of a vector.

    Of a symbolic tensor: its known dimensions, and scalars of the graph for the others.
    """
    if isinstance(x, KerasTensor):
        return tuple(_size(x, axis) if dim is None else dim for axis, dim in enumerate(x.shape))
    x = as_tensor(x)
    return x.shape if torch.compiler.is_compiling() else Sizes.of(x.shape, x.device)


def is_keras_tensor(x: Any) -> bool:
    """Whether a tensor is a symbolic one that `Input`, a layer or a K function made.

    Raises:
        ValueError: no tensor at all.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"is_keras_tensor takes a tensor, but got {x!r} of type {type(x).__name__}.")
    return isinstance(x, KerasTensor) and x.keras_history is not None


def is_placeholder(x: Any) -> bool:
    """Whether a value is a symbolic tensor that data is fed to: made by `K.placeholder` or `Input`."""
    return isinstance(x, KerasTensor) and x.keras_history is not None and isinstance(x.keras_history[0], InputLayer)


def placeholder(
    shape: Any = None, ndim: int | None = None, dtype: Any = None, sparse: bool = False, name: str | None = None, ragged: bool = False
) -> KerasTensor:
    """A symbolic tensor that data is fed to: an input of `K.function` or of a model.

    Args:
        shape: Its shape with the batch axis; `None` in it is unknown.
        ndim: Number of axes, where no shape is given.
        dtype: Type; `None`: `floatx()`.
        sparse: Not to be had here.
        name: Unique name; `None`: `placeholder`, `placeholder_1`, ...
        ragged: Not to be had here.

    Raises:
        ValueError: neither shape nor ndim, or a sparse or ragged placeholder.
    """
    if shape is None:
        if ndim is None:
            raise ValueError("placeholder needs a shape, such as (None, 3), or the number of axes, ndim.")
        shape = (None,) * ndim
    name = name or unique_name("placeholder", first_index=0)
    return Input(batch_shape=tuple(shape), dtype=as_dtype(dtype), sparse=sparse, ragged=ragged, name=name)
