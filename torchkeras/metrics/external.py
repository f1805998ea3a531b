"""Metrics of other libraries (torchmetrics, torcheval, PyTorch-Ignite, ...) behind Keras' interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.metrics.base import Metric, automatic_name

Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def is_external(thing: Any) -> bool:
    """Whether `thing` is an object with `update`, `compute` and `reset`."""
    return not isinstance(thing, (type, Metric)) and all(callable(getattr(thing, method, None)) for method in ("update", "compute", "reset"))


def from_external(obj: Any, name: str | None = None, transform: Transform | None = None) -> ExternalMetric:
    """A metric object of another library as a Keras one.

    Args:
        obj: An object with `update(preds, target)`, `compute()` and `reset()`; Ignite's `update((preds, target))` is known too.
        name: Name in logs; by default that of the object's class.
        transform: Makes (preds, target) of (y_true, y_pred), for instance to turn targets into integers. Without it, class
            ids with a last axis of 1, or of a float type, become integers (batch, ...) where the predictions have classes.

    Raises:
        TypeError: `obj` lacks one of the methods.
    """
    if not is_external(obj):
        raise TypeError(f"from_external takes an object with update(preds, target), compute() and reset(), but got {obj!r}.")
    return ExternalMetric(obj, name=name, transform=transform)


class ExternalMetric(Metric):
    """A metric object of another library; made by `from_external`. It sums over processes by its own means, or not.

    Args:
        obj: The object.
        name: Name in logs.
        transform: See `from_external`.
    """

    def __init__(self, obj: Any, name: str | None = None, transform: Transform | None = None) -> None:
        super().__init__(name=name or automatic_name(type(obj)))
        self.external = obj
        self.transform = transform
        self._takes_pair = any(base.__module__.startswith("ignite.") for base in type(obj).__mro__)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions.
            sample_weight: Must be `None`: the methods of such objects have no common place for weights.

        Raises:
            ValueError: weights or a mask are given.
        """
        if sample_weight is not None:
            raise ValueError(
                f"Metric '{self.name}' wraps {type(self.external).__name__}, which takes no weights or masks here. "
                "Give it in metrics= rather than weighted_metrics=, and not for a masked output; or subclass metrics.Metric."
            )
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        preds, target = (self.transform or _ids)(y_true, y_pred)
        if self._takes_pair:
            self.external.update((preds, target))
        else:
            self.external.update(preds, target)

    def result(self) -> Any:
        """What the object computes."""
        return self.external.compute()

    def reset_states(self) -> None:
        """Forget every batch."""
        self.external.reset()

    def _follow(self, device: torch.device) -> None:
        if callable(getattr(self.external, "to", None)):
            self.external.to(device)
        self._device = device

    def get_config(self) -> dict[str, Any]:
        """Not possible.

        Raises:
            ValueError: always; such an object has no config.
        """
        raise ValueError(f"Metric '{self.name}' wraps {type(self.external).__name__}, which has no config. Compile the loaded model with it again.")


def _ids(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions first; class ids as integers without an axis of 1."""
    if y_pred.dim() > 1 and y_pred.shape[-1] > 1:
        if y_true.shape == (*y_pred.shape[:-1], 1):
            y_true = y_true.squeeze(-1)
        if y_true.shape == y_pred.shape[:-1]:
            y_true = y_true.long()
    return y_pred, y_true
