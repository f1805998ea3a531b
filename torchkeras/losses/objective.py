"""A loss as training uses it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from torchkeras.generations import choose
from torchkeras.losses.base import Loss, LossFunctionWrapper, bind_release
from torchkeras.losses.external import TorchLoss
from torchkeras.losses.fused import MEAN_FORMS
from torchkeras.losses.inputs import drop_odd_axis
from torchkeras.losses.lookup import function_name, get
from torchkeras.losses.losses_utils import Reduction
from torchkeras.losses.weighting import rule_for, weighted_mean
from torchkeras.ops.whole_batch import whole


class Objective:
    """A loss with everything that the chosen release decides about it fixed: one scalar for a batch.

    Args:
        loss: Whatever `losses.get` takes, other than `None`.

    Attributes:
        loss: The function or `Loss`.
        name: Its name in messages and files.
        rule: How weights and masks enter, a `weighting.Rule`.
    """

    def __init__(self, loss: Any) -> None:
        self.loss = get(loss)
        if self.loss is None:
            raise ValueError("Objective needs a loss, but got None.")
        is_object = isinstance(self.loss, Loss)
        self.name: str = (self.loss.name or type(self.loss).__name__) if is_object else function_name(self.loss)
        self.rule = rule_for(self.loss.reduction if is_object else "auto")
        self._values: Callable[..., Tensor] = self.loss.call if is_object else bind_release(self.loss)
        self._drops_odd_axis = isinstance(self.loss, LossFunctionWrapper) or (not is_object and choose("loss.drops_odd_axis"))
        self._calls_itself = is_object and type(self.loss).__call__ is not Loss.__call__
        self._mean = self._mean_form()
        # a batch's weights multiply its values, whose mean is the loss
        self._weighs = self.rule.weight == "batch" and self.rule.plain and not self._calls_itself and not isinstance(self.loss, TorchLoss)

    def _mean_form(self) -> Callable[..., Tensor] | None:
        """A form that gives the mean of the batch at once, where there is one."""
        if isinstance(self.loss, TorchLoss):
            reduced = self.loss.reduced
            return functools.partial(_whole_sum, reduced) if self.rule.reduction == Reduction.SUM else reduced
        if not self.rule.plain:
            return None
        if not isinstance(self.loss, Loss):
            form = _lookup(self.loss)
            return None if form is None else _like(form, bind_release(self.loss))
        if isinstance(self.loss, LossFunctionWrapper) and type(self.loss).call is LossFunctionWrapper.call:
            form = _lookup(self.loss.fn)
            return None if form is None else functools.partial(_like(form, self.loss._bound), **self.loss._fn_kwargs)
        return None

    @property
    def takes_means(self) -> bool:
        """Whether, without weights and masks, it is known to be the mean over the samples."""
        return self._mean is not None and not isinstance(self.loss, TorchLoss) and not self._calls_itself

    def values(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """Per-sample values.

        Shape: (batch, ..., d) twice -> (batch, ...).
        """
        if self._drops_odd_axis:
            y_true, y_pred = drop_odd_axis(y_true, y_pred)
        return self._values(y_true, y_pred)

    def __call__(self, y_true: Any, y_pred: Tensor, sample_weight: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Weights for the first axes of the values, or `None`.
            mask: True where a step counts, or `None`.

        Shape: scalar; the values themselves for a loss whose reduction is "none".

        Raises:
            ValueError: weights for a PyTorch loss that gives one number a batch.
        """
        if self._calls_itself:
            return self.loss(y_true, y_pred, sample_weight=_combined(sample_weight, mask))
        if sample_weight is None and mask is None and self._mean is not None:
            if self._drops_odd_axis:
                y_true, y_pred = drop_odd_axis(y_true, y_pred)
            return self._mean(y_true, y_pred)
        values = self.values(y_true, y_pred)
        if self._weighs and mask is None and type(sample_weight) is Tensor and _matches(sample_weight, values):
            return (values * sample_weight).mean()
        if isinstance(self.loss, TorchLoss) and values.dim() == 0 and not (sample_weight is None and mask is None):
            raise ValueError(
                f"The PyTorch loss {self.name} gives one number for the whole batch, so samples cannot be weighted or masked. "
                "Give it an attribute `reduction` that it honours, or return one value a sample."
            )
        return weighted_mean(values, sample_weight, mask, self.rule)


def _matches(weight: Tensor, values: Any) -> bool:
    """Whether there is one weight a value, of its type and on its device, so that nothing has to be aligned."""
    return type(values) is Tensor and weight.shape == values.shape and weight.dtype == values.dtype and weight.device == values.device


def _whole_sum(reduced: Callable[..., Tensor], y_true: Any, y_pred: Tensor) -> Tensor:
    """A sum over a part of a batch, in the measure of the whole one."""
    found = reduced(y_true, y_pred)
    return found * whole.scale if whole.active else found


def _lookup(function: Any) -> Callable[..., Tensor] | None:
    try:
        return MEAN_FORMS.get(function)
    except TypeError:  # not hashable, so none of ours
        return None


def _like(form: Callable[..., Tensor], bound: Callable[..., Any]) -> Callable[..., Tensor]:
    """`form` with the arguments that a release fixed in `bound`."""
    return functools.partial(form, **bound.keywords) if isinstance(bound, functools.partial) else form


def _combined(sample_weight: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Weights that are 0 where the mask is off."""
    if mask is None or sample_weight is None:
        return sample_weight if mask is None else mask
    weight = sample_weight.reshape(sample_weight.shape + (1,) * (mask.dim() - sample_weight.dim()))
    return weight * mask
