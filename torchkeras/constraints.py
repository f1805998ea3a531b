"""Constraints: what a weight is mapped to after each update.

A constraint is called on a weight in Keras' layout and gives the new value.

Source: `keras.constraints` (1.2.2, 2.2.4, tf.keras 2.4.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.config import epsilon
from torchkeras.registry import Registry, deserialize_object, serialize_object

CONSTRAINTS = Registry("constraint")

Axis = int | Sequence[int] | None


class Constraint:
    """Base of all constraints: `constraint(w) -> Tensor`."""

    def __call__(self, w: Tensor) -> Tensor:
        """The value that `w` is to take; `w` itself here."""
        return w

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal constraint."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Constraint:
        """The constraint of a config."""
        return cls(**config)


def _norms(w: Tensor, axis: Axis) -> Tensor:
    """Euclidean norm over `axis`, which stays with length 1."""
    return torch.linalg.vector_norm(w, dim=tuple(axis) if isinstance(axis, Sequence) else axis, keepdim=True)


@CONSTRAINTS.add("max_norm", "maxnorm")
class MaxNorm(Constraint):
    """Scales down what has a norm above `max_value`.

    Args:
        max_value: The largest norm, in the weight's unit.
        axis: Axis or axes that a norm runs over: 0 for the inputs of each unit of a `Dense`, `[0, 1, 2]` for each filter
            of a `Conv2D`; `None` for all.
        m: Keras 1's name of `max_value`.

    Source: Srivastava et al. (2014).
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0, *, m: float | None = None) -> None:
        self.max_value = max_value if m is None else m
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """`w` with every norm at most `max_value`."""
        norms = _norms(w, self.axis)
        return w * (norms.clamp(0, self.max_value) / (epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        """`max_value` and `axis`."""
        return {"max_value": self.max_value, "axis": self.axis}


@CONSTRAINTS.add("non_neg", "nonneg")
class NonNeg(Constraint):
    """Sets negative values to 0."""

    def __call__(self, w: Tensor) -> Tensor:
        """`w` without negative values."""
        return w.clamp(min=0)


@CONSTRAINTS.add("unit_norm", "unitnorm")
class UnitNorm(Constraint):
    """Scales to norm 1.

    Args:
        axis: Axis or axes that a norm runs over, see `MaxNorm`.
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """`w` with every norm 1."""
        return w / (epsilon() + _norms(w, self.axis))

    def get_config(self) -> dict[str, Any]:
        """`axis`."""
        return {"axis": self.axis}


@CONSTRAINTS.add("min_max_norm")
class MinMaxNorm(Constraint):
    """Scales so that norms lie in [min_value, max_value].

    Args:
        min_value: The smallest norm.
        max_value: The largest norm.
        rate: How far a norm outside moves at each update: 1 all the way, 0 not at all.
        axis: Axis or axes that a norm runs over, see `MaxNorm`.
        low: Keras 1's name of `min_value`.
        high: Keras 1's name of `max_value`.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        self.min_value = min_value if low is None else low
        self.max_value = max_value if high is None else high
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """`w` with every norm moved towards the bounds."""
        norms = _norms(w, self.axis)
        desired = self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (desired / (epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        """`min_value`, `max_value`, `rate` and `axis`."""
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


@CONSTRAINTS.add("radial_constraint")
class RadialConstraint(Constraint):
    """Makes a `Conv2D` kernel equal along each square ring around its middle.

    Each ring takes one value of the main diagonal. As in tf.keras these are not all the ring's own: an odd window of n
    reads place n - 2 - e for the ring e steps from the edge, an even one n - 1 - e, save for its innermost ring.

    Shape: (n, n, inputs, outputs) -> the same.

    Raises:
        ValueError: a weight of another rank, or a window that is not square or smaller than 2.

    Source: tf.keras 2.4.0.
    """

    def __call__(self, w: Tensor) -> Tensor:
        """`w` with one value for each ring."""
        if w.ndim != 4:
            raise ValueError(f"RadialConstraint needs a kernel of 4 axes (rows, cols, inputs, outputs), but got the shape {tuple(w.shape)}.")
        n = w.shape[0]
        if n < 2 or w.shape[1] != n:
            raise ValueError(f"RadialConstraint needs a square window of at least 2 by 2, but got the shape {tuple(w.shape)}.")
        places = torch.tensor([[_radial_source(row, col, n) for col in range(n)] for row in range(n)], device=w.device)
        return w[places, places]


def _radial_source(row: int, col: int, n: int) -> int:
    """The place on the diagonal that (row, col) is read from."""
    edge = min(row, col, n - 1 - row, n - 1 - col)
    half = n // 2
    if n % 2:
        return n - 2 - edge
    return half - 1 if edge == half - 1 else n - 1 - edge


max_norm = maxnorm = MaxNorm
non_neg = nonneg = NonNeg
unit_norm = unitnorm = UnitNorm
min_max_norm = MinMaxNorm
radial_constraint = RadialConstraint


def serialize(constraint: Any) -> Any:
    """Config of a constraint: `{"class_name", "config"}`, or a function's name."""
    return serialize_object(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint of a config (`{"class_name", "config"}`, or Keras 1's `{"name", ...}`) or a name.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(config, Mapping) and "class_name" not in config and "name" in config:
        config = {"class_name": config["name"], "config": {key: value for key, value in config.items() if key != "name"}}
    return deserialize_object(config, CONSTRAINTS, custom_objects)


def get(identifier: Any) -> Any:
    """The constraint that a name, a config, a class or a callable `(w)` stands for; `None` stays `None`.

    Raises:
        ValueError: an unknown name, or nothing of those.
    """
    return deserialize(identifier)
