"""K functions that multiply along axes: `dot`, `batch_dot`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.shaping import squeeze
from torchkeras.generations import choose


@recorded
def transpose(x: Any) -> Tensor:
    """All axes in reverse order."""
    x = as_tensor(x)
    return x.permute(*reversed(range(x.ndim)))


@recorded
def dot(x: Any, y: Any) -> Tensor:
    """Product of `x` along its last axis with `y` along its last but one.

    Args:
        x: A tensor; with two axes it may be sparse.
        y: A tensor.

    Shape: (*x_axes, d), (*y_axes, d, m) -> (*x_axes, *y_axes, m)
    """
    if isinstance(x, Tensor):
        y = as_tensor(y, like=x)
    else:
        x = as_tensor(x, like=y if isinstance(y, Tensor) else None)
        y = as_tensor(y, like=x)
    if y.ndim <= 2:
        return torch.matmul(x, y)
    return torch.tensordot(x, y, dims=([x.ndim - 1], [y.ndim - 2]))


@recorded
def batch_dot(x: Any, y: Any, axes: Any = None) -> Tensor:
    """Product of each sample of `x` with the same sample of `y` along one axis of each.

    Args:
        x: A tensor of at least two axes, batch first.
        y: The other.
        axes: The axis of both, or one for each; `None`: the last of `x` and the last but one of `y`
            (in tf.keras the last, where `y` has two axes).

    Shape:
        tf.keras: (batch, *x_axes, d), (batch, *y_axes, d) -> (batch, *x_axes, *y_axes); (batch, 1) for two matrices.
        Keras 1 and 2: a batch matrix product, transposed where `axes` asks for it; axes between the batch axis and the
        last two stay together, and two matrices give a sum of products.

    Raises:
        ValueError: fewer than two axes, axis 0, several axes of one tensor, or sizes that differ.
    """
    if isinstance(x, Tensor):
        y = as_tensor(y, like=x)
    else:
        x = as_tensor(x, like=y if isinstance(y, Tensor) else None)
        y = as_tensor(y, like=x)
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError(f"batch_dot needs a batch axis and at least one more, but got the shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    if isinstance(axes, int):
        axes = (axes, axes)
    if axes is not None and any(isinstance(one, (list, tuple)) for one in axes):
        raise ValueError(f"batch_dot multiplies along one axis of each tensor: axes is None, a number or two of them, but got {axes!r}.")
    return (_contract if choose("backend.batch_dot") == "contract" else _matrix_product)(x, y, axes)


def _contract(x: Tensor, y: Tensor, axes: Any) -> Tensor:
    """The rule of tf.keras 2.4."""
    if axes is None:
        axes = (x.ndim - 1, y.ndim - 1 if y.ndim == 2 else y.ndim - 2)
    first, second = axes[0] % x.ndim, axes[1] % y.ndim
    if 0 in (first, second):
        raise ValueError(
            f"batch_dot cannot multiply along axis 0, which is the batch, but got axes {tuple(axes)}. Use K.expand_dims(x, 0) for one sample."
        )
    if x.shape[0] != y.shape[0] or x.shape[first] != y.shape[second]:
        raise ValueError(
            f"batch_dot needs tensors with the same batch size and the same length along axes {tuple(axes)}, "
            f"but got the shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    both_matrices = x.ndim == y.ndim == 2
    left, right = x.movedim(first, -1), y.movedim(second, 1)  # (batch, *x_axes, d), (batch, d, *y_axes)
    shape = left.shape[:-1] + right.shape[2:]
    product = torch.bmm(left.reshape(left.shape[0], -1, left.shape[-1]), right.reshape(*right.shape[:2], -1))
    return product.flatten(1) if both_matrices else product.reshape(shape)


def _matrix_product(x: Tensor, y: Tensor, axes: Any) -> Tensor:
    """The rule of Keras 1 and 2, where axes count as they are written: -1 is not the last."""
    if axes is None:
        axes = (x.ndim - 1, y.ndim - 2)
    missing = x.ndim - y.ndim
    place = x.ndim + y.ndim - 3 if missing > 0 else x.ndim - 1
    left, right = x[(..., *[None] * -missing)], y[(..., *[None] * missing)]
    try:
        if left.ndim == 2:
            product = (left * right).sum(axes[0]) if axes[0] == axes[1] else (left.T * right).sum(axes[1])
        else:
            product = torch.matmul(left if axes[0] == left.ndim - 1 else left.mT, right.mT if axes[1] == right.ndim - 1 else right)
    except RuntimeError as error:
        raise ValueError(
            f"batch_dot, as Keras 2 computes it, cannot multiply the shapes {tuple(x.shape)} and {tuple(y.shape)} with axes {tuple(axes)}: {error}. "
            "Give axes without a minus sign; or take the rule of tf.keras: set_keras_version('2.4.0')."
        ) from error
    for _ in range(max(missing, -missing)):
        product = squeeze(product, place)
    return product.unsqueeze(1) if product.ndim == 1 else product
