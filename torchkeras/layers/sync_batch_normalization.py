"""`SyncBatchNormalization`: batch statistics of all processes of a data-parallel run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.base import layer_registry
from torchkeras.layers.batch_normalization import BatchNormalization
from torchkeras.layers.moving_statistics import variance_factor
from torchkeras.ops.whole_batch import whole


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # type: ignore[override]
        """The sum."""
        found = value.clone()
        torch.distributed.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        """The gradient of all processes' losses."""
        found = gradient.contiguous().clone()
        torch.distributed.all_reduce(found)
        return found


@layer_registry.add()
class SyncBatchNormalization(BatchNormalization):
    """`BatchNormalization` whose mean and variance are those of the whole batch where several processes have a part of it each.

    `BatchNormalization` itself takes those of its part, and averages the moving averages at the end of an epoch, which is faster.

    Args:
        axis, momentum, epsilon, center, scale: As for `BatchNormalization`.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: As there.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: As there.

    Shape:
        any -> the same; weights as for `BatchNormalization`

    Source: tf.keras 2.4.0 `layers.experimental.SyncBatchNormalization`.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis=axis,
            momentum=momentum,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            **kwargs,
        )

    def _normalize(self, x: Tensor, inputs: Tensor, training: bool, moves: bool) -> Tensor:
        if not (training and whole.active):
            return super()._normalize(x, inputs, training, moves)
        over = [axis for axis in range(x.dim()) if axis != 1]
        broad = [1, -1, *(1 for _ in over[1:])]
        counts = float(whole.count > 0)  # a sample that stands in has no say
        size = round(whole.size * (x.numel() // x.shape[1] / x.shape[0]))
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        mean = _Sum.apply(values.sum(over) * counts) / size
        centred = values - mean.view(broad)
        variance = _Sum.apply(centred.square().sum(over) * counts) / size
        if moves:
            factor = variance_factor(size, epsilon=self.epsilon, debiased=self._debiased, unbiased=self._is_unbiased(inputs))
            self._move(mean.detach(), variance.detach() * factor)
        normalized = centred * torch.rsqrt(variance + self.epsilon).view(broad)
        normalized = normalized if self.weight is None else normalized * self.weight.view(broad)
        normalized = normalized if self.bias is None else normalized + self.bias.view(broad)
        return normalized.to(x.dtype)


__all__ = ["SyncBatchNormalization"]
