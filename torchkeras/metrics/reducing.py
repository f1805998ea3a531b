"""Metrics that are sums or means of values: `Mean`, `Sum`, `MeanTensor` and those of functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.losses.base import bind_release
from torchkeras.losses.fused import MEAN_FORMS
from torchkeras.losses.inputs import as_pair as as_float_pair
from torchkeras.losses.inputs import drop_odd_axis
from torchkeras.losses.losses_utils import align
from torchkeras.metrics import functions, matches
from torchkeras.metrics.base import EXACT, Metric, automatic_name, divide_no_nan
from torchkeras.metrics.variable import MetricVariable

# Functions whose values are 0 or 1: how to find the right predictions, and whether a sample is the mean of its last axis.
_COUNTED: dict[Callable[..., Any], tuple[Callable[..., Tensor], bool]] = {
    functions.accuracy: (matches.equal, False),
    functions.binary_accuracy: (matches.binary, True),
    functions.categorical_accuracy: (matches.categorical, False),
    functions.sparse_categorical_accuracy: (matches.sparse_categorical, False),
    functions.top_k_categorical_accuracy: (matches.top_k, False),
    functions.sparse_top_k_categorical_accuracy: (matches.sparse_top_k, False),
}


def _weight_of(values: Tensor, sample_weight: Any, what: str) -> tuple[Tensor, Tensor]:
    """Values and weights of one shape; where weights lack two axes or more, values are averaged over those."""
    weight = torch.as_tensor(sample_weight, device=values.device)
    weight = weight if weight.is_floating_point() else weight.to(config.float_dtype())
    if values.dim() - weight.dim() > 1 and weight.dim() > 0:
        values = values.to(weight.dtype).mean(dim=tuple(range(weight.dim(), values.dim())))
    return values, align(weight, values, what).expand(values.shape)


class Sum(Metric):
    """Sum of all values, weighted.

    Args:
        name: Name in logs.
        dtype: Float type of the result.
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight("total", dtype=EXACT)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values.

        Args:
            values: Numbers of any shape.
            sample_weight: Weights of the first axes of `values`.
        """
        values = matches.as_tensor(values)
        if sample_weight is not None:
            values, weight = _weight_of(values, sample_weight, f"sample_weight of metric '{self.name}'")
            values = values * weight
        self.total.add_(values.sum())

    def result(self) -> Tensor:
        """The sum so far; a scalar."""
        return self.total.to(config.FLOAT_TYPES[self.dtype])


class Mean(Metric):
    """Mean of all values, weighted: the sum of weight times value over the sum of weights.

    Args:
        name: Name in logs.
        dtype: Float type of the result.
    """

    total: MetricVariable

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._seen: float = 0  # values without a weight (tensor) of their own are counted here, at no cost to the device
        self.total = self.add_weight("total", dtype=EXACT)
        self.add_weight("count", dtype=EXACT)

    @property
    def count(self) -> MetricVariable:
        """Sum of the weights so far, as a variable."""
        variable = self._variable("_variable_count")
        if self._seen:
            variable.add_(self._seen)
            self._seen = 0
        return variable

    @property
    def variables(self) -> list[MetricVariable]:
        """Total and count, and a subclass's own."""
        self.count  # noqa: B018 - brings the variable up to date
        return super().variables

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values.

        Args:
            values: Numbers of any shape.
            sample_weight: A number, or weights of the first axes of `values`.
        """
        self.add_values(matches.as_tensor(values), sample_weight)

    def add_values(self, values: Tensor, sample_weight: Any = None) -> None:
        """What `update_state` of a `Mean` does, for subclasses that take something else."""
        self.accumulate(*self.tally_values(values, sample_weight))

    def tally_values(self, values: Tensor, sample_weight: Any = None) -> tuple[Tensor, Any, float]:
        """What values add, as arguments of `accumulate`; nothing is changed."""
        if isinstance(sample_weight, (int, float)):
            return (values if values.dim() == 0 else values.sum()), values.numel() * sample_weight, sample_weight
        if sample_weight is None:
            return (values if values.dim() == 0 else values.sum()), values.numel(), 1
        if type(sample_weight) is Tensor and sample_weight.shape == values.shape and sample_weight.device == values.device:
            weight = sample_weight  # one a value: nothing is to be aligned
        else:
            values, weight = _weight_of(values, sample_weight, f"sample_weight of metric '{self.name}'")
        return (values * weight).sum(), weight.sum(), 1

    def accumulate(self, total: Tensor, count: Any, scale: float = 1) -> None:
        """Add a sum of values in one kernel.

        Args:
            total: Scalar tensor of any number type.
            count: How many values (or how much weight) it is the sum of: a number, or a tensor, which takes a kernel more.
            scale: Times `total` is what is added.
        """
        # past nn.Module's own attribute access, which costs more than the kernel
        self._buffers["total"].add_(total, alpha=scale)  # type: ignore[union-attr]
        if isinstance(count, Tensor):
            self._buffers["_variable_count"].add_(count)  # type: ignore[union-attr]
        else:
            self.__dict__["_seen"] += count

    def result(self) -> Tensor:
        """The mean so far, 0 where nothing was added; a scalar."""
        return divide_no_nan(self.total, self.count).to(config.FLOAT_TYPES[self.dtype])

    def reset_states(self) -> None:
        """Forget every batch."""
        self._seen = 0
        super().reset_states()


class MeanMetricWrapper(Mean):
    """Mean of a function `(y_true, y_pred, **kwargs) -> values`.

    Args:
        fn: The function. What a release decides about ours is fixed here.
        name: Name in logs.
        dtype: Float type of the result.
        **kwargs: Given to `fn` at each call.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        self._bound = bind_release(fn)
        self._counted, self._averaged = self._counting_form()
        self._mean = self._mean_form()

    @property
    def is_mean(self) -> bool:
        """Whether it is known to be a mean over the samples."""
        return self._counted is not None or self._mean is not None

    def _counting_form(self) -> tuple[Callable[..., Tensor] | None, bool]:
        """What finds the right predictions, and whether a sample's value is their mean, for a function that counts them."""
        counted, averaged = _look_up(_COUNTED, self._fn) or (None, False)
        if counted is None:
            return None, False
        known = inspect.signature(counted).parameters
        decided = {key: value for key, value in {**_keywords(self._bound), **self._fn_kwargs}.items() if key in known}
        return functools.partial(counted, **decided), averaged

    def _mean_form(self) -> Callable[..., Tensor] | None:
        """What gives the mean of the function's values over a batch at once."""
        mean = _look_up(MEAN_FORMS, self._fn) if self._fn_kwargs.get("axis", -1) == -1 else None
        return None if mean is None else functools.partial(mean, **_keywords(self._bound), **self._fn_kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: A number, or weights of the first axes of the function's values.
        """
        self.accumulate(*self.tally(*matches.as_pair(y_true, y_pred), sample_weight))

    def tally(self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None) -> tuple[Tensor, Any, float]:
        """What a batch adds, as arguments of `accumulate`; nothing is changed."""
        if y_true.shape != y_pred.shape:
            y_true, y_pred = drop_odd_axis(y_true, y_pred)
        if self._counted is not None:
            return self._tally_right(self._counted(y_true, y_pred), sample_weight)
        if self._mean is not None and sample_weight is None and y_pred.dim() > 1 and y_pred.numel() > 0:
            samples = y_pred.numel() // y_pred.shape[-1]
            return self._mean(y_true, y_pred), samples, samples
        return self.tally_values(matches.as_tensor(self._bound(y_true, y_pred, **self._fn_kwargs)), sample_weight)

    def _tally_right(self, right: Tensor, sample_weight: Any) -> tuple[Tensor, Any, float]:
        """What right predictions add."""
        width = right.shape[-1] if self._averaged and right.dim() > 0 else 1
        if sample_weight is None and width > 0:
            return right.sum(), right.numel() // width, 1 / width
        return self.tally_values(matches.as_number(right).mean(-1) if self._averaged else right, sample_weight)

    def is_twin_of(self, other: Any) -> bool:
        """Whether both add up the same values of a batch: objects of this very class around the same function."""
        alike = type(self) is type(other) is MeanMetricWrapper and self._fn is other._fn and self._fn_kwargs == other._fn_kwargs
        return alike and _keywords(self._bound) == _keywords(other._bound)

    def update_twins(self, weighted: MeanMetricWrapper, y_true: Tensor, y_pred: Tensor, sample_weight: Any) -> None:
        """Add a batch to this metric, and with its weights to another that `is_twin_of` it; their values are computed once.

        Args:
            weighted: The other metric.
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the first axes of the function's values.
        """
        for metric in (self, weighted):
            if metric._device != y_pred.device:
                metric._follow(y_pred.device)
        if y_true.shape != y_pred.shape:
            y_true, y_pred = drop_odd_axis(y_true, y_pred)
        if self._counted is not None:
            right = self._counted(y_true, y_pred)
            self.accumulate(*self._tally_right(right, None))
            weighted.accumulate(*weighted._tally_right(right, sample_weight))
        else:
            values = matches.as_tensor(self._bound(y_true, y_pred, **self._fn_kwargs))
            self.add_values(values)
            weighted.add_values(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`; the function itself only for `MeanMetricWrapper` proper."""
        own = {"fn": self._fn} if type(self) is MeanMetricWrapper else {}
        return {**super().get_config(), **own, **self._fn_kwargs}


def averages(function: Any) -> bool:
    """Whether a metric function is known to give one value a sample, or their mean."""
    return (_look_up(_COUNTED, function) or _look_up(MEAN_FORMS, function)) is not None


def _look_up(table: dict[Callable[..., Any], Any], function: Any) -> Any:
    try:
        return table.get(function)
    except TypeError:  # not hashable, so none of ours
        return None


def _keywords(bound: Any) -> dict[str, Any]:
    """What a release fixed in a function."""
    return bound.keywords if isinstance(bound, functools.partial) and hasattr(bound, "__wrapped__") else {}


class MeanTensor(Metric):
    """Mean of each element over the batches added.

    Args:
        name: Name in logs.
        dtype: Float type of the result.
    """

    total: MetricVariable | None
    count: MetricVariable | None

    def __init__(self, name: str | None = "mean_tensor", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.register_buffer("total", None, persistent=False)
        self.register_buffer("count", None, persistent=False)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add a tensor.

        Args:
            values: Numbers, of one shape at each call.
            sample_weight: Weights of the first axes of `values`.

        Raises:
            ValueError: another shape than before.
        """
        values = matches.as_tensor(values)
        if self.total is None or self.count is None:
            self.total = self.add_weight("total", tuple(values.shape), dtype=EXACT)
            self.count = self.add_weight("count", tuple(values.shape), dtype=EXACT)
        if values.shape != self.total.shape:
            raise ValueError(
                f"MeanTensor '{self.name}' takes tensors of one shape, {tuple(self.total.shape)} as in the first call, but got {tuple(values.shape)}."
            )
        if sample_weight is None:
            self.total.add_(values)
            self.count.add_(1)
            return
        values, weight = _weight_of(values, sample_weight, f"sample_weight of metric '{self.name}'")
        self.total.add_(values * weight)
        self.count.add_(weight)

    def result(self) -> Tensor:
        """The mean of each element so far, 0 where its weights are 0.

        Raises:
            ValueError: nothing was added yet.
        """
        if self.total is None or self.count is None:
            raise ValueError(f"MeanTensor '{self.name}' has no result yet: call it, or update_state(values), first.")
        return divide_no_nan(self.total, self.count).to(config.FLOAT_TYPES[self.dtype])


class MeanRelativeError(Mean):
    """Mean of `|y_true - y_pred| / normalizer`, 0 where the normalizer is 0.

    Args:
        normalizer: What errors are relative to; goes with the predictions' shape.
        name: Name in logs.
        dtype: Float type of the result.
    """

    normalizer: Tensor

    def __init__(self, normalizer: Any, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name or automatic_name(type(self)), dtype=dtype)
        self._given = normalizer
        self.register_buffer("normalizer", torch.as_tensor(normalizer, dtype=config.FLOAT_TYPES[self.dtype]), persistent=False)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the first axes of the predictions.
        """
        y_true, y_pred = as_float_pair(*drop_odd_axis(*matches.as_pair(y_true, y_pred)), "MeanRelativeError")
        self.add_values(divide_no_nan((y_true - y_pred).abs(), self.normalizer.expand(y_pred.shape)), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        given = self._given.tolist() if hasattr(self._given, "tolist") else self._given
        return {**super().get_config(), "normalizer": given}


class RootMeanSquaredError(Mean):
    """Root of the mean of all squared errors.

    Args:
        name: Name in logs.
        dtype: Float type of the result.
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the first axes of the predictions.
        """
        y_true, y_pred = as_float_pair(*drop_odd_axis(*matches.as_pair(y_true, y_pred)), "RootMeanSquaredError")
        self.add_values((y_pred - y_true).square(), sample_weight)

    def result(self) -> Tensor:
        """The root of the mean so far; a scalar."""
        return super().result().sqrt()
