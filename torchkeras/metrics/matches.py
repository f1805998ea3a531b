"""Which predictions are right: boolean tensors, one element a prediction.

The metric functions turn them into numbers; the metric objects count them without doing so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import config


def as_tensor(values: Any, like: Tensor | None = None) -> Tensor:
    """`values` as a tensor, new ones on the device of `like`."""
    if isinstance(values, Tensor):
        return values
    return torch.as_tensor(values, device=None if like is None else like.device)


def as_pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors on one device."""
    if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
        return y_true, y_pred
    y_pred = as_tensor(y_pred, y_true if isinstance(y_true, Tensor) else None)
    return as_tensor(y_true, y_pred), y_pred


def as_number(matches: Tensor) -> Tensor:
    """True as 1 in the type of `floatx()`."""
    return matches.to(config.float_dtype())


def equal(y_true: Any, y_pred: Any) -> Tensor:
    """Where the two are equal."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return y_true == y_pred


def binary(y_true: Any, y_pred: Any, threshold: float = 0.5, rounded: bool = False) -> Tensor:
    """Where the label is that of `y_pred > threshold`, or, `rounded`, of `y_pred` rounded half to even."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return y_true == (y_pred.round() if rounded and threshold == 0.5 else y_pred > threshold)


def categorical(y_true: Any, y_pred: Any) -> Tensor:
    """Where the best class is that of the one-hot target; of equal scores the first counts."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return y_true.argmax(-1) == y_pred.argmax(-1)


def sparse_categorical(y_true: Any, y_pred: Any) -> Tensor:
    """Where the best class is the target's id."""
    y_true, y_pred = as_pair(y_true, y_pred)
    best = y_pred.argmax(-1)
    return ids_like(y_true, best) == best


def ids_like(y_true: Tensor, best: Tensor) -> Tensor:
    """Class ids (batch, ..., 1) or (batch, ...) in the shape of `best`.

    Raises:
        ValueError: there is not one id for each prediction.
    """
    if y_true.shape == best.shape:
        return y_true
    if tuple(y_true.shape) == (*best.shape, 1):
        return y_true.squeeze(-1)
    if y_true.numel() != best.numel():
        raise ValueError(
            f"Sparse accuracies need one class id for each prediction, {tuple(best.shape)}, but got y_true of shape {tuple(y_true.shape)}. "
            "For one-hot targets use the accuracies without `sparse`."
        )
    return y_true.reshape(best.shape)


def top_k(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Where the one-hot target's class is among the `k` best."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return _in_top_k(y_true.argmax(-1), y_pred, k)


def sparse_top_k(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Where the target's id is among the `k` best classes."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return _in_top_k(ids_like(y_true, y_pred[..., 0]).long(), y_pred, k)


def _in_top_k(ids: Tensor, scores: Tensor, k: int) -> Tensor:
    """Fewer than `k` classes score above the target's; a row that is not finite is never right.

    Source: TensorFlow `in_top_k`: classes that tie with the last of the best all count.
    """
    of_target = scores.gather(-1, ids.unsqueeze(-1))
    return ((scores > of_target).sum(-1) < k) & scores.isfinite().all(-1)
