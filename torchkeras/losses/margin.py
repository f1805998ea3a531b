"""Losses that ask for a margin between right and wrong scores."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.losses.inputs import as_pair
from torchkeras.losses.losses_utils import last_mean


def _margin(y_true: Any, y_pred: Any, convert_labels: bool, who: str) -> Tensor:
    """`max(1 - y_true y_pred, 0)`; labels 0 and 1 become -1 and 1 first where that is asked for."""
    y_true, y_pred = as_pair(y_true, y_pred, who)
    if resolve(convert_labels, "loss.hinge_converts_labels"):
        # decided on the device for the whole batch, as tf.keras does
        binary = ((y_true == 0) | (y_true == 1)).all()
        y_true = torch.where(binary, 2 * y_true - 1, y_true)
    return (1 - y_true * y_pred).clamp(min=0)


def hinge(y_true: Any, y_pred: Any, *, convert_labels: bool = BY_GENERATION) -> Tensor:
    """Mean over the last axis of `max(1 - y_true y_pred, 0)`.

    Args:
        y_true: Labels -1 and 1.
        y_pred: Scores, positive for the label 1.
        convert_labels: Turn labels that are all 0 or 1 into -1 and 1; by default what the chosen release does
            (tf.keras does, Keras 1 and 2 do not).

    Shape: two of (batch, ..., d) -> (batch, ...).
    """
    return last_mean(_margin(y_true, y_pred, convert_labels, "hinge"))


def squared_hinge(y_true: Any, y_pred: Any, *, convert_labels: bool = BY_GENERATION) -> Tensor:
    """Mean over the last axis of `max(1 - y_true y_pred, 0)` squared; arguments and shapes as in `hinge`."""
    return last_mean(_margin(y_true, y_pred, convert_labels, "squared_hinge").square())


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """How far the right class's score falls short of being 1 above the best wrong one; 0 where it does not.

    Shape: one-hot targets (batch, ..., classes), scores of that shape -> (batch, ...).
    """
    y_true, y_pred = as_pair(y_true, y_pred, "categorical_hinge")
    right = (y_true * y_pred).sum(-1)
    wrong = ((1 - y_true) * y_pred).amax(-1)
    return (wrong - right + 1).clamp(min=0)
