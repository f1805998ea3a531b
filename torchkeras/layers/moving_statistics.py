"""Moving averages of batch statistics, as each Keras release updates them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def debiased_rate(momentum: float, count: Tensor) -> Tensor:
    """Share of the new value in a zero-debiased average after `count` updates: 1 at the first, `1 - momentum` in the end.

    The debiased average `sum((1 - m) m^(t - i) x_i) / (1 - m^t)` moves by this share of `x_t - average` at step t, so that no
    biased twin of it has to be kept.

    Source: Kingma & Ba (2015), section 3; TensorFlow's `assign_moving_average(zero_debias=True)`.
    """
    # expm1: at the first update 1 - m^t would lose half of the digits
    exponent = count * (math.log(momentum) if momentum > 0 else -math.inf)
    return torch.expm1(exponent).reciprocal_().mul_(momentum - 1)


def variance_factor(size: int, *, epsilon: float, debiased: bool, unbiased: bool) -> float:
    """What the batch variance (the mean of squared differences) is multiplied with before it enters the moving variance.

    Args:
        size: Number of values a channel.
        epsilon: Of the layer.
        debiased: As Keras 1 and 2: times n / (n - 1 - epsilon).
        unbiased: As TensorFlow's fused kernel: times n / (n - 1).
    """
    factor = size / (size - 1 - epsilon) if debiased else 1.0
    return factor * size / max(size - 1, 1) if unbiased else factor
