"""Losses as objects: `Loss` to subclass, and `LossFunctionWrapper` around a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchkeras.generations import choose
from torchkeras.losses.crossentropy import binary_crossentropy
from torchkeras.losses.inputs import drop_odd_axis
from torchkeras.losses.losses_utils import Reduction, compute_weighted_loss
from torchkeras.losses.margin import hinge, squared_hinge
from torchkeras.losses.regression import cosine_proximity

LossFunction = Callable[..., Any]
L = TypeVar("L", bound="Loss")

# Keyword arguments of functions that a release decides, with their rows in the table of generations.
_RELEASE_ARGUMENTS: dict[LossFunction, dict[str, str]] = {}


def decided_by_release(function: LossFunction, **rows: str) -> None:
    """Say which keyword arguments of a function of (y_true, y_pred) the table of generations decides, by which rows."""
    _RELEASE_ARGUMENTS[function] = rows


decided_by_release(hinge, convert_labels="loss.hinge_converts_labels")
decided_by_release(squared_hinge, convert_labels="loss.hinge_converts_labels")
decided_by_release(binary_crossentropy, clip="loss.binary_clip")
decided_by_release(cosine_proximity, averaged="loss.cosine_averaged")


def bind_release(function: LossFunction) -> LossFunction:
    """`function`, with what the chosen release decides fixed now rather than at each call."""
    try:
        rows = _RELEASE_ARGUMENTS.get(function)
    except TypeError:  # a callable that cannot be hashed is none of ours
        rows = None
    if not rows:
        return function
    bound = functools.partial(function, **{argument: choose(row) for argument, row in rows.items()})
    return functools.update_wrapper(bound, function)


class Loss:
    """A loss: subclasses give per-sample values in `call`, calling the object weights and reduces them.

    Args:
        reduction: One of `Reduction`. "auto" divides by the number of values, and in training by what the
            release of the model divides by.
        name: Name in logs and messages.

    Raises:
        ValueError: an unknown reduction.

    Source: tf.keras 2.4 `losses.Loss`.
    """

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = None) -> None:
        Reduction.validate(reduction)
        self.reduction = reduction
        self.name = name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Scalar, or weights for the first axes of the values.

        Shape: scalar, or that of `call`'s values for `Reduction.NONE`.
        """
        values = self.call(y_true, y_pred)
        values = values if isinstance(values, Tensor) else torch.as_tensor(values)
        return compute_weighted_loss(values, sample_weight, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Per-sample values; to be written by a subclass.

        Shape: (batch, ..., d) and (batch, ..., d) -> (batch, ...).
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, y_true, y_pred) that returns one value a sample.")

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {"reduction": self.reduction, "name": self.name}

    @classmethod
    def from_config(cls: type[L], config: dict[str, Any]) -> L:
        """A loss from `get_config()`."""
        return cls(**config)


class LossFunctionWrapper(Loss):
    """A loss made of a function `(y_true, y_pred, **kwargs) -> values`.

    Args:
        fn: The function. What a release decides about ours is fixed here.
        reduction: One of `Reduction`.
        name: Name in logs.
        **kwargs: Given to `fn` at each call.
    """

    def __init__(self, fn: LossFunction, reduction: str = Reduction.AUTO, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(reduction=reduction, name=name)
        self.fn = fn
        self._fn_kwargs = kwargs
        self._bound = bind_release(fn)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """What the function gives; an odd last axis of length 1 is dropped first."""
        y_true, y_pred = drop_odd_axis(y_true, y_pred)
        return self._bound(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        own = {"fn": self.fn} if type(self) is LossFunctionWrapper else {}
        return {**super().get_config(), **own, **self._fn_kwargs}
