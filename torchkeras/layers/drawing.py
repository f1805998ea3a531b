"""What layers that draw random numbers share: the rate, and the generator of a layer that has a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras import generations
from torchkeras.layers.base import Layer


class DrawingLayer(Layer):
    """A layer that draws random numbers: torch's own, or with a `seed` its private ones.

    The private numbers come from a generator on the device of the input, made at the first draw; `torch.compile` splits its
    graph there. Without a seed, `torch.manual_seed` and `torchkeras.utils.set_random_seed` fix what is drawn.
    """

    seed: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._generators: dict[str, torch.Generator] = {}

    def scaled_keep_mask(self, like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
        """Zeros with probability `rate`, else `1 / (1 - rate)`: what dropout multiplies with."""
        if self.seed is None:
            return like.new_empty(shape).bernoulli_(1 - rate).div_(1 - rate)
        return self._drawn(like, shape).bernoulli_(1 - rate, generator=self._generator(like.device)).div_(1 - rate)

    def standard_normal(self, like: Tensor, shape: Sequence[int]) -> Tensor:
        """Normal numbers of mean 0 and standard deviation 1."""
        if self.seed is None:
            return torch.randn(tuple(shape), dtype=like.dtype, device=like.device)
        return self._drawn(like, shape).normal_(generator=self._generator(like.device))

    def normal_like(self, like: Tensor, mean: float, deviation: float) -> Tensor:
        """Normal numbers of this mean and standard deviation, in one pass."""
        return torch.empty_like(like).normal_(mean, deviation, generator=None if self.seed is None else self._generator(like.device))

    def _drawn(self, like: Tensor, shape: Sequence[int]) -> Tensor:
        return torch.empty(tuple(shape), dtype=like.dtype, device=like.device)

    def _generator(self, device: torch.device) -> torch.Generator:
        key = str(device)
        if key not in self._generators:
            self._generators[key] = torch.Generator(device).manual_seed(self.seed)  # type: ignore[arg-type]
        return self._generators[key]


def checked_rate(layer: Layer, rate: Any, *, with_one: bool = False) -> float:
    """The fraction to drop, as the chosen release takes it: Keras 1 and 2 clip it to 0..1, and then a rate of 1 drops nothing.

    Args:
        layer: Whose rate it is, for the message.
        rate: The rate.
        with_one: Whether tf.keras takes a rate of 1 as well.

    Raises:
        ValueError: it is not from 0 up to (`with_one`: and including) 1 in tf.keras, or no number.
    """
    try:
        rate = float(rate)
    except (TypeError, ValueError):
        raise ValueError(f"{type(layer).__name__} '{layer.name}' needs a rate from 0 to 1, but got {rate!r}.") from None
    if generations.choose("dropout.rate_range") == "clip" and not math.isnan(rate):
        return min(1.0, max(0.0, rate))
    if not 0 <= rate < 1 and not (with_one and rate == 1):
        bound = "at most" if with_one else "below"
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}' needs a rate of at least 0 and {bound} 1, the fraction that is dropped, but got {rate!r}."
        )
    return rate


def full_shape(layer: Layer, noise_shape: Sequence[int | None], inputs: Tensor) -> list[int]:
    """`noise_shape` with the input's own sizes in place of `None`.

    Raises:
        ValueError: it has another number of axes than the input.
    """
    if len(noise_shape) != inputs.dim():
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}' has the noise_shape {tuple(noise_shape)} of {len(noise_shape)} axes, "
            f"but got an input of shape {tuple(inputs.shape)}. Give one size (1, the input's own or None) for each axis."
        )
    return [size if own is None else own for own, size in zip(noise_shape, inputs.shape, strict=True)]
