"""Learning rates along a cosine."""

from __future__ import annotations

import math
from typing import Any

import torch

from torchkeras.optimizers.rates import SCHEDULES, LearningRateSchedule, check_positive


def _half_cosine(fraction: float) -> float:
    """From 1 down to 0 as `fraction` goes from 0 to 1."""
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


@SCHEDULES.add()
class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate down to `alpha` of it, then constant.

    Args:
        initial_learning_rate: Rate of step 0.
        decay_steps: Steps until the lowest rate; above 0.
        alpha: Lowest rate as a fraction of the initial one.
        name: Kept for configs.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Source: Loshchilov & Hutter (2016); `tf.keras.experimental.CosineDecay`.
    """

    def __init__(self, initial_learning_rate: float, decay_steps: float, alpha: float = 0.0, name: str | None = None) -> None:
        check_positive(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        fallen = _half_cosine(min(step, self.decay_steps) / self.decay_steps)
        return self.initial_learning_rate * ((1 - self.alpha) * fallen + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
        }


@SCHEDULES.add()
class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after the other, each `t_mul` times as long and from `m_mul` times the height of the one before.

    Args:
        initial_learning_rate: Rate of step 0.
        first_decay_steps: Steps of the first half cosine; above 0.
        t_mul: Factor of the length from one to the next; at least 1.
        m_mul: Factor of the height from one to the next.
        alpha: Lowest rate as a fraction of the initial one.
        name: Kept for configs.

    Raises:
        ValueError: `first_decay_steps` is not above 0, or `t_mul` is below 1.

    Source: Loshchilov & Hutter (2016); `tf.keras.experimental.CosineDecayRestarts`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = None,
    ) -> None:
        check_positive(self, first_decay_steps=first_decay_steps)
        if not t_mul >= 1:
            raise ValueError(f"CosineDecayRestarts takes a t_mul of at least 1, but got {t_mul!r}: the periods would add up to a finite time.")
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        fraction = step / self.first_decay_steps
        length = 1.0
        restarts = 0
        if self.t_mul == 1:
            restarts = math.floor(fraction)
            fraction -= restarts
        else:
            while fraction >= length:
                fraction -= length
                length *= self.t_mul
                restarts += 1
            fraction /= length
        fallen = self.m_mul**restarts * _half_cosine(fraction)
        return self.initial_learning_rate * ((1 - self.alpha) * fallen + self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


@SCHEDULES.add()
class LinearCosineDecay(LearningRateSchedule):
    """A straight line down, times a cosine of `num_periods` periods.

    Args:
        initial_learning_rate: Scale of the rate.
        decay_steps: Steps until the rate stays; above 0.
        num_periods: Periods of the cosine until then.
        alpha: Added to the line.
        beta: Added to the product.
        name: Kept for configs.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Source: Bello et al. (2017); `tf.keras.experimental.LinearCosineDecay`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        num_periods: float = 0.5,
        alpha: float = 0.0,
        beta: float = 0.001,
        name: str | None = None,
    ) -> None:
        check_positive(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.num_periods = num_periods
        self.alpha = alpha
        self.beta = beta
        self.name = name

    def _line(self, step: float) -> float:
        return (self.decay_steps - step) / self.decay_steps

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        at = min(step, self.decay_steps)
        wave = _half_cosine(2.0 * self.num_periods * at / self.decay_steps)
        return self.initial_learning_rate * ((self.alpha + self._line(at)) * wave + self.beta)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "num_periods": self.num_periods,
            "alpha": self.alpha,
            "beta": self.beta,
            "name": self.name,
        }


@SCHEDULES.add()
class NoisyLinearCosineDecay(LinearCosineDecay):
    """`LinearCosineDecay` with normal noise on the line, whose variance is `initial_variance / (1 + step) ** variance_decay`.

    Args:
        initial_learning_rate: Scale of the rate.
        decay_steps: Steps until the rate stays; above 0.
        initial_variance: Variance of the noise at step 0.
        variance_decay: How fast it falls.
        num_periods: Periods of the cosine until `decay_steps`.
        alpha: Added to the line.
        beta: Added to the product.
        name: Kept for configs.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Source: Bello et al. (2017); `tf.keras.experimental.NoisyLinearCosineDecay`. The noise comes from torch's generator on the host.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        initial_variance: float = 1.0,
        variance_decay: float = 0.55,
        num_periods: float = 0.5,
        alpha: float = 0.0,
        beta: float = 0.001,
        name: str | None = None,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, num_periods, alpha, beta, name)
        self.initial_variance = initial_variance
        self.variance_decay = variance_decay

    def _line(self, step: float) -> float:
        deviation = math.sqrt(self.initial_variance / (1.0 + step) ** self.variance_decay)
        return super()._line(step) + deviation * torch.randn((), device="cpu").item()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "initial_variance": self.initial_variance, "variance_decay": self.variance_decay}
