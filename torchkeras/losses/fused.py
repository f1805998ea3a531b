"""The mean of a loss over a whole batch in fewer kernels than its per-sample values and their mean need.

The numbers are those of `function(y_true, y_pred).mean()`; training uses these forms where nothing is weighted or masked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.losses.crossentropy import (
    _NO_CLASS,
    _ids_and_scores,
    _log_likelihood,
    binary_crossentropy,
    binary_of_elements,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from torchkeras.losses.inputs import as_pair
from torchkeras.losses.regression import absolute_error, huber, mean_absolute_error, mean_squared_error, squared_error
from torchkeras.ops import short_rows


def _mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    y_true, y_pred = as_pair(y_true, y_pred, "mean_squared_error")
    return squared_error(y_true, y_pred, "mean")


def _mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    y_true, y_pred = as_pair(y_true, y_pred, "mean_absolute_error")
    return absolute_error(y_true, y_pred, "mean")


def _huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    y_true, y_pred = as_pair(y_true, y_pred, "huber")
    return F.huber_loss(y_pred, y_true, delta=delta) if y_true.shape == y_pred.shape else huber(y_true, y_pred, delta).mean()


def _categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0, axis: int = -1) -> Tensor:
    likelihood = _log_likelihood(y_true, y_pred, from_logits, label_smoothing, axis)
    return likelihood.sum() * (-likelihood.shape[axis] / max(likelihood.numel(), 1))


def _sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    ids, scores, _ = _ids_and_scores(y_true, y_pred, from_logits, axis)
    return short_rows.cross_entropy(scores, ids, ignore_index=_NO_CLASS)


def _binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0, axis: int = -1, *, clip: str = BY_GENERATION
) -> Tensor:
    return binary_of_elements(y_true, y_pred, from_logits, label_smoothing, resolve(clip, "loss.binary_clip"), "mean")


MEAN_FORMS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    mean_squared_error: _mean_squared_error,
    mean_absolute_error: _mean_absolute_error,
    huber: _huber,
    categorical_crossentropy: _categorical_crossentropy,
    sparse_categorical_crossentropy: _sparse_categorical_crossentropy,
    binary_crossentropy: _binary_crossentropy,
}
