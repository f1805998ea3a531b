"""A loss whose gradient counts by the share that a process has of the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Weighted(torch.autograd.Function):
    """A value as it is, whose gradient is multiplied with a factor."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:  # type: ignore[override]
        """The value."""
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """Its gradient."""
        return gradient * ctx.factor, None
