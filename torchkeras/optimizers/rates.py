"""Learning rates that follow the count of updates.

Each is computed on the host from the integer count, so that a step does not wait for the device.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from typing_extensions import Self

from torchkeras.registry import Registry

SCHEDULES = Registry("learning rate schedule")


class LearningRateSchedule:
    """Base of schedules: `__call__(step)` gives the rate of the update with that number, from 0.

    Source: `tf.keras.optimizers.schedules` (tf.keras 2.4.0).
    """

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(step), which returns the rate.")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config(), which returns its constructor's arguments.")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A schedule from `get_config()`."""
        return cls(**config)


class CalledRate(LearningRateSchedule):
    """The rate that a function without arguments gives at each update, as tf.keras allows it.

    Args:
        function: Gives the rate.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    def __call__(self, step: int) -> float:
        """The rate now."""
        return float(self.function())

    def get_config(self) -> dict[str, Any]:
        """Configs of optimizers have the rate itself in its place."""
        raise TypeError("A function cannot be written to a config; the optimizer's config holds the rate that it gives.")


def check_positive(owner: LearningRateSchedule, **numbers: float) -> None:
    """Raise where one of the named numbers is not above 0."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{type(owner).__name__} takes a {name} above 0, but got {value!r}.")


@SCHEDULES.add()
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: Rate of step 0.
        decay_steps: Steps in which the rate is multiplied once by `decay_rate`; above 0.
        decay_rate: Factor.
        staircase: Whether the exponent is rounded down, so that the rate falls in stairs.
        name: Kept for configs.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Source: tf.keras 2.4.0.
    """

    def __init__(self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False, name: str | None = None) -> None:
        check_positive(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def _progress(self, step: int) -> float:
        progress = step / self.decay_steps
        return math.floor(progress) if self.staircase else progress

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        return self.initial_learning_rate * self.decay_rate ** self._progress(step)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@SCHEDULES.add()
class InverseTimeDecay(ExponentialDecay):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: Rate of step 0.
        decay_steps: Steps after which the denominator has grown by `decay_rate`; above 0.
        decay_rate: How fast the denominator grows.
        staircase: Whether `step / decay_steps` is rounded down.
        name: Kept for configs.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Source: tf.keras 2.4.0.
    """

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        return self.initial_learning_rate / (1 + self.decay_rate * self._progress(step))


@SCHEDULES.add()
class PolynomialDecay(LearningRateSchedule):
    """From one rate to another in `decay_steps` steps, along a power of the steps that remain.

    Args:
        initial_learning_rate: Rate of step 0.
        decay_steps: Steps until `end_learning_rate` is reached; above 0.
        end_learning_rate: The rate from then on.
        power: 1 is a straight line.
        cycle: Whether to stretch `decay_steps` to its next multiple, and so start anew, rather than stay at the end.
        name: Kept for configs.

    Raises:
        ValueError: `decay_steps` is not above 0.

    Source: tf.keras 2.4.0.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = None,
    ) -> None:
        check_positive(self, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        gone = min(step, steps) / steps
        return (self.initial_learning_rate - self.end_learning_rate) * (1 - gone) ** self.power + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


@SCHEDULES.add()
class PiecewiseConstantDecay(LearningRateSchedule):
    """Constant rates between boundaries; a boundary itself still has the rate before it.

    Args:
        boundaries: Steps at which the rate changes, increasing.
        values: The rates, one more than boundaries.
        name: Kept for configs.

    Raises:
        ValueError: the number of values does not fit, or boundaries do not increase.

    Source: tf.keras 2.4.0.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str | None = None) -> None:
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay takes one value more than boundaries, but got {len(boundaries)} boundaries and {len(values)} values."
            )
        if list(boundaries) != sorted(boundaries):
            raise ValueError(f"PiecewiseConstantDecay takes increasing boundaries, but got {list(boundaries)}.")
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        return float(self.values[bisect.bisect_left(self.boundaries, step)])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}
