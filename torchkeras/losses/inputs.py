"""What every loss does with its two arguments before it computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import config

# The fuzz factor 1e-7 vanishes beside 1 in these types, so that clipping would let logarithms of 0 through.
_TOO_NARROW = (torch.float16, torch.bfloat16)


def as_float(values: Any) -> Tensor:
    """`values` as a tensor of a float type that can hold the fuzz factor."""
    tensor = values if isinstance(values, Tensor) else torch.as_tensor(values)
    if not tensor.is_floating_point():
        return tensor.to(config.float_dtype())
    return tensor.float() if tensor.dtype in _TOO_NARROW else tensor


def as_pair(y_true: Any, y_pred: Any, who: str) -> tuple[Tensor, Tensor]:
    """Targets and predictions as tensors of one float type whose shapes go together.

    Args:
        y_true: Targets; cast to the type of the predictions.
        y_pred: Predictions.
        who: Name of the loss, for messages.

    Raises:
        ValueError: the shapes differ, and neither broadcasts to the other.
    """
    y_pred = as_float(y_pred)
    if not isinstance(y_true, Tensor):
        y_true = torch.as_tensor(y_true, device=y_pred.device)
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.to(y_pred.dtype)
    if y_true.shape != y_pred.shape:
        check_broadcast(y_true, y_pred, who)
    return y_true, y_pred


def check_broadcast(y_true: Tensor, y_pred: Tensor, who: str) -> None:
    """Refuse shapes that would compare each sample with other samples.

    Raises:
        ValueError: neither shape broadcasts to the other.
    """
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    try:
        together = tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        together = None
    if together not in shapes:
        meaning = "do not go together" if together is None else f"would be compared crosswise, as {together}"
        raise ValueError(
            f"{who} compares y_true and y_pred element by element, but shapes {shapes[0]} and {shapes[1]} {meaning}. "
            f"Give the targets the shape of the predictions, for instance with y_true.reshape({shapes[1]})."
        )


def drop_odd_axis(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Squeeze the last axis of the argument that has one axis of length 1 more than the other.

    Class ids beside class scores, (batch,) and (batch, classes), stay as they are.

    Source: tf.keras 2.4 `squeeze_or_expand_dimensions`.
    """
    if not (isinstance(y_true, Tensor) and isinstance(y_pred, Tensor)):
        return y_true, y_pred
    extra = y_pred.dim() - y_true.dim()
    if extra == 1 and y_pred.shape[-1] == 1:
        return y_true, y_pred.squeeze(-1)
    if extra == -1 and y_true.shape[-1] == 1:
        return y_true.squeeze(-1), y_pred
    return y_true, y_pred
