"""Learning rate schedules: the classes, and their configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchkeras.optimizers.cosine import CosineDecay, CosineDecayRestarts, LinearCosineDecay, NoisyLinearCosineDecay
from torchkeras.optimizers.rates import (
    SCHEDULES,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from torchkeras.registry import deserialize_object, serialize_object

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearCosineDecay",
    "NoisyLinearCosineDecay",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The config of a schedule: its class's name and its constructor's arguments."""
    return serialize_object(learning_rate_schedule)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> LearningRateSchedule:
    """The schedule of a config.

    Args:
        config: `{"class_name", "config"}`.
        custom_objects: The caller's own schedules by name.

    Raises:
        ValueError: an unknown class name.
    """
    return deserialize_object(config, SCHEDULES, custom_objects)
