"""Metrics over many thresholds: the area under a curve, and one rate at a given other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.metrics.base import EXACT, Metric, divide_no_nan
from torchkeras.metrics.confusion import Counts, Prepared, count, prepare
from torchkeras.metrics.variable import MetricVariable

CURVES = ("ROC", "PR")
SUMMATIONS = ("interpolation", "minoring", "majoring")


def even_thresholds(number: int) -> list[float]:
    """The thresholds between 0 and 1, without the ends, that with them make `number` even steps."""
    return [(step + 1) / (number - 1) for step in range(number - 2)]


class _OverThresholds(Metric):
    """The four counts at fixed thresholds in rising order."""

    true_positives: MetricVariable
    true_negatives: MetricVariable
    false_positives: MetricVariable
    false_negatives: MetricVariable
    _levels: Tensor

    def _set_levels(self, thresholds: Sequence[float]) -> None:
        self.register_buffer("_levels", torch.tensor(thresholds, dtype=config.FLOAT_TYPES[self.dtype]), persistent=False)

    def _make_counts(self, shape: tuple[int, ...]) -> None:
        for kind in ("true_positives", "true_negatives", "false_positives", "false_negatives"):
            setattr(self, kind, self.add_weight(kind, shape, dtype=EXACT))

    def _add(self, data: Prepared, by_label: bool = False) -> None:
        for kind, counted in count(data, self._levels, by_label)._asdict().items():
            self._variable(kind).add_(counted)

    def _counts(self) -> Counts:
        return Counts(self.true_positives, self.false_positives, self.true_negatives, self.false_negatives)


def recall(counts: Counts) -> Tensor:
    """Share of the true labels found (sensitivity), at each threshold."""
    return divide_no_nan(counts.true_positives, counts.true_positives + counts.false_negatives)


def precision(counts: Counts) -> Tensor:
    """Share of what is found that is true, at each threshold."""
    return divide_no_nan(counts.true_positives, counts.true_positives + counts.false_positives)


def specificity(counts: Counts) -> Tensor:
    """Share of the false labels left out, at each threshold."""
    return divide_no_nan(counts.true_negatives, counts.true_negatives + counts.false_positives)


class AUC(_OverThresholds):
    """Area under the ROC or precision-recall curve, from counts at fixed thresholds.

    Args:
        num_thresholds: How many, 0 and 1 included; above 1. More come nearer to the true area.
        curve: "ROC" or "PR".
        summation_method: How the curve runs between thresholds: "interpolation", or its bounds "minoring" and "majoring".
        name: Name in logs.
        dtype: Float type of the result.
        thresholds: The thresholds between 0 and 1 themselves, in place of `num_thresholds`.
        multi_label: Average the areas of the columns of (samples, labels) data, rather than count all columns together.
        label_weights: A weight for each column, not below 0.

    Raises:
        ValueError: too few thresholds, an unknown curve or method, a weight below 0; later, data of another shape than (samples, labels).

    Source: tf.keras 2.4 `AUC`; interpolation of precision-recall curves: Davis & Goadrich (2006).
    """

    label_weights: Tensor | None

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        label_weights: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(f"AUC needs num_thresholds above 1, but got {num_thresholds}.")
        inner = even_thresholds(num_thresholds) if thresholds is None else sorted(thresholds)
        self.num_thresholds = len(inner) + 2
        # the ends lie just outside, so that scores of exactly 0 and 1 are on the right side of them
        self.thresholds = [-config.epsilon(), *inner, 1 + config.epsilon()]
        self.curve = _one_of(curve, CURVES, "curve")
        self.summation_method = _one_of(summation_method, SUMMATIONS, "summation_method")
        self.multi_label = multi_label
        self._given_weights = label_weights
        weights = None if label_weights is None else torch.as_tensor(label_weights, dtype=config.FLOAT_TYPES[self.dtype])
        if weights is not None and (weights < 0).any():
            raise ValueError(f"AUC needs label_weights of at least 0, but got {weights.tolist()}.")
        self.register_buffer("label_weights", weights, persistent=False)
        self._set_levels(self.thresholds)
        self._built = not multi_label
        if self._built:
            self._make_counts((self.num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: Labels 0 and 1.
            y_pred: Scores of 1, of the same shape, 0 to 1.
            sample_weight: Weights of the first axes.

        Raises:
            ValueError: the shapes differ, or do not go with `multi_label` or `label_weights`.
        """
        data = prepare(y_true, y_pred, sample_weight, self._levels.dtype, f"metric '{self.name}'")
        if self.multi_label or self.label_weights is not None:
            self._check_labels(data.scores.shape)
        if not self._built:
            self._make_counts((self.num_thresholds, data.scores.shape[1]))
            self._built = True
        if self.label_weights is not None and not self.multi_label:
            weight = self.label_weights.expand(data.scores.shape).to(self.true_positives.dtype)
            data = data._replace(weight=weight if data.weight is None else data.weight * weight)
        self._add(data, by_label=self.multi_label)

    def _check_labels(self, shape: torch.Size) -> None:
        labels = None if len(shape) != 2 else shape[1]
        known = [len(self.label_weights)] if self.label_weights is not None else []
        known += [self.true_positives.shape[1]] if self._built and self.multi_label else []
        if labels is None or any(labels != number for number in known):
            wanted = f"(samples, {known[0]})" if known else "(samples, labels)"
            raise ValueError(f"AUC '{self.name}' counts labels apart and needs data of shape {wanted}, but got {tuple(shape)}.")

    def result(self) -> Tensor:
        """The area so far, a scalar; 0 before any data."""
        if not self._built:
            return torch.zeros((), dtype=config.FLOAT_TYPES[self.dtype])
        areas = self._interpolated_pr() if (self.curve, self.summation_method) == ("PR", "interpolation") else self._summed()
        return self._over_labels(areas.sum(0)).to(config.FLOAT_TYPES[self.dtype])

    def _over_labels(self, area: Tensor) -> Tensor:
        if not self.multi_label:
            return area
        if self.label_weights is None:
            return area.mean()
        return divide_no_nan((area * self.label_weights).sum(), self.label_weights.sum().to(area.dtype))

    def _summed(self) -> Tensor:
        """Area between each two thresholds."""
        counts = self._counts()
        if self.curve == "ROC":
            x, y = divide_no_nan(counts.false_positives, counts.false_positives + counts.true_negatives), recall(counts)
        else:
            x, y = recall(counts), precision(counts)
        before, after = y[:-1], y[1:]
        if self.summation_method == "interpolation":
            height = (before + after) / 2
        else:
            height = torch.minimum(before, after) if self.summation_method == "minoring" else torch.maximum(before, after)
        return (x[:-1] - x[1:]) * height

    def _interpolated_pr(self) -> Tensor:
        """Area between each two thresholds, with true positives linear in all positives there."""
        tp, positives = self.true_positives, self.true_positives + self.false_positives
        gained, found = tp[:-1] - tp[1:], positives[:-1] - positives[1:]
        slope = divide_no_nan(gained, found.clamp(min=0))
        intercept = tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        ratio = torch.where(both, divide_no_nan(positives[:-1], positives[1:].clamp(min=0)), 1)
        return divide_no_nan(slope * (gained + intercept * ratio.log()), (tp[1:] + self.false_negatives[1:]).clamp(min=0))

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        weights = self._given_weights
        return {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "thresholds": self.thresholds[1:-1],
            "multi_label": self.multi_label,
            "label_weights": weights.tolist() if hasattr(weights, "tolist") else weights,
        }


def _one_of(value: str, known: Sequence[str], argument: str) -> str:
    for name in known:
        if str(value).lower() == name.lower():
            return name
    raise ValueError(f"AUC needs {argument} out of {list(known)}, but got {value!r}.")


class _BestUnderConstraint(_OverThresholds):
    """The best of one rate over the thresholds where another is at least a given value.

    Args:
        value: The least value of the other rate, 0 to 1.
        num_thresholds: How many, at least 1.
        name: Name in logs.
        dtype: Float type of the result.
    """

    constraint: str

    def __init__(self, value: float, num_thresholds: int = 200, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        if not 0 <= value <= 1:
            raise ValueError(f"{type(self).__name__} needs {self.constraint} from 0 to 1, but got {value!r}.")
        if num_thresholds <= 0:
            raise ValueError(f"{type(self).__name__} needs num_thresholds above 0, but got {num_thresholds!r}.")
        self.value = value
        self.num_thresholds = num_thresholds
        self.thresholds = [0.5] if num_thresholds == 1 else [0.0, *even_thresholds(num_thresholds), 1.0][:num_thresholds]
        self._set_levels(self.thresholds)
        self._make_counts((num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: Labels 0 and 1.
            y_pred: Scores of 1, of the same shape, 0 to 1.
            sample_weight: Weights of the first axes.

        Raises:
            ValueError: the shapes differ.
        """
        self._add(prepare(y_true, y_pred, sample_weight, self._levels.dtype, f"metric '{self.name}'"))

    def _rates(self) -> tuple[Tensor, Tensor]:
        """The rate that is constrained and the one that is wanted."""
        raise NotImplementedError

    def result(self) -> Tensor:
        """The best rate so far, 0 where no threshold meets the constraint; a scalar."""
        constrained, wanted = (rate.to(config.FLOAT_TYPES[self.dtype]) for rate in self._rates())
        return torch.where(constrained >= self.value, wanted, 0).max()

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "num_thresholds": self.num_thresholds, self.constraint: self.value}


class SensitivityAtSpecificity(_BestUnderConstraint):
    """Best sensitivity over the thresholds whose specificity is at least `specificity`; see `AUC` for the others."""

    constraint = "specificity"

    def __init__(self, specificity: float, num_thresholds: int = 200, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(specificity, num_thresholds, name, dtype)
        self.specificity = specificity

    def _rates(self) -> tuple[Tensor, Tensor]:
        return specificity(self._counts()), recall(self._counts())


class SpecificityAtSensitivity(_BestUnderConstraint):
    """Best specificity over the thresholds whose sensitivity is at least `sensitivity`."""

    constraint = "sensitivity"

    def __init__(self, sensitivity: float, num_thresholds: int = 200, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(sensitivity, num_thresholds, name, dtype)
        self.sensitivity = sensitivity

    def _rates(self) -> tuple[Tensor, Tensor]:
        return recall(self._counts()), specificity(self._counts())


class PrecisionAtRecall(_BestUnderConstraint):
    """Best precision over the thresholds whose recall is at least `recall`."""

    constraint = "recall"

    def __init__(self, recall: float, num_thresholds: int = 200, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(recall, num_thresholds, name, dtype)
        self.recall = recall

    def _rates(self) -> tuple[Tensor, Tensor]:
        return recall(self._counts()), precision(self._counts())


class RecallAtPrecision(_BestUnderConstraint):
    """Best recall over the thresholds whose precision is at least `precision`."""

    constraint = "precision"

    def __init__(self, precision: float, num_thresholds: int = 200, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(precision, num_thresholds, name, dtype)
        self.precision = precision

    def _rates(self) -> tuple[Tensor, Tensor]:
        return precision(self._counts()), recall(self._counts())
