"""K functions that bring axes together: sums, means, extremes, running sums.

`axis` is a number, a list of them or `None` for all axes; `keepdims` leaves reduced axes with length 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.backend.conversion import as_axes, as_tensor, recorded
from torchkeras.generations import choose
from torchkeras.random import as_dtype


def _prepare(x: Any, axis: Any) -> tuple[Tensor, list[int]]:
    """The tensor and the axes to reduce, counted from 0."""
    x = as_tensor(x)
    axes = as_axes(axis)
    if axes is None:
        return x, list(range(x.ndim))
    wrong = [one for one in axes if not -x.ndim <= one < x.ndim]
    if wrong:
        raise ValueError(f"A tensor of {x.ndim} axes, of shape {tuple(x.shape)}, has no axis {wrong[0]}.")
    return x, sorted({one % x.ndim for one in axes})


def _reduce(compute: Callable[..., Tensor], x: Any, axis: Any, keepdims: bool, **options: Any) -> Tensor:
    if type(axis) is int and isinstance(x, Tensor) and -x.ndim <= axis < x.ndim:  # the usual case, without detours
        return compute(x, dim=(axis,), keepdim=keepdims, **options)
    x, axes = _prepare(x, axis)
    return compute(x, dim=axes, keepdim=keepdims, **options) if axes else x


def _as_float(x: Any) -> Tensor:
    x = as_tensor(x)
    return x if x.is_floating_point() else x.to(config.float_dtype())


@recorded
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The greatest element; several equal ones share the gradient."""
    return _reduce(torch.amax, x, axis, keepdims)


@recorded
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element; several equal ones share the gradient."""
    return _reduce(torch.amin, x, axis, keepdims)


@recorded
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Sum, in the type of `x`; truth values are counted."""
    x = as_tensor(x)
    return _reduce(torch.sum, x, axis, keepdims, dtype=None if x.dtype == torch.bool else x.dtype)


@recorded
def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Product, in the type of `x`."""
    x, axes = _prepare(x, axis)
    for one in reversed(axes):
        x = torch.prod(x, dim=one, keepdim=keepdims, dtype=x.dtype)
    return x


@recorded
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean; of integers without the fraction, as in TensorFlow; of truth values in `floatx()`."""
    x = as_tensor(x)
    if x.dtype == torch.bool:
        x = x.to(config.float_dtype())
    if x.is_floating_point() or x.is_complex():
        return _reduce(torch.mean, x, axis, keepdims)
    total = sum(x, axis, keepdims)
    return total if total.numel() == 0 else torch.div(total, x.numel() // total.numel(), rounding_mode="trunc")


@recorded
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean (divided by the count, not by one less)."""
    x = _as_float(x)
    return _reduce(torch.var, x, axis, keepdims, correction=0) if x.ndim else torch.zeros_like(x)


@recorded
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Square root of `var`; its gradient is 0 where it is 0."""
    x = _as_float(x)
    return _reduce(torch.std, x, axis, keepdims, correction=0) if x.ndim else torch.zeros_like(x)


@recorded
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`log(sum(exp(x)))` without overflow."""
    return _reduce(torch.logsumexp, _as_float(x), axis, keepdims)


@recorded
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether any element is not 0: a truth value (a uint8 in Keras 1)."""
    return _logical(torch.any, x, axis, keepdims)


@recorded
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether no element is 0: a truth value (a uint8 in Keras 1)."""
    return _logical(torch.all, x, axis, keepdims)


def _logical(compute: Callable[..., Tensor], x: Any, axis: Any, keepdims: bool) -> Tensor:
    return _reduce(compute, as_tensor(x).to(torch.bool), axis, keepdims).to(as_dtype(choose("backend.logical_dtype")))


@recorded
def argmax(x: Any, axis: int = -1) -> Tensor:
    """Index of the greatest element along an axis, the first of equal ones; int64."""
    return torch.argmax(as_tensor(x), dim=axis)


@recorded
def argmin(x: Any, axis: int = -1) -> Tensor:
    """Index of the smallest element along an axis, the first of equal ones; int64."""
    return torch.argmin(as_tensor(x), dim=axis)


@recorded
def cumsum(x: Any, axis: int = 0) -> Tensor:
    """Running sum along an axis, in the type of `x`."""
    x = as_tensor(x)
    return torch.cumsum(x, dim=axis, dtype=None if x.dtype == torch.bool else x.dtype)


@recorded
def cumprod(x: Any, axis: int = 0) -> Tensor:
    """Running product along an axis, in the type of `x`."""
    x = as_tensor(x)
    return torch.cumprod(x, dim=axis, dtype=None if x.dtype == torch.bool else x.dtype)
