"""Metrics as Keras 1 and 2 average them: the value of each batch, weighted by its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import choose
from torchkeras.losses.weighting import rule_for, weighted_mean
from torchkeras.metrics import Mean
from torchkeras.metrics.reducing import averages


class BatchMean(Mean):
    """A metric function whose batch values are averaged over the epoch.

    Args:
        function: Function of (y_true, y_pred).
        name: Name in logs.

    Source: Keras 2.2.4 `fit_loop`.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        super().__init__(name=name)
        self.function = function
        self.rule = rule_for()
        self.masked: bool = choose("metric.masked")
        self.last: Tensor | None = None

    @property
    def is_mean(self) -> bool:
        """Whether a batch's value is known to be the mean over its samples."""
        return averages(self.function)

    def update_state(self, y_true: Any, y_pred: Tensor, sample_weight: Any = None, mask: Tensor | None = None) -> None:  # type: ignore[override]
        """Add a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Weights of the samples or steps.
            mask: True where a step counts.
        """
        values = torch.as_tensor(self.function(y_true, y_pred))
        if not values.is_floating_point():
            values = values.to(torch.float32)
        last = weighted_mean(values, sample_weight, mask, self.rule) if self.masked else values.mean()
        count = y_pred.shape[0]
        self.__dict__["last"] = last  # past nn.Module, which would look whether it is a module
        self.accumulate(last, count, count)

    def batch_value(self) -> Tensor:
        """The value of the last batch."""
        return torch.zeros(()) if self.last is None else self.last
