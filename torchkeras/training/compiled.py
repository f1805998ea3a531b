"""What `compile` fixes: losses, metrics and their running values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras import generations, metrics
from torchkeras.losses import Objective
from torchkeras.registry import nearest
from torchkeras.training.batch_metrics import BatchMean


def per_output(given: Any, names: Sequence[str], what: str, *, nested: bool = False) -> list[Any]:
    """One entry for each output, from one for all, a list, or a dict by output name.

    Args:
        given: What the user gave.
        names: Names of the outputs.
        what: For messages: "loss", "metrics", ...
        nested: Whether an entry may itself be a list.

    Raises:
        ValueError: another number of entries than outputs, or an unknown output.
    """
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"compile got {what} for an output {unknown[0]!r} that the model does not have. {nearest(str(unknown[0]), names)}")
        return [given.get(name) for name in names]
    if nested:
        if not isinstance(given, (list, tuple)):
            given = [given] if given is not None else []
        if any(isinstance(part, (list, tuple)) for part in given) and len(given) == len(names):
            return list(given)
        return [list(given) for _ in names]
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(f"compile got {len(given)} entries in {what}, but the model has {len(names)} outputs: {list(names)}.")
        return list(given)
    return [given for _ in names]


class Compiled:
    """Losses and metrics of a model, resolved for its outputs, with their sums over the epoch.

    Args:
        loss: One for all outputs, a list, or a dict by output name; an entry `None` leaves the output out.
        metrics: A list for each output, or one list for all.
        loss_weights: Factors of the losses.
        weighted_metrics: Metrics that sample weights enter.
        names: Names of the outputs.

    Raises:
        ValueError: a loss or metric that is not known, or the wrong number of them.
    """

    def __init__(self, loss: Any, metrics: Any, loss_weights: Any, weighted_metrics: Any, names: Sequence[str]) -> None:
        self.names = list(names)
        self.objectives = [None if entry is None else Objective(entry) for entry in per_output(loss, names, "loss")]
        weights = per_output(loss_weights, names, "loss_weights") if loss_weights is not None else [None] * len(self.names)
        self.loss_weights = [1.0 if weight is None else float(weight) for weight in weights]
        self.metric_choices = per_output(metrics, names, "metrics", nested=True)
        self.weighted_choices = per_output(weighted_metrics, names, "weighted_metrics", nested=True)
        self._check_metric_names()
        self.metrics: list[list[tuple[str, Any, bool]]] | None = None  # for each output: (name in logs, metric, weighted)
        self.running = generations.choose("logs.batch") == "running"
        self.total: Tensor | None = None
        self.totals: list[Tensor | None] = [None] * len(self.names)
        self.samples = 0
        self.last: Tensor | None = None

    def _check_metric_names(self) -> None:
        for choices in (*self.metric_choices, *self.weighted_choices):
            for choice in choices or []:
                if isinstance(choice, str) and choice not in ("accuracy", "acc", "crossentropy", "ce"):
                    metrics.get(choice)

    def resolve(self, y_true: Sequence[Any], y_pred: Sequence[Tensor]) -> None:
        """Settle what "accuracy" means, once the outputs and targets have been seen."""
        self.metrics = []
        taken: set[str] = set()
        for number, name in enumerate(self.names):
            found: list[tuple[str, Any, bool]] = []
            for choices, weighted in ((self.metric_choices[number], False), (self.weighted_choices[number], True)):
                for choice in choices if isinstance(choices, (list, tuple)) else [choices] if choices is not None else []:
                    if choice is None or y_true[number] is None:
                        continue
                    objective = self.objectives[number]
                    label, metric = metrics.resolve(
                        choice, tuple(y_pred[number].shape), tuple(y_true[number].shape), None if objective is None else objective.loss
                    )
                    if not hasattr(metric, "update_state"):
                        metric = BatchMean(metric, label)
                    label = f"{name}_{label}" if len(self.names) > 1 else label
                    found.append((_numbered(label, taken), metric, weighted))
            self.metrics.append(found)

    # -- a batch

    def loss(self, y_true: Sequence[Any], y_pred: Sequence[Tensor], sample_weight: Sequence[Any]) -> Tensor:
        """The weighted sum of the outputs' losses, differentiable; each is remembered for the logs."""
        total: Tensor | None = None
        self._parts: list[Tensor | None] = []
        for objective, weight, true, pred, sample in zip(self.objectives, self.loss_weights, y_true, y_pred, sample_weight, strict=True):
            if objective is None or true is None:
                self._parts.append(None)
                continue
            part = objective(true, pred, sample, getattr(pred, "_keras_mask", None))
            if part.dim():
                part = part.mean()
            self._parts.append(part)
            part = part if weight == 1.0 else part * weight
            total = part if total is None else total + part
        if total is None:
            total = torch.zeros((), device=y_pred[0].device, requires_grad=True)
        return total

    def update(self, total: Tensor, y_true: Sequence[Any], y_pred: Sequence[Tensor], sample_weight: Sequence[Any]) -> None:
        """Add a batch to the running values; no device is waited for."""
        count = y_pred[0].shape[0]
        total = total.detach()
        self.last = total
        if self.total is None:
            self._start(total)
        self.total.add_(total, alpha=count)  # type: ignore[union-attr]
        self.samples += count
        if len(self.names) > 1:
            for number, part in enumerate(self._parts):
                if part is not None:
                    self.totals[number].add_(part.detach(), alpha=count)  # type: ignore[union-attr]
        if self.metrics is None:
            self.resolve(y_true, y_pred)
        for found, true, pred, sample in zip(self.metrics or [], y_true, y_pred, sample_weight, strict=True):
            if found:
                mask = getattr(pred, "_keras_mask", None)
                pred = pred.detach()
                for _, metric, weighted in found:
                    weight = sample if weighted else None
                    if isinstance(metric, BatchMean):
                        metric.update_state(true, pred, weight, mask)
                    else:
                        metric.update_state(true, pred, _metric_weight(weight, mask))

    def _start(self, like: Tensor) -> None:
        self.total = torch.zeros_like(like, dtype=torch.float64 if like.device.type != "mps" else torch.float32)
        self.totals = [torch.zeros_like(self.total) for _ in self.names]

    # -- the epoch

    def reset(self) -> None:
        """Start the running values anew."""
        if self.total is not None:
            self.total.zero_()
            for part in self.totals:
                if part is not None:
                    part.zero_()
        self.samples = 0
        for found in self.metrics or []:
            for _, metric, _ in found:
                metric.reset_state()

    def log_names(self) -> list[str]:
        """Names in the order of the logs."""
        several = len(self.names) > 1
        names = ["loss"] + ([f"{name}_loss" for name, objective in zip(self.names, self.objectives, strict=True) if objective] if several else [])
        return names + [label for found in self.metrics or [] for label, _, _ in found]

    def values(self) -> dict[str, Any]:
        """The means over the epoch so far, as tensors."""
        values: dict[str, Any] = {}
        if self.total is not None:
            count = max(self.samples, 1)
            values["loss"] = self.total / count
            if len(self.names) > 1:
                for name, objective, part in zip(self.names, self.objectives, self.totals, strict=True):
                    if objective is not None and part is not None:
                        values[f"{name}_loss"] = part / count
        for found in self.metrics or []:
            for label, metric, _ in found:
                values[label] = metric.result()
        return values

    def batch_values(self) -> dict[str, Any]:
        """What callbacks see after a batch: its own values (Keras 1 and 2) or the running means (tf.keras), as tensors."""
        if self.running:
            return self.values()
        values: dict[str, Any] = {"loss": self.last}
        if len(self.names) > 1:
            values.update({f"{name}_loss": part for name, part in zip(self.names, self._parts, strict=True) if part is not None})
        for found in self.metrics or []:
            for label, metric, _ in found:
                values[label] = metric.batch_value() if isinstance(metric, BatchMean) else metric.result()
        return values

    def to(self, device: torch.device) -> None:
        """Move metrics that are modules."""
        for found in self.metrics or []:
            for _, metric, _ in found:
                if isinstance(metric, nn.Module):
                    metric.to(device)


def _numbered(label: str, taken: set[str]) -> str:
    found, number = label, 0
    while found in taken:
        number += 1
        found = f"{label}_{number}"
    taken.add(found)
    return found


def _metric_weight(sample_weight: Tensor | None, mask: Tensor | None) -> Tensor | None:
    if mask is None or sample_weight is None:
        return sample_weight if mask is None else mask
    weight = sample_weight.reshape(sample_weight.shape + (1,) * (mask.dim() - sample_weight.dim()))
    return weight * mask
