"""True and false positives and negatives at thresholds, and what is read from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.losses.inputs import drop_odd_axis
from torchkeras.losses.losses_utils import align
from torchkeras.metrics import matches
from torchkeras.metrics.base import EXACT, Metric, divide_no_nan
from torchkeras.metrics.variable import MetricVariable

# Score of classes outside the best k, below every threshold; and the threshold that all others pass.
_NOT_AMONG_BEST = -1e10


class Counts(NamedTuple):
    """Weighted counts at each threshold, (thresholds,) or (thresholds, labels)."""

    true_positives: Tensor
    false_positives: Tensor
    true_negatives: Tensor
    false_negatives: Tensor


class Prepared(NamedTuple):
    """What is counted: flat or (samples, labels) alike."""

    labels: Tensor
    scores: Tensor
    weight: Tensor | None


def prepare(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    dtype: torch.dtype,
    who: str,
    top_k: int | None = None,
    class_id: int | None = None,
) -> Prepared:
    """Labels as booleans, scores in the metric's type, weights of the scores' shape.

    Raises:
        ValueError: the shapes differ.
    """
    y_true, y_pred = drop_odd_axis(*matches.as_pair(y_true, y_pred))
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{who} needs targets and predictions of one shape, but got {tuple(y_true.shape)} and {tuple(y_pred.shape)}. "
            "Class ids become one-hot targets with utils.to_categorical."
        )
    scores = y_pred.to(dtype)
    if top_k is not None:
        best = scores.sort(dim=-1, descending=True, stable=True).indices[..., :top_k]
        scores = torch.full_like(scores, _NOT_AMONG_BEST).scatter(-1, best, scores.gather(-1, best))
    if class_id is not None:
        y_true, scores = y_true[..., class_id], scores[..., class_id]
    weight = None
    if sample_weight is not None:
        weight = torch.as_tensor(sample_weight, device=scores.device).to(EXACT if scores.device.type != "mps" else dtype)
        weight = align(weight, scores, f"sample_weight of {who}").expand(scores.shape)
    return Prepared(y_true.bool(), scores, weight)


def count(data: Prepared, thresholds: Tensor, by_label: bool = False) -> Counts:
    """Counts at every threshold, from one histogram of the scores between them.

    Args:
        data: What is counted.
        thresholds: In rising order; a score above one is positive there.
        by_label: Count each column of (samples, labels) alone.
    """
    steps = len(thresholds) + 1
    # a score falls in bucket b where it is above b of the thresholds
    cells = torch.searchsorted(thresholds, data.scores.contiguous()) + data.labels * steps
    columns = data.scores.shape[-1] if by_label else 1
    if by_label:
        cells = cells + torch.arange(columns, device=cells.device) * (2 * steps)
    # whole numbers count exactly and in any order
    weight = torch.ones_like(cells) if data.weight is None else data.weight
    histogram = torch.zeros(columns * 2 * steps, dtype=weight.dtype, device=cells.device)
    histogram.scatter_add_(0, cells.reshape(-1), weight.reshape(-1))
    below = histogram.view(columns, 2, steps).cumsum(-1)
    negative = below[..., :-1]
    positive = below[..., -1:] - negative
    found = [positive[:, 1], positive[:, 0], negative[:, 0], negative[:, 1]]
    return Counts(*((part.T if by_label else part[0]) for part in found))


# Which predictions each count counts, of labels and of positives at one threshold (both boolean).
_AT_ONE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "true_positives": torch.logical_and,
    "false_positives": torch.lt,
    "true_negatives": lambda labels, positive: ~(labels | positive),
    "false_negatives": torch.gt,
}


def count_at_one(data: Prepared, threshold: float, kind: str) -> Tensor:
    """One of the four counts at one threshold; a scalar."""
    counted = _AT_ONE[kind](data.labels, data.scores > threshold)
    return counted.sum() if data.weight is None else (counted * data.weight).sum()


def as_list(thresholds: float | Sequence[float] | None, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ValueError: one is not within 0 and 1.
    """
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, Sequence) else [thresholds]
    wrong = [value for value in values if value is None or not 0 <= value <= 1]
    if wrong:
        raise ValueError(f"Thresholds must be from 0 to 1, but got {wrong}.")
    return values


class _AtThresholds(Metric):
    """Counts at the given thresholds, in the order given."""

    def __init__(
        self, thresholds: Any, top_k: int | None, class_id: int | None, name: str | None, dtype: Any, kept: Sequence[str], default: float = 0.5
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = as_list(thresholds, default)
        self.top_k, self.class_id = top_k, class_id
        self._kept = tuple(kept)
        for kind in self._kept:
            setattr(self, kind, self.add_weight(kind, (len(self.thresholds),), dtype=EXACT))
        levels = torch.tensor(self.thresholds, dtype=config.FLOAT_TYPES[self.dtype])
        order = levels.argsort(stable=True)
        self.register_buffer("_levels", levels[order], persistent=False)
        self.register_buffer("_places", order.argsort(), persistent=False)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: Labels 0 and 1.
            y_pred: Scores of 1, of the same shape, 0 to 1.
            sample_weight: Weights of the first axes.

        Raises:
            ValueError: the shapes differ.
        """
        levels: Any = self._levels
        data = prepare(y_true, y_pred, sample_weight, levels.dtype, f"metric '{self.name}'", self.top_k, self.class_id)
        if len(self.thresholds) == 1:
            for kind in self._kept:
                self._variable(kind).add_(count_at_one(data, self.thresholds[0], kind))
            return
        counts = count(data, levels)._asdict()
        for kind in self._kept:
            self._variable(kind).add_(counts[kind][self._places])

    def _one_or_all(self, values: Tensor) -> Tensor:
        values = values.to(config.FLOAT_TYPES[self.dtype])
        return values[0] if len(self.thresholds) == 1 else values


class _Count(_AtThresholds):
    """One of the four counts."""

    kind: str

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, None, None, name, dtype, (self.kind,))

    @property
    def accumulator(self) -> MetricVariable:
        """The count at each threshold."""
        return self._variable(self.kind)

    def result(self) -> Tensor:
        """The count so far: a scalar for one threshold, (thresholds,) for several."""
        return self._one_or_all(self.accumulator)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """How many labels 1 have a score above the threshold.

    Args:
        thresholds: One or several, 0 to 1; 0.5 by default.
        name: Name in logs.
        dtype: Float type of the result.
    """

    kind = "true_positives"


class FalsePositives(_Count):
    """How many labels 0 have a score above the threshold; arguments as in `TruePositives`."""

    kind = "false_positives"


class TrueNegatives(_Count):
    """How many labels 0 have a score not above the threshold; arguments as in `TruePositives`."""

    kind = "true_negatives"


class FalseNegatives(_Count):
    """How many labels 1 have a score not above the threshold; arguments as in `TruePositives`."""

    kind = "false_negatives"


class _Ratio(_AtThresholds):
    """True positives over themselves and another count."""

    other: str
    true_positives: MetricVariable

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        default = 0.5 if top_k is None else _NOT_AMONG_BEST
        super().__init__(thresholds, top_k, class_id, name, dtype, ("true_positives", self.other), default)

    def result(self) -> Tensor:
        """The ratio so far, 0 for 0 / 0: a scalar for one threshold, (thresholds,) for several."""
        return self._one_or_all(divide_no_nan(self.true_positives, self.true_positives + self._variable(self.other)))

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Ratio):
    """Share of the predicted labels that are right.

    Args:
        thresholds: One or several, 0 to 1; by default 0.5, or none where `top_k` is given.
        top_k: Only the `top_k` best classes of a sample count as predicted.
        class_id: Count this class only.
        name: Name in logs.
        dtype: Float type of the result.

    Raises:
        ValueError: a threshold is not within 0 and 1.
    """

    other = "false_positives"


class Recall(_Ratio):
    """Share of the true labels that are predicted; arguments as in `Precision`."""

    other = "false_negatives"
