"""K functions that change shapes: join, repeat, turn round, take parts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.backend.conversion import as_size, as_sizes, as_tensor, default_device, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.random import as_dtype


@recorded
def concatenate(tensors: Any, axis: int = -1) -> Tensor:
    """Tensors one after the other along an axis; sparse only where all are.

    Raises:
        ValueError: an empty list.
    """
    if len(tensors) == 0:
        raise ValueError("concatenate needs at least one tensor, but got an empty list.")
    first = next((one for one in tensors if isinstance(one, Tensor)), None)
    parts = [as_tensor(one, like=first) for one in tensors]
    if not all(part.is_sparse for part in parts):
        parts = [part.to_dense() if part.is_sparse else part for part in parts]
    return torch.cat(parts, axis % parts[0].ndim if parts[0].ndim else 0)


@recorded
def stack(x: Any, axis: int = 0) -> Tensor:
    """Tensors of one shape beside each other along a new axis."""
    first = next((one for one in x if isinstance(one, Tensor)), None)
    return torch.stack([as_tensor(one, like=first) for one in x], axis)


@recorded
def reshape(x: Any, shape: Any) -> Tensor:
    """The same elements in another shape; -1 stands for what is left."""
    return as_tensor(x).reshape(as_sizes(shape))


@recorded
def permute_dimensions(x: Any, pattern: Any) -> Tensor:
    """The axes in another order."""
    return as_tensor(x).permute(as_sizes(pattern))


@recorded
def flatten(x: Any) -> Tensor:
    """All elements along one axis."""
    return as_tensor(x).reshape(-1)


@recorded
def batch_flatten(x: Any) -> Tensor:
    """Each sample's elements along one axis: (batch, ...) -> (batch, n)."""
    x = as_tensor(x)
    return x.unsqueeze(1) if x.ndim == 1 else x.flatten(1)


@keras1_spelling
@recorded
def expand_dims(x: Any, axis: int = -1) -> Tensor:
    """A new axis of length 1."""
    return as_tensor(x).unsqueeze(axis)


@recorded
def squeeze(x: Any, axis: int) -> Tensor:
    """Without an axis of length 1.

    Raises:
        ValueError: the axis is longer.
    """
    x = as_tensor(x)
    if x.shape[axis] != 1:
        raise ValueError(f"squeeze takes away an axis of length 1, but axis {axis} of the shape {tuple(x.shape)} has the length {x.shape[axis]}.")
    return x.squeeze(axis)


@recorded
def repeat_elements(x: Any, rep: int, axis: int) -> Tensor:
    """Each element `rep` times in a row along an axis, as `numpy.repeat` does."""
    return torch.repeat_interleave(as_tensor(x), as_size(rep), dim=axis)


@recorded
def repeat(x: Any, n: int) -> Tensor:
    """A matrix `n` times along a new axis: (samples, d) -> (samples, n, d).

    Raises:
        ValueError: another number of axes than two.
    """
    x = as_tensor(x)
    if x.ndim != 2:
        raise ValueError(f"repeat takes a matrix (samples, d), but got the shape {tuple(x.shape)}. For other tensors there is repeat_elements.")
    return x.unsqueeze(1).expand(-1, as_size(n), -1)


@recorded
def tile(x: Any, n: Any) -> Tensor:
    """The tensor `n` times after itself, along each axis.

    Args:
        x: A tensor.
        n: How often, one number for each axis.

    Raises:
        ValueError: another number of numbers.
    """
    x, times = as_tensor(x), as_sizes(n)
    if len(times) != x.ndim:
        raise ValueError(f"tile needs one number for each axis of the shape {tuple(x.shape)}, but got {n!r}.")
    return x.repeat(times)


@recorded
def reverse(x: Any, axes: Any) -> Tensor:
    """The elements in reverse order along an axis or a list of axes."""
    return torch.flip(as_tensor(x), as_sizes(axes))


@recorded
def slice(x: Any, start: Any, size: Any) -> Tensor:
    """A block of a tensor.

    Args:
        x: A tensor.
        start: Where the block begins, one index for each axis.
        size: How long it is, one number for each axis; -1: up to the end.

    Raises:
        ValueError: another number of indices, or a block that reaches beyond the tensor.
    """
    x = as_tensor(x)
    starts, lengths = as_sizes(start), as_sizes(size)
    if not len(starts) == len(lengths) == x.ndim:
        raise ValueError(f"slice needs one start and one size for each axis of the shape {tuple(x.shape)}, but got {start!r} and {size!r}.")
    for axis, (first, length) in enumerate(zip(starts, lengths, strict=True)):
        count = x.shape[axis] - first if length == -1 else length
        if first < 0 or count < 0 or first + count > x.shape[axis]:
            raise ValueError(f"slice from {first} of size {length} reaches beyond axis {axis} of the shape {tuple(x.shape)}.")
        x = x.narrow(axis, first, count)
    return x


@recorded
def gather(reference: Any, indices: Any) -> Tensor:
    """Rows of a tensor by their numbers.

    Shape: reference (rows, ...), indices (any...) -> (any..., ...)

    Raises:
        TypeError: indices that are no integers.
    """
    reference = as_tensor(reference)
    rows = as_tensor(indices).to(reference.device)
    if rows.is_floating_point() or rows.dtype == torch.bool:
        raise TypeError(f"gather takes integer indices, but got {rows.dtype}. Use K.cast(indices, 'int32').")
    return reference.index_select(0, rows.reshape(-1).long()).reshape(rows.shape + reference.shape[1:])


@keras1_spelling
@recorded
def one_hot(indices: Any, num_classes: int) -> Tensor:
    """1 at each index and 0 elsewhere along a new last axis, in float32; only zeros for an index outside of the classes.

    Shape: (any...) -> (any..., num_classes)
    """
    indices = as_tensor(indices)
    classes = torch.arange(as_size(num_classes), device=indices.device, dtype=indices.dtype)
    return (indices.unsqueeze(-1) == classes).to(torch.float32)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Tensor:
    """Numbers from `start` up to, but without, `stop`.

    Args:
        start: The first; where `stop` is `None`, the end of a count from 0.
        stop: The end. A negative end alone gives no numbers.
        step: The distance.
        dtype: Type of the result; the default leaves fractions as floats.
    """
    start, stop, step = (value.item() if isinstance(value, Tensor) else value for value in (start, stop, step))
    if stop is None:
        start, stop = 0, start if start > 0 else 0
    whole = not any(isinstance(value, float) for value in (start, stop, step))
    own = torch.int32 if whole else config.float_dtype()
    return torch.arange(start, stop, step, dtype=own if dtype == "int32" else as_dtype(dtype), device=default_device())
