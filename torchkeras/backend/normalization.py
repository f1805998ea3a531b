"""K functions of batch normalization, and `bias_add`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.conversion import as_axes, as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.config import normalize_data_format


def _normalize(x: Tensor, mean: Tensor, variance: Tensor, beta: Tensor | None, gamma: Tensor | None, epsilon: float) -> Tensor:
    factor = torch.rsqrt(variance + epsilon)
    if gamma is not None:
        factor = factor * gamma
    normed = (x - mean) * factor
    return normed if beta is None else normed + beta


@keras1_spelling
@recorded
def batch_normalization(x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3) -> Tensor:
    """`(x - mean) / sqrt(var + epsilon) * gamma + beta`.

    Args:
        x: A tensor.
        mean: Means: a vector along `axis`, or anything that broadcasts.
        var: Variances, likewise.
        beta: Added, likewise, or `None`.
        gamma: Factors, likewise, or `None`.
        axis: The axis that vectors lie along.
        epsilon: Added to the variances.
    """
    x = as_tensor(x)
    behind = x.ndim - 1 - axis % x.ndim

    def spread(part: Any) -> Tensor | None:
        if part is None:
            return None
        part = as_tensor(part, like=x)
        return part.reshape(part.shape + (1,) * behind) if part.ndim == 1 else part

    return _normalize(x, spread(mean), spread(var), spread(beta), spread(gamma), epsilon)  # type: ignore[arg-type]


@recorded
def normalize_batch_in_training(x: Any, gamma: Any, beta: Any, reduction_axes: Any, epsilon: float = 1e-3) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize a batch by its own mean and variance.

    Args:
        x: A tensor.
        gamma: Factors along the axes that are left, or `None`.
        beta: Added, likewise, or `None`.
        reduction_axes: The axes that mean and variance are taken over.
        epsilon: Added to the variance.

    Returns:
        The normalized batch, the mean and the variance. Of images with the channels last the variance returned (not the one that
        is divided by) is times n / (n - 1), as TensorFlow's fused kernel gives it.
    """
    x = as_tensor(x)
    axes = sorted(axis % x.ndim for axis in as_axes(reduction_axes) or [])
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)

    def spread(part: Any) -> Tensor | None:
        return None if part is None else as_tensor(part, like=x).reshape(mean.shape)

    normed = _normalize(x, mean, variance, spread(beta), spread(gamma), epsilon)
    left = [axis for axis in range(x.ndim) if axis not in axes]
    count = x.numel() // max(variance.numel(), 1)
    if x.ndim == 4 and axes == [0, 1, 2]:
        variance = variance * (count / max(count - 1, 1))
    shape = [x.shape[axis] for axis in left]
    return normed, mean.reshape(shape), variance.reshape(shape)


@recorded
def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Tensor:
    """Add a bias to each channel, or to each place and channel.

    Args:
        x: A tensor (batch, ..., channels), or (batch, channels, ...) with the channels first.
        bias: A vector with a number for each channel; or a tensor of one axis less than `x`, in the order (..., channels), whose
            elements are read in that order for channels first, too.
        data_format: Where the channels are; `None`: the global setting.

    Raises:
        ValueError: a bias with another number of axes.
    """
    x = as_tensor(x)
    bias = as_tensor(bias, like=x)
    first = normalize_data_format(data_format) == "channels_first"
    if bias.ndim not in (1, x.ndim - 1):
        raise ValueError(f"bias_add takes a bias of 1 or {x.ndim - 1} axes for the shape {tuple(x.shape)}, but got one of shape {tuple(bias.shape)}.")
    if bias.ndim == 1:
        return x + (bias.reshape(bias.shape + (1,) * (x.ndim - 2)) if first else bias)
    return x + (bias.reshape(1, bias.shape[-1], *bias.shape[:-1]) if first else bias)
