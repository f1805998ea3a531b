"""Reduction of per-sample losses, by the names that tf.keras gives it."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from torchkeras.ops.whole_batch import whole


class Reduction:
    """How a `Loss` makes one number of its values.

    `AUTO` is `SUM_OVER_BATCH_SIZE`: the sum divided by the number of values. `SUM` adds, `NONE` leaves the values alone.

    Source: tf.keras 2.4 `losses.Reduction`.
    """

    AUTO: Final = "auto"
    NONE: Final = "none"
    SUM: Final = "sum"
    SUM_OVER_BATCH_SIZE: Final = "sum_over_batch_size"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """Every reduction."""
        return (cls.AUTO, cls.NONE, cls.SUM, cls.SUM_OVER_BATCH_SIZE)

    @classmethod
    def validate(cls, key: str) -> None:
        """Check a reduction.

        Raises:
            ValueError: `key` is none of `all()`.
        """
        if key not in cls.all():
            raise ValueError(f"reduction must be one of {list(cls.all())}, but got {key!r}.")


ReductionV2 = Reduction


def last_mean(values: Tensor) -> Tensor:
    """The mean over the last axis; a view where that has one element."""
    return values.squeeze(-1) if values.shape[-1:] == (1,) else values.mean(-1)


def align(weight: Tensor, values: Tensor, what: str = "sample_weight") -> Tensor:
    """`weight` with as many axes as `values`: its axes are the first ones of `values`.

    Args:
        weight: Scalar, or a tensor for the first axes of `values`; axes of length 1 repeat.
        values: What is weighted.
        what: Name of the weight, for messages.

    Raises:
        ValueError: the shapes do not go together.
    """
    if weight.dim() == 0:
        return weight
    aligned = weight
    while aligned.dim() > values.dim() and aligned.shape[-1] == 1:
        aligned = aligned.squeeze(-1)
    if aligned.dim() < values.dim():
        aligned = aligned.reshape(aligned.shape + (1,) * (values.dim() - aligned.dim()))
    fits = aligned.dim() == values.dim() and all(size in (1, there) for size, there in zip(aligned.shape, values.shape, strict=True))
    if not fits and values.dim() > 0:
        raise ValueError(
            f"{what} of shape {tuple(weight.shape)} does not fit loss values of shape {tuple(values.shape)}. "
            f"Give one weight a sample, {tuple(values.shape[:1])}, or one for each value."
        )
    return aligned


def compute_weighted_loss(losses: Tensor, sample_weight: Any = None, reduction: str = Reduction.SUM_OVER_BATCH_SIZE) -> Tensor:
    """Weight per-sample losses and reduce them, as the loss classes of tf.keras do.

    Args:
        losses: Loss values.
        sample_weight: Scalar, or weights for the first axes of `losses`.
        reduction: One of `Reduction`.

    Shape: losses (batch, ...) -> scalar, or (batch, ...) for `Reduction.NONE`.
    """
    if sample_weight is not None:
        weight = torch.as_tensor(sample_weight, dtype=losses.dtype, device=losses.device)
        losses = losses * align(weight, losses)
    return reduce_weighted_loss(losses, reduction)


def reduce_weighted_loss(weighted_losses: Tensor, reduction: str = Reduction.SUM_OVER_BATCH_SIZE) -> Tensor:
    """The sum, the mean or the values themselves."""
    if reduction == Reduction.NONE:
        return weighted_losses
    if reduction != Reduction.SUM:
        return weighted_losses.mean()
    return weighted_losses.sum() * whole.scale if whole.active else weighted_losses.sum()
