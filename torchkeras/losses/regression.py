"""Losses of real-valued targets.

Each takes `(y_true, y_pred)`, broadcastable tensors or arrays, and gives the mean over the last axis,
one value a sample: (batch, ..., d) -> (batch, ...).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import config
from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.losses.inputs import as_pair
from torchkeras.losses.losses_utils import last_mean

# torch.nn.functional's kernels past its own broadcasting, which takes longer than they do
_KERNELS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "squared": (torch._C._nn.mse_loss, F.mse_loss),
    "absolute": (torch._C._nn.l1_loss, F.l1_loss),
}
_REDUCTIONS = {"none": 0, "mean": 1}

# Squared norms below this count as this, as in TensorFlow's l2_normalize.
_SMALLEST_SQUARED_NORM = 1e-12


def squared_error(y_true: Tensor, y_pred: Tensor, reduction: str = "none") -> Tensor:
    """The squared error of each element ("none") or the "mean" of all, of two tensors that went through `as_pair`."""
    return _error("squared", y_true, y_pred, reduction)


def absolute_error(y_true: Tensor, y_pred: Tensor, reduction: str = "none") -> Tensor:
    """The same of the absolute error."""
    return _error("absolute", y_true, y_pred, reduction)


def _error(kind: str, y_true: Tensor, y_pred: Tensor, reduction: str) -> Tensor:
    kernel, function = _KERNELS[kind]
    if y_true.shape != y_pred.shape:
        error = (y_pred - y_true).square() if kind == "squared" else (y_pred - y_true).abs()
        return error if reduction == "none" else error.mean()
    if type(y_true) is Tensor and type(y_pred) is Tensor:
        return kernel(y_pred, y_true, _REDUCTIONS[reduction])
    return function(y_pred, y_true, reduction=reduction)


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean over the last axis of the squared error.

    Shape: two of (batch, ..., d) -> (batch, ...). Unit: that of the target, squared.
    """
    return last_mean(squared_error(*as_pair(y_true, y_pred, "mean_squared_error")))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean over the last axis of the absolute error.

    Shape: two of (batch, ..., d) -> (batch, ...). Unit: that of the target.
    """
    return last_mean(absolute_error(*as_pair(y_true, y_pred, "mean_absolute_error")))


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean over the last axis of `100 |y_true - y_pred| / |y_true|`; targets nearer to 0 than epsilon count as epsilon.

    Shape: two of (batch, ..., d) -> (batch, ...). Unit: percent.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "mean_absolute_percentage_error")
    return 100 * last_mean(((y_true - y_pred) / y_true.abs().clamp(min=config.epsilon())).abs())


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Mean over the last axis of the squared difference of `log(1 + y)`; values below epsilon count as epsilon.

    Shape: two of (batch, ..., d) -> (batch, ...). Unit: none.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "mean_squared_logarithmic_error")
    epsilon = config.epsilon()
    return last_mean((y_pred.clamp(min=epsilon).log1p() - y_true.clamp(min=epsilon).log1p()).square())


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Mean over the last axis of `log(cosh(y_pred - y_true))`: quadratic near 0, linear far away.

    Shape: two of (batch, ..., d) -> (batch, ...). Unit: none; the error should be scaled to about 1.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "log_cosh")
    error = y_pred - y_true
    # cosh overflows float32 past 89; this form of it does not
    return last_mean(error - F.logsigmoid(2 * error)) - math.log(2)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Mean over the last axis of the Huber loss: half the squared error up to `delta`, then linear.

    Args:
        y_true: Targets.
        y_pred: Predictions.
        delta: Where the two parts meet, in the unit of the target; above 0.

    Shape: two of (batch, ..., d) -> (batch, ...).

    Source: Huber (1964); tf.keras 2.4 `huber`.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "huber")
    if y_true.shape == y_pred.shape:
        return last_mean(F.huber_loss(y_pred, y_true, reduction="none", delta=delta))
    error = (y_pred - y_true).abs()
    near = error.clamp(max=delta)
    return last_mean(0.5 * near.square() + delta * (error - near))


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Mean over the last axis of `y_pred - y_true log(y_pred + epsilon)`: Poisson likelihood of counts, up to a constant.

    Shape: two of (batch, ..., d) -> (batch, ...); predictions above 0.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "poisson")
    return last_mean(y_pred - y_true * (y_pred + config.epsilon()).log())


def _unit_product(y_true: Any, y_pred: Any, axis: int, who: str) -> Tensor:
    """Product of the two, each scaled to length 1 along `axis`; a row of zeros stays zero."""
    y_true, y_pred = as_pair(y_true, y_pred, who)
    y_true = y_true * y_true.square().sum(axis, keepdim=True).clamp(min=_SMALLEST_SQUARED_NORM).rsqrt()
    y_pred = y_pred * y_pred.square().sum(axis, keepdim=True).clamp(min=_SMALLEST_SQUARED_NORM).rsqrt()
    return y_true * y_pred


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between targets and predictions: -1 for one direction, 1 for opposite ones.

    Shape: two of (batch, ..., d) -> (batch, ...), where `axis` is the last.

    Source: tf.keras 2.4 `cosine_similarity`.
    """
    return -_unit_product(y_true, y_pred, axis, "cosine_similarity").sum(axis)


def cosine_proximity(y_true: Any, y_pred: Any, *, averaged: bool = BY_GENERATION) -> Tensor:
    """Minus the cosine of the angle between targets and predictions; Keras 1 divides it by the size of the last axis.

    Args:
        y_true: Targets.
        y_pred: Predictions.
        averaged: Divide as Keras 1 does; by default what the chosen release does.

    Shape: two of (batch, ..., d) -> (batch, ...).

    Source: Keras 2.2.4 and 1.2.2 `cosine_proximity`.
    """
    product = _unit_product(y_true, y_pred, -1, "cosine_proximity")
    return -(product.mean(-1) if resolve(averaged, "loss.cosine_averaged") else product.sum(-1))
