"""Metrics as Keras 1 and 2 average them: the value of each batch, weighted by its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.losses.weighting import rule_for, weighted_mean


class BatchMean:
    """A metric function whose batch values are averaged over the epoch.

    Args:
        function: Function of (y_true, y_pred).
        name: Name in logs.

    Source: Keras 2.2.4 `fit_loop`.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, name
        self.rule = rule_for()
        self.total: Tensor | None = None
        self.samples = 0
        self.last: Tensor | None = None

    def update_state(self, y_true: Any, y_pred: Tensor, sample_weight: Any = None, mask: Tensor | None = None) -> None:
        """Add a batch."""
        with torch.no_grad():
            values = torch.as_tensor(self.function(y_true, y_pred))
            self.last = weighted_mean(values.to(torch.float32) if not values.is_floating_point() else values, sample_weight, mask, self.rule)
            if self.total is None:
                self.total = torch.zeros_like(self.last, dtype=torch.float64)
            self.total.add_(self.last, alpha=y_pred.shape[0])
        self.samples += y_pred.shape[0]

    def result(self) -> Tensor:
        """The average so far."""
        return torch.zeros(()) if self.total is None else self.total / max(self.samples, 1)

    def batch_value(self) -> Tensor:
        """The value of the last batch."""
        return torch.zeros(()) if self.last is None else self.last

    def reset_state(self) -> None:
        """Forget every batch."""
        if self.total is not None:
            self.total.zero_()
        self.samples = 0
