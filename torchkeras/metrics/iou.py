"""Overlap of predicted and true regions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.losses.losses_utils import align
from torchkeras.metrics import matches
from torchkeras.metrics.base import EXACT, Metric, divide_no_nan


class MeanIoU(Metric):
    """Mean over the classes seen of intersection over union of predicted and true ids.

    Args:
        num_classes: How many classes; ids are 0 to `num_classes - 1`.
        name: Name in logs.
        dtype: Float type of the result.

    Raises:
        ValueError: predictions that are no ids.
        IndexError: an id out of range, when the device reports it.

    Source: tf.keras 2.4 `MeanIoU`.
    """

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.total_cm = self.add_weight("total_confusion_matrix", (num_classes, num_classes), dtype=EXACT)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: Class ids.
            y_pred: Predicted class ids, as many.
            sample_weight: Weights of the first axes of the predictions.
        """
        y_true, y_pred = matches.as_pair(y_true, y_pred)
        if y_true.numel() != y_pred.numel():
            raise ValueError(
                f"MeanIoU '{self.name}' compares class ids, but got y_true of shape {tuple(y_true.shape)} and y_pred of shape "
                f"{tuple(y_pred.shape)}. Of class scores take y_pred.argmax(-1)."
            )
        weight = torch.ones((), device=y_pred.device) if sample_weight is None else torch.as_tensor(sample_weight, device=y_pred.device)
        weight = align(weight, y_pred, f"sample_weight of metric '{self.name}'").expand(y_pred.shape).to(self.total_cm.dtype)
        self.total_cm.index_put_((self._ids(y_true), self._ids(y_pred)), weight.reshape(-1), accumulate=True)

    def _ids(self, values: Tensor) -> Tensor:
        """Flat ids; negative ones become as invalid as those that are too large."""
        ids = values.reshape(-1).long()
        return torch.where(ids < 0, self.num_classes, ids)

    def result(self) -> Tensor:
        """The mean so far, 0 before any data; a scalar."""
        matrix = self.total_cm
        right = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - right
        seen = (union != 0).sum().to(matrix.dtype)
        return divide_no_nan(divide_no_nan(right, union).sum(), seen).to(config.FLOAT_TYPES[self.dtype])

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "num_classes": self.num_classes}
