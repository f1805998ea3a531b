"""K functions of each element: arithmetic, comparisons, bounds.

Each takes tensors, arrays or numbers; two operands broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.conversion import as_operands, as_tensor, recorded


@recorded
def abs(x: Any) -> Tensor:
    """Absolute value."""
    return torch.abs(as_tensor(x))


@recorded
def square(x: Any) -> Tensor:
    """`x * x`."""
    return torch.square(as_tensor(x))


@recorded
def sqrt(x: Any) -> Tensor:
    """Square root; 0 for negative numbers."""
    return as_tensor(x).clamp(min=0).sqrt()


@recorded
def exp(x: Any) -> Tensor:
    """Exponential function."""
    return torch.exp(as_tensor(x))


@recorded
def log(x: Any) -> Tensor:
    """Natural logarithm."""
    return torch.log(as_tensor(x))


@recorded
def round(x: Any) -> Tensor:
    """The nearest whole number; halves go to the even one."""
    return torch.round(as_tensor(x))


@recorded
def sign(x: Any) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(as_tensor(x))


@recorded
def sin(x: Any) -> Tensor:
    """Sine, of radians."""
    return torch.sin(as_tensor(x))


@recorded
def cos(x: Any) -> Tensor:
    """Cosine, of radians."""
    return torch.cos(as_tensor(x))


@recorded
def pow(x: Any, a: Any) -> Tensor:
    """`x` to the power `a`."""
    return torch.pow(*as_operands(x, a))


@recorded
def clip(x: Any, min_value: Any, max_value: Any) -> Tensor:
    """`x` kept within two bounds; the lower one wins where it is above the upper one.

    Args:
        x: A tensor.
        min_value: A number, tensor or `None` (no bound).
        max_value: A number, tensor or `None` (no bound).
    """
    x = as_tensor(x)
    if isinstance(min_value, (Tensor, list, tuple)) or isinstance(max_value, (Tensor, list, tuple)):
        lower, upper = (bound if bound is None else as_tensor(bound, like=x) for bound in (min_value, max_value))
        bounded = x if upper is None else torch.where(x > upper, upper, x)
        return bounded if lower is None else torch.where(bounded < lower, lower, bounded)
    if min_value is None and max_value is None:
        return x
    if min_value is not None and max_value is not None and max_value < min_value:
        max_value = min_value
    return torch.clamp(x, min_value, max_value)


@recorded
def maximum(x: Any, y: Any) -> Tensor:
    """The greater of two; where they are equal the whole gradient goes to `x`, as in TensorFlow."""
    x, y = as_operands(x, y)
    if not isinstance(y, Tensor):
        return x.clamp(min=y)
    return torch.where(x < y, y, x)


@recorded
def minimum(x: Any, y: Any) -> Tensor:
    """The smaller of two; where they are equal the whole gradient goes to `x`, as in TensorFlow."""
    x, y = as_operands(x, y)
    if not isinstance(y, Tensor):
        return x.clamp(max=y)
    return torch.where(x > y, y, x)


def _compare(compute: Callable[..., Tensor], x: Any, y: Any) -> Tensor:
    x, y = as_operands(x, y)
    return compute(x if isinstance(x, Tensor) else torch.as_tensor(x, device=y.device), y)


@recorded
def equal(x: Any, y: Any) -> Tensor:
    """Whether `x == y`, element by element."""
    return _compare(torch.eq, x, y)


@recorded
def not_equal(x: Any, y: Any) -> Tensor:
    """Whether `x != y`, element by element."""
    return _compare(torch.ne, x, y)


@recorded
def greater(x: Any, y: Any) -> Tensor:
    """Whether `x > y`, element by element."""
    return _compare(torch.gt, x, y)


@recorded
def greater_equal(x: Any, y: Any) -> Tensor:
    """Whether `x >= y`, element by element."""
    return _compare(torch.ge, x, y)


@recorded
def less(x: Any, y: Any) -> Tensor:
    """Whether `x < y`, element by element."""
    return _compare(torch.lt, x, y)


@recorded
def less_equal(x: Any, y: Any) -> Tensor:
    """Whether `x <= y`, element by element."""
    return _compare(torch.le, x, y)
