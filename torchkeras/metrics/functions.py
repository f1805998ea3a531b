"""Metric functions of (y_true, y_pred) that are no losses.

Each gives one value a sample, (batch, ...), save where Keras 2 gives the mean of the batch.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.losses import regression
from torchkeras.losses.base import decided_by_release
from torchkeras.metrics import matches


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the prediction equals the target, else 0.

    Shape: two of one shape -> that shape.
    """
    return matches.as_number(matches.equal(y_true, y_pred))


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5, *, rounded: bool = BY_GENERATION) -> Tensor:
    """Share of right yes-or-no predictions along the last axis.

    Args:
        y_true: Labels 0 and 1.
        y_pred: Probabilities of 1.
        threshold: Above it a prediction means 1.
        rounded: At a threshold of 0.5, compare with the prediction rounded half to even, which for predictions outside
            0 to 1 is no label; by default what the chosen release does (Keras 1 and 2 do).

    Shape: two of (batch, ..., d) -> (batch, ...).
    """
    rounded = resolve(rounded, "metric.binary_rounds")
    return matches.as_number(matches.binary(y_true, y_pred, threshold, rounded)).mean(-1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the best class is the target's, else 0; of equal scores the first counts.

    Shape: two of (batch, ..., classes) -> (batch, ...).
    """
    return matches.as_number(matches.categorical(y_true, y_pred))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the best class is the target's id, else 0.

    Shape: ids (batch, ...) or (batch, ..., 1), predictions (batch, ..., classes) -> (batch, ...).

    Raises:
        ValueError: not one id for each prediction.
    """
    return matches.as_number(matches.sparse_categorical(y_true, y_pred))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, *, averaged: bool = BY_GENERATION) -> Tensor:
    """1 where the target's class is among the `k` best, else 0.

    Args:
        y_true: One-hot targets.
        y_pred: Scores.
        k: How many classes count as best.
        averaged: Give the mean over the last axis of the result; by default what the chosen release does (Keras 1 and 2 do).

    Shape: two of (batch, ..., classes) -> (batch, ...).
    """
    right = matches.as_number(matches.top_k(y_true, y_pred, k))
    return right.mean(-1) if resolve(averaged, "metric.top_k_averages") else right


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, *, averaged: bool = BY_GENERATION) -> Tensor:
    """1 where the target's id is among the `k` best classes, else 0; arguments as in `top_k_categorical_accuracy`.

    Shape: ids (batch, ...) or (batch, ..., 1), predictions (batch, ..., classes) -> (all predictions,).

    Raises:
        ValueError: not one id for each prediction.
    """
    right = matches.as_number(matches.sparse_top_k(y_true, y_pred, k)).flatten()
    return right.mean(-1) if resolve(averaged, "metric.top_k_averages") else right


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Cosine of the angle between targets and predictions: 1 for one direction (the loss of this name has the other sign).

    Shape: two of (batch, ..., d) -> (batch, ...), where `axis` is the last.
    """
    return -regression.cosine_similarity(y_true, y_pred, axis)


def cosine_proximity(y_true: Any, y_pred: Any, axis: int = -1, *, as_loss: bool = BY_GENERATION) -> Tensor:
    """Cosine of the angle between targets and predictions, in tf.keras; minus that, the loss, in Keras 1 and 2.

    Args:
        y_true: Targets.
        y_pred: Predictions.
        axis: The axis of the vectors; the loss has it last.
        as_loss: Give the loss; by default what the chosen release does.

    Shape: two of (batch, ..., d) -> (batch, ...).

    Raises:
        ValueError: the loss is asked for along another axis.
    """
    if not resolve(as_loss, "metric.cosine_is_loss"):
        return cosine_similarity(y_true, y_pred, axis)
    if axis != -1:
        raise ValueError(f"cosine_proximity of Keras 1 and 2 works along the last axis, but got axis={axis}. Use cosine_similarity.")
    return regression.cosine_proximity(y_true, y_pred)


decided_by_release(binary_accuracy, rounded="metric.binary_rounds")
decided_by_release(top_k_categorical_accuracy, averaged="metric.top_k_averages")
decided_by_release(sparse_top_k_categorical_accuracy, averaged="metric.top_k_averages")
decided_by_release(cosine_proximity, as_loss="metric.cosine_is_loss")
