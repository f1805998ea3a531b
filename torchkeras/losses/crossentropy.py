"""Crossentropies and the divergence of distributions.

Where the scores before a softmax or sigmoid are known (`from_logits=True`, or our own activation left
them on its result) the fused kernels of torch are used: they equal Keras' numbers wherever Keras does
not clip, and keep loss and gradient exact where it does. Probabilities of other origin are clipped as the chosen release clips.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import config
from torchkeras.activations import logits_of
from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.losses.inputs import as_float, as_pair
from torchkeras.losses.losses_utils import last_mean
from torchkeras.ops import short_rows

# No class has this id, so the kernel's own "ignored" id (-100) cannot hide a bad target.
_NO_CLASS = -(2**62)


def scores_before(y_pred: Any, activation: str, from_logits: bool, axis: int = -1) -> Any:
    """The scores that `activation`, along `axis`, turned into `y_pred`; `None` where only probabilities are known."""
    if from_logits:
        return y_pred
    if not isinstance(y_pred, Tensor) or axis not in (-1, y_pred.dim() - 1):
        return None
    return logits_of(y_pred, activation)


def clip_probability(probability: Tensor) -> Tensor:
    """`probability` kept epsilon away from 0 and 1."""
    epsilon = config.epsilon()
    return probability.clamp(epsilon, 1 - epsilon)


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0, axis: int = -1) -> Tensor:
    """Minus the log-probability of the target classes, weighted by the targets.

    Args:
        y_true: One-hot targets or class probabilities.
        y_pred: Class probabilities, scaled here to sum to 1, or scores where `from_logits` is set.
        from_logits: Whether `y_pred` holds scores before a softmax.
        label_smoothing: Share of each target spread over all classes, 0 to 1.
        axis: The axis of the classes.

    Shape: two of (batch, ..., classes) -> (batch, ...). Unit: nats.

    Source: tf.keras 2.4 and Keras 2.2.4 `categorical_crossentropy`.
    """
    return -_log_likelihood(y_true, y_pred, from_logits, label_smoothing, axis).sum(axis)


def _log_likelihood(y_true: Any, y_pred: Any, from_logits: bool, label_smoothing: float, axis: int) -> Tensor:
    """Targets times log-probabilities, of the shape of the predictions."""
    scores = scores_before(y_pred, "softmax", from_logits, axis)
    y_true, y_pred = as_pair(y_true, y_pred if scores is None else scores, "categorical_crossentropy")
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[axis]
    if scores is not None:
        return y_true * (short_rows.log_softmax(y_pred) if axis in (-1, y_pred.dim() - 1) else F.log_softmax(y_pred, axis))
    total = y_pred.sum(axis, keepdim=True)
    return y_true * clip_probability(y_pred / (total + (total == 0))).log()  # a row of zeros stays a row of zeros


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Minus the log-probability of the target class, which is given by its id.

    Args:
        y_true: Class ids, of any number type, with or without a last axis of 1.
        y_pred: Class probabilities, or scores where `from_logits` is set.
        from_logits: Whether `y_pred` holds scores before a softmax.
        axis: The axis of the classes.

    Shape: ids (batch, ...) or (batch, ..., 1), predictions (batch, ..., classes) -> (batch, ...). Unit: nats.

    Raises:
        ValueError: the number of ids is not that of the predictions.

    Source: tf.keras 2.4 and Keras 2.2.4 `sparse_categorical_crossentropy`.
    """
    ids, scores, like = _ids_and_scores(y_true, y_pred, from_logits, axis)
    values = short_rows.cross_entropy(scores, ids, reduction="none", ignore_index=_NO_CLASS)
    return values if like is None else values.view_as(like)


def _ids_and_scores(y_true: Any, y_pred: Any, from_logits: bool, axis: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids (n,), scores (n, classes), and a tensor of the shape that n values have where that is not (n,)."""
    scores = scores_before(y_pred, "softmax", from_logits, axis)
    if scores is None:
        # Keras clips each probability, takes logarithms and lets the kernel scale them to sum to 1 again
        scores = clip_probability(as_float(y_pred)).log()
    else:
        scores = as_float(scores)
    if axis != -1 and axis != scores.dim() - 1:
        scores = scores.movedim(axis, -1)
    ids = y_true if isinstance(y_true, Tensor) else torch.as_tensor(y_true, device=scores.device)
    wanted = tuple(scores.shape[:-1])
    if tuple(ids.shape) not in (wanted, (*wanted, 1)) and (None in wanted or ids.numel() != math.prod(wanted)):
        raise ValueError(
            f"sparse_categorical_crossentropy needs one class id for each prediction, {wanted}, but got y_true of shape "
            f"{tuple(ids.shape)} for y_pred of shape {tuple(scores.shape)}. For one-hot targets use categorical_crossentropy."
        )
    # no size is read off the batch here, so that graphs of symbolic tensors can record this
    ids = ids.reshape(-1).long()
    return (ids, scores, None) if scores.dim() == 2 else (ids, scores.reshape(-1, scores.shape[-1]), scores[..., 0])


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0, axis: int = -1, *, clip: str = BY_GENERATION
) -> Tensor:
    """Mean over the last axis of the crossentropy of independent yes-or-no targets.

    Args:
        y_true: Targets, 0 to 1.
        y_pred: Probabilities of 1, or scores where `from_logits` is set.
        from_logits: Whether `y_pred` holds scores before a sigmoid.
        label_smoothing: Share of each target moved to 1/2, 0 to 1.
        axis: The axis of the mean.
        clip: What is done at probabilities of 0 and 1, by default what the chosen release does: "logit" clips and goes
            back to scores (Keras 1 and 2), "probability" clips and adds epsilon inside the logarithms (tf.keras).

    Shape: two of (batch, ..., d) -> (batch, ...). Unit: nats.
    """
    values = binary_of_elements(y_true, y_pred, from_logits, label_smoothing, resolve(clip, "loss.binary_clip"), "none")
    return last_mean(values) if axis == -1 else values.mean(axis)


def binary_of_elements(y_true: Any, y_pred: Any, from_logits: bool, label_smoothing: float, clip: str, reduction: str) -> Tensor:
    """Crossentropy of yes-or-no targets, element by element.

    Args:
        y_true: Targets, 0 to 1.
        y_pred: Probabilities, or scores where `from_logits` is set.
        from_logits: Whether `y_pred` holds scores before a sigmoid.
        label_smoothing: Fraction 0-1 by which targets move towards 0.5.
        clip: "logit" or another value of the row `loss.binary_clip`: what is done at probabilities of 0 and 1.
        reduction: "none" for each element, "mean" for the mean of all.

    Shape: two of one shape -> that shape, or (). Unit: nats.
    """
    scores = scores_before(y_pred, "sigmoid", from_logits)
    y_true, y_pred = as_pair(y_true, y_pred if scores is None else scores, "binary_crossentropy")
    if y_true.shape != y_pred.shape:
        y_true, y_pred = torch.broadcast_tensors(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    if scores is not None:
        return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction=reduction)
    y_pred = clip_probability(y_pred)
    if clip == "logit":
        return F.binary_cross_entropy_with_logits((y_pred / (1 - y_pred)).log(), y_true, reduction=reduction)
    epsilon = config.epsilon()
    values = -(y_true * (y_pred + epsilon).log() + (1 - y_true) * (1 - y_pred + epsilon).log())
    return values if reduction == "none" else values.mean()


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Sum over the last axis of `y_true log(y_true / y_pred)`, both clipped to between epsilon and 1.

    Shape: two of (batch, ..., classes) -> (batch, ...). Unit: nats.

    Source: Kullback & Leibler (1951).
    """
    y_true, y_pred = as_pair(y_true, y_pred, "kl_divergence")
    epsilon = config.epsilon()
    y_true, y_pred = y_true.clamp(epsilon, 1), y_pred.clamp(epsilon, 1)
    return (y_true * (y_true / y_pred).log()).sum(-1)
