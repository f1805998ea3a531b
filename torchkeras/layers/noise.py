"""Layers that add or multiply noise in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras.layers.base import layer_registry
from torchkeras.layers.drawing import DrawingLayer, checked_rate, full_shape

_SELU_FLOOR = -1.7580993408473766  # -alpha * scale of selu: what it comes near to far below 0


class _Noise(DrawingLayer):
    """Does nothing in inference."""

    supports_masking = True
    resolves_training = True
    config_omits = ("noise_shape", "seed")

    def get_config(self) -> dict[str, Any]:
        # Keras leaves these out of the config: here they are in it where they were given
        given = {name: getattr(self, name, None) for name in self.config_omits}
        return {**super().get_config(), **{name: value for name, value in given.items() if value is not None}}


@layer_registry.add()
class GaussianNoise(_Noise):
    """In training, adds normal noise of mean 0.

    Args:
        stddev: Standard deviation of the noise, at least 0.
        seed: Draw from a private generator with this seed; `None`: from torch's.

    Shape: any -> the same.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `GaussianNoise`; the seed: Keras 3.
    """

    def __init__(self, stddev: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not stddev >= 0:
            raise ValueError(f"GaussianNoise '{self.name}' needs a stddev of at least 0, but got {stddev!r}.")
        self.stddev = stddev
        self.seed = seed

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training is None:
            training = self.training
        return inputs.add(self.standard_normal(inputs, inputs.shape), alpha=self.stddev) if training else inputs


@layer_registry.add()
class GaussianDropout(_Noise):
    """In training, multiplies with normal noise of mean 1 and the variance that dropout has.

    Args:
        rate: As of dropout, 0 to 1; the noise has the standard deviation `sqrt(rate / (1 - rate))`, at 1 there is none.
        seed: Draw from a private generator with this seed; `None`: from torch's.

    Shape: any -> the same.

    Source: Srivastava et al. (2014), section 10; Keras 2.2.4 and tf.keras 2.4.0 `GaussianDropout`; the seed: Keras 3.
    """

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(self, rate, with_one=True)
        self.seed = seed

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training is None:
            training = self.training
        if not training or not 0 < self.rate < 1:
            return inputs
        deviation = (self.rate / (1 - self.rate)) ** 0.5
        return inputs * self.normal_like(inputs, 1.0, deviation)


@layer_registry.add()
class AlphaDropout(_Noise):
    """Dropout that keeps mean 0 and variance 1: for networks of `selu` units.

    Args:
        rate: Fraction to set to the lowest value of `selu`, 0 to 1; at 1 nothing is dropped.
        noise_shape: Shape of what is drawn, `None` for the input's own sizes; along an axis of 1 all values share their fate.
        seed: Draw from a private generator with this seed; `None`: from torch's.

    Shape: any -> the same.

    Source: Klambauer et al. (2017); Keras 2.2.4 and tf.keras 2.4.0 `AlphaDropout`.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(self, rate, with_one=True)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training is None:
            training = self.training
        if not training or not 0 < self.rate < 1:
            return inputs
        if self.noise_shape is None and self.seed is None:
            return F.alpha_dropout(inputs, self.rate, True)
        shape = inputs.shape if self.noise_shape is None else full_shape(self, self.noise_shape, inputs)
        kept = self.scaled_keep_mask(inputs, shape, self.rate) != 0
        scale = ((1 - self.rate) * (1 + self.rate * _SELU_FLOOR**2)) ** -0.5
        return torch.where(kept, inputs, _SELU_FLOOR) * scale - scale * _SELU_FLOOR * self.rate


__all__ = ["AlphaDropout", "GaussianDropout", "GaussianNoise"]
