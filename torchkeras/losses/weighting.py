"""From per-sample losses to the scalar that is trained: sample weights and masks, by the rule of a release.

Keras 1 and 2 divide a masked loss by the share of valid steps and a weighted one by the share of weights that are
not 0; tf.keras multiplies by both and divides by the number of values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchkeras.generations import choose
from torchkeras.losses.losses_utils import Reduction, align, reduce_weighted_loss
from torchkeras.ops.whole_batch import whole

_SMALLEST = 1e-30  # far below any share of weights or steps; makes 0 of 0 / 0


class Rule(NamedTuple):
    """What the weighted sum of the values is divided by.

    Attributes:
        mask: "valid" steps of the batch, or "all".
        weight: Values whose weight is "nonzero", or the whole "batch".
        reduction: One of `Reduction`; other than "auto", it alone decides, as in tf.keras.
    """

    mask: str
    weight: str
    reduction: str = Reduction.AUTO

    @property
    def plain(self) -> bool:
        """Whether the loss without weights and mask is the mean of its values."""
        return self.reduction in (Reduction.AUTO, Reduction.SUM_OVER_BATCH_SIZE)


def rule_for(reduction: str = Reduction.AUTO) -> Rule:
    """The chosen release's rule; an explicit `reduction` is tf.keras' in every release before Keras 3."""
    if reduction == Reduction.SUM_OVER_BATCH_SIZE:
        return Rule(choose("loss.mask_of_a_mean"), "batch", reduction)
    if reduction != Reduction.AUTO:
        return Rule("all", "batch", reduction)
    return Rule(choose("loss.mask_denominator"), choose("loss.weight_denominator"))


def weighted_mean(values: Tensor, sample_weight: Any = None, mask: Tensor | None = None, rule: Rule | None = None) -> Tensor:
    """The training loss of per-sample values.

    Args:
        values: What a loss function returns.
        sample_weight: Weights for the first axes of `values`, or `None`.
        mask: True (or 1) where a step counts, for the first axes of `values`, or `None`.
        rule: How to divide; the chosen release's rule by default.

    Shape: values (batch, ...), weights and mask of its first axes -> scalar, or (batch, ...) where the rule's
        reduction is "none". Nothing to count (every weight 0, or every step masked) gives 0.

    Raises:
        ValueError: weights or mask do not fit the values.
    """
    rule = rule or rule_for()
    if sample_weight is None and mask is None:
        return reduce_weighted_loss(values, rule.reduction)
    if mask is not None:
        values = _masked(values, mask, rule)
    if sample_weight is not None:
        weight = torch.as_tensor(sample_weight, dtype=values.dtype, device=values.device)
        values = _weighted(values, weight, rule)
    return reduce_weighted_loss(values, rule.reduction)


def _masked(values: Tensor, mask: Tensor, rule: Rule) -> Tensor:
    """`values` without the masked steps."""
    keep = align(mask.to(values.dtype), values, "mask")
    values = values * keep
    return values / whole.mean(keep).clamp(min=_SMALLEST) if rule.mask == "valid" else values


def _weighted(values: Tensor, weight: Tensor, rule: Rule) -> Tensor:
    """`values` times their weights."""
    if rule.weight == "batch":
        return values * align(weight, values)
    while weight.dim() > max(values.dim(), 1) and weight.shape[-1] == 1:
        weight = weight.squeeze(-1)
    if values.dim() > weight.dim() > 0:
        values = values.mean(dim=tuple(range(weight.dim(), values.dim())))
    share = whole.mean((weight != 0).to(values.dtype))
    return values * align(weight, values) / share.clamp(min=_SMALLEST)
