"""Metrics that only Keras 1 has by name: values of a whole batch, which an epoch averages over its batches.

For exact values over an epoch use `Precision` and `Recall`.

Source: Keras 1.2.2 `metrics`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras import config
from torchkeras.losses.inputs import as_pair


def _label(values: Tensor) -> Tensor:
    return values.clamp(0, 1).round()


def precision(y_true: Any, y_pred: Any) -> Tensor:
    """Share of the predicted labels that are right.

    Shape: two of one shape -> scalar.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "precision")
    return _label(y_true * y_pred).sum() / (_label(y_pred).sum() + config.epsilon())


def recall(y_true: Any, y_pred: Any) -> Tensor:
    """Share of the true labels that are predicted.

    Shape: two of one shape -> scalar.
    """
    y_true, y_pred = as_pair(y_true, y_pred, "recall")
    return _label(y_true * y_pred).sum() / (_label(y_true).sum() + config.epsilon())


def fbeta_score(y_true: Any, y_pred: Any, beta: float = 1) -> Tensor:
    """Harmonic mean of precision and recall, with recall counting `beta` times as much.

    Args:
        y_true: Labels 0 and 1.
        y_pred: Probabilities.
        beta: Weight of the recall, at least 0.

    Shape: two of one shape -> scalar.

    Raises:
        ValueError: `beta` is below 0.
    """
    if beta < 0:
        raise ValueError(f"fbeta_score needs beta of at least 0 (0 is precision alone), but got {beta!r}.")
    right, found = precision(y_true, y_pred), recall(y_true, y_pred)
    return (1 + beta**2) * (right * found) / (beta**2 * right + found + config.epsilon())


def fmeasure(y_true: Any, y_pred: Any) -> Tensor:
    """Harmonic mean of precision and recall.

    Shape: two of one shape -> scalar.
    """
    return fbeta_score(y_true, y_pred, beta=1)


def matthews_correlation(y_true: Any, y_pred: Any) -> Tensor:
    """Correlation of true and predicted labels: 1 for all right, 0 for chance, -1 for all wrong.

    Shape: two of one shape -> scalar.

    Source: Matthews (1975).
    """
    y_true, y_pred = as_pair(y_true, y_pred, "matthews_correlation")
    labels, guesses = _label(y_true), _label(y_pred)
    tp, tn = (labels * guesses).sum(), ((1 - labels) * (1 - guesses)).sum()
    fp, fn = ((1 - labels) * guesses).sum(), (labels * (1 - guesses)).sum()
    return (tp * tn - fp * fn) / (((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt() + config.epsilon())


f1score = fscore = fmeasure
