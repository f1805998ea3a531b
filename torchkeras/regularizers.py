"""Penalties on weights or outputs, added to the loss.

A regularizer is called on a tensor and gives a differentiable scalar, the sum over all elements (never a mean).

Source: `keras.regularizers` (1.2.2, 2.2.4, tf.keras 2.4.0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras.config import floatx
from torchkeras.generations import choose
from torchkeras.registry import Registry, deserialize_object, serialize_object

REGULARIZERS = Registry("regularizer")


class Regularizer:
    """Base of all regularizers: `regularizer(x) -> scalar Tensor`."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty of `x`; none here."""
        return x.new_zeros(())

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal regularizer."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Regularizer:
        """The regularizer of a config."""
        return cls(**config)


def _factor(value: float, who: str) -> float:
    """`value` checked and rounded to floatx, as Keras keeps (and writes) it."""
    if not isinstance(value, (int, float)) and not hasattr(value, "__float__"):
        raise TypeError(f"{who} takes numbers as penalty factors, but got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"{who} takes finite penalty factors, but got {value!r}.")
    name = floatx()
    return float(np.dtype("float32" if name == "bfloat16" else name).type(value))


@REGULARIZERS.add("L1L2Regularizer", "WeightRegularizer", "ActivityRegularizer")
class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x^2)`.

    Args:
        l1: Factor of the absolute values.
        l2: Factor of the squares.

    Raises:
        ValueError: a factor that is not finite.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor(l1, type(self).__name__)
        self.l2 = _factor(l2, type(self).__name__)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty of `x`, a scalar."""
        if self.l1 and self.l2:
            return self.l1 * x.abs().sum() + self.l2 * x.square().sum()
        if self.l1:
            return self.l1 * x.abs().sum()
        if self.l2:
            return self.l2 * x.square().sum()
        return x.new_zeros(())

    def get_config(self) -> dict[str, Any]:
        """`l1` and `l2`."""
        return {"l1": self.l1, "l2": self.l2}


@REGULARIZERS.add("l1")
class L1(L1L2):
    """`l1 * sum(|x|)`; under Keras 1 and 2 it makes an `L1L2`, as those write to configs.

    Args:
        l1: The factor.
        l: Keras 1 and 2's name of it.
    """

    def __new__(cls, l1: float = 0.01, *, l: float | None = None) -> Any:  # noqa: E741
        """This class, or an `L1L2` where the chosen release writes that to configs."""
        return super().__new__(cls) if choose("regularizer.named_classes") else L1L2(l1=l1 if l is None else l)

    def __init__(self, l1: float = 0.01, *, l: float | None = None) -> None:  # noqa: E741
        super().__init__(l1=l1 if l is None else l)

    def get_config(self) -> dict[str, Any]:
        """`l1`."""
        return {"l1": self.l1}


@REGULARIZERS.add("l2")
class L2(L1L2):
    """`l2 * sum(x^2)`; under Keras 1 and 2 it makes an `L1L2`, as those write to configs.

    Args:
        l2: The factor.
        l: Keras 1 and 2's name of it.
    """

    def __new__(cls, l2: float = 0.01, *, l: float | None = None) -> Any:  # noqa: E741
        """This class, or an `L1L2` where the chosen release writes that to configs."""
        return super().__new__(cls) if choose("regularizer.named_classes") else L1L2(l2=l2 if l is None else l)

    def __init__(self, l2: float = 0.01, *, l: float | None = None) -> None:  # noqa: E741
        super().__init__(l2=l2 if l is None else l)

    def get_config(self) -> dict[str, Any]:
        """`l2`."""
        return {"l2": self.l2}


@REGULARIZERS.add()
class EigenvalueRegularizer(Regularizer):
    """`k` times the largest singular value of a matrix, by ten steps of the power method from a vector of ones.

    Args:
        k: The factor.

    Raises:
        ValueError: (when called) a tensor that is no matrix.

    Source: Keras 1.2.2.
    """

    def __init__(self, k: float) -> None:
        self.k = k

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty of the matrix `x`, a scalar."""
        if x.ndim != 2:
            raise ValueError(f"EigenvalueRegularizer needs a matrix, but got a tensor of shape {tuple(x.shape)}.")
        vector = x.new_ones(x.shape[1])
        for _ in range(9):
            vector = F.normalize(x.mT.mv(x.mv(vector)), dim=0)  # the length is free: kept at 1 so that nothing overflows
        return self.k * torch.linalg.vector_norm(x.mv(vector))

    def get_config(self) -> dict[str, Any]:
        """`k`."""
        return {"k": self.k}


L1L2Regularizer = WeightRegularizer = ActivityRegularizer = L1L2
l1 = L1
l2 = L2


@REGULARIZERS.add("l1l2", "activity_l1l2")
def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """An `L1L2` whose factors default to 0.01."""
    return L1L2(l1=l1, l2=l2)


l1l2 = activity_l1l2 = l1_l2
activity_l1 = L1
activity_l2 = L2
REGULARIZERS.alias("activity_l1", L1)
REGULARIZERS.alias("activity_l2", L2)


def serialize(regularizer: Any) -> Any:
    """Config of a regularizer: `{"class_name", "config"}`, or a function's name."""
    return serialize_object(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer of a config (`{"class_name", "config"}`, or Keras 1's `{"name", ...}`) or a name.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(config, Mapping) and "class_name" not in config and "name" in config:
        config = {"class_name": config["name"], "config": {key: value for key, value in config.items() if key != "name"}}
    found = deserialize_object(config, REGULARIZERS, custom_objects)
    if found is l1_l2:
        return l1_l2(**(config.get("config") or {})) if isinstance(config, Mapping) else l1_l2()
    return found


def get(identifier: Any) -> Any:
    """The regularizer that a name, a config, a class or a callable `(x)` stands for; `None` stays `None`.

    Raises:
        ValueError: an unknown name, or nothing of those.
    """
    return identifier if identifier is l1_l2 else deserialize(identifier)
