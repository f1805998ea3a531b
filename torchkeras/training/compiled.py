"""What `compile` fixes: losses, metrics and their running values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchkeras import generations, metrics
from torchkeras.losses import Objective
from torchkeras.metrics import Mean
from torchkeras.metrics.reducing import MeanMetricWrapper
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
        if any(isinstance(part, (list, tuple)) for part in given):
            if len(given) != len(names):
                raise ValueError(f"compile got {len(given)} lists in {what}, but the model has {len(names)} outputs: {list(names)}.")
            return list(given)
        return [list(given) for _ in names]
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(f"compile got {len(given)} entries in {what}, but the model has {len(names)} outputs: {list(names)}.")
        return list(given)
    return [given for _ in names]


def as_list(structure: Any, names: Sequence[str]) -> list[Any]:
    """One entry for each output, from a tensor, a list, a dict by output name, or nothing."""
    if type(structure) is list:  # the usual case; to ask for a Mapping takes a while
        return structure
    if isinstance(structure, Tensor):
        return [structure]
    if isinstance(structure, Mapping):
        return [structure.get(name) for name in names]
    if structure is None:
        return [None] * len(names)
    return list(structure)


def mask_of(y_true: Any, y_pred: Any) -> Tensor | None:
    """The mask of an output; where a layer dropped it, that of targets of unequal length, whose padding does not count."""
    mask = getattr(y_pred, "_keras_mask", None)
    return getattr(y_true, "_keras_mask", None) if mask is None else mask


class Watched(NamedTuple):
    """A metric of one output."""

    label: str  # in logs
    metric: Any
    weighted: bool  # whether sample weights enter


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

    # for each output: metrics that it has without weights and with them, and the others
    _twins: Sequence[list[tuple[MeanMetricWrapper, MeanMetricWrapper]]] = ()
    _single: Sequence[list[Watched]] = ()

    def __init__(self, loss: Any, metrics: Any, loss_weights: Any, weighted_metrics: Any, names: Sequence[str]) -> None:
        self.names = list(names)
        self.objectives = [None if entry is None else Objective(entry) for entry in per_output(loss, names, "loss")]
        self.needs_targets = any(objective is not None for objective in self.objectives)
        weights = per_output(loss_weights, names, "loss_weights") if loss_weights is not None else [None] * len(self.names)
        self.loss_weights = [1.0 if weight is None else float(weight) for weight in weights]
        self.metric_choices = [_as_choices(entry) for entry in per_output(metrics, names, "metrics", nested=True)]
        self.weighted_choices = [_as_choices(entry) for entry in per_output(weighted_metrics, names, "weighted_metrics", nested=True)]
        self._check_metric_names()
        self.metrics: list[list[Watched]] | None = None  # for each output
        self.plain = False  # whether the model gives its one output as a tensor
        self.running = generations.choose("logs.batch") == "running"
        self.loss_mean = Mean(name="loss")
        several = len(self.names) > 1
        self.part_means = [
            Mean(name=f"{name}_loss") if several and objective is not None else None
            for name, objective in zip(self.names, self.objectives, strict=True)
        ]
        self.extras: dict[str, Any] = {}  # what layers report, by name
        self.last: Tensor | None = None  # the loss of the last batch, and its parts
        self.parts: list[Tensor | None] = []
        self.own_logs: dict[str, Any] | None = None  # what a user's own step gave last

    def _check_metric_names(self) -> None:
        for choices in (*self.metric_choices, *self.weighted_choices):
            for choice in choices:
                metrics.check(choice)

    def resolve(self, target_shapes: Sequence[Any], output_shapes: Sequence[Any]) -> None:
        """Settle what "accuracy" means, once the shapes of outputs and targets are known.

        Args:
            target_shapes: With the batch axis; `None` for an output without targets, which then has no metrics.
            output_shapes: With the batch axis.
        """
        found: list[list[Watched]] = []
        taken = {"loss"} | {mean.name for mean in self.part_means if mean is not None}
        used: set[int] = set()
        prefix = generations.choose("metric.weighted_prefix")
        for number, name in enumerate(self.names):
            mine: list[Watched] = []
            for choices, weighted in ((self.metric_choices[number], False), (self.weighted_choices[number], True)):
                for choice in choices if target_shapes[number] is not None else []:
                    if id(choice) in used and hasattr(choice, "update_state"):
                        choice = copy.deepcopy(choice)  # each output has its own
                    used.add(id(choice))
                    label, metric = metrics.resolve(choice, output_shapes[number], target_shapes[number], self.objectives[number])
                    if not hasattr(metric, "update_state"):
                        metric = BatchMean(metric, label)
                    label = f"{prefix}{label}" if weighted else label
                    label = f"{name}_{label}" if len(self.names) > 1 else label
                    mine.append(Watched(_numbered(label, taken), metric, weighted))
            found.append(mine)
        self.metrics = found
        self._pair()

    def _pair(self) -> None:
        """Find metrics that an output has with weights and without: their values are computed once."""
        all_twins, single = [], []
        for found in self.metrics or ():
            plain = [one.metric for one in found if not one.weighted and isinstance(one.metric, MeanMetricWrapper)]
            pairs: list[tuple[MeanMetricWrapper, MeanMetricWrapper]] = []
            for _, metric, weighted in found:
                twin = next((one for one in plain if weighted and one.is_twin_of(metric)), None)
                if twin is not None:
                    plain.remove(twin)
                    pairs.append((twin, metric))
            paired = {id(metric) for pair in pairs for metric in pair}
            all_twins.append(pairs)
            single.append([one for one in found if id(one.metric) not in paired])
        self._twins, self._single = all_twins, single

    # -- a batch

    def loss(self, y_true: Sequence[Any], y_pred: Sequence[Tensor], sample_weight: Sequence[Any]) -> Tensor | None:
        """The weighted sum of the outputs' losses, differentiable; `None` where no output has one. Each is remembered for the logs."""
        total, self.parts = self.losses(y_true, y_pred, sample_weight)
        return total

    def losses(self, y_true: Sequence[Any], y_pred: Sequence[Tensor], sample_weight: Sequence[Any]) -> tuple[Tensor | None, list[Tensor | None]]:
        """What `loss` gives, and each output's own; nothing is remembered."""
        total: Tensor | None = None
        parts: list[Tensor | None] = []
        for objective, factor, true, pred, sample in zip(self.objectives, self.loss_weights, y_true, y_pred, sample_weight, strict=True):
            if objective is None or true is None:
                parts.append(None)
                continue
            part = objective(true, pred, sample, mask_of(true, pred))
            parts.append(part.detach())  # the logs need no graph, and copies of the model could not have it
            if total is None:
                total = part if factor == 1.0 else part * factor
            else:
                total = total + part if factor == 1.0 else torch.add(total, part, alpha=factor)
        return total, parts

    def update(self, loss: Tensor, y_true: Sequence[Any], y_pred: Sequence[Tensor], sample_weight: Sequence[Any]) -> None:
        """Add a batch to the running values; no device is waited for. Gradients must be switched off."""
        self.update_losses(loss, y_pred[0].shape[0])
        self.update_metrics(y_true, y_pred, sample_weight)

    def update_losses(self, loss: Tensor, count: int) -> None:
        """Add a batch's loss and its parts, of so many samples."""
        self.last = loss
        add_loss(self.loss_mean, loss, count)
        for mean, part in zip(self.part_means, self.parts, strict=False):
            if mean is not None and part is not None:
                add_loss(mean, part, count)

    def update_metrics(self, y_true: Sequence[Any], y_pred: Sequence[Tensor], sample_weight: Sequence[Any]) -> None:
        """Add a batch to the metrics."""
        for number, (found, true, pred, sample) in enumerate(zip(self.metrics or (), y_true, y_pred, sample_weight, strict=False)):
            if found:
                mask = mask_of(true, pred)
                if self._twins and mask is None and type(sample) is Tensor and type(true) is Tensor:
                    for metric, weighted in self._twins[number]:
                        metric.update_twins(weighted, true, pred, sample)
                    found = self._single[number]
                for _, metric, enters in found:
                    weight = sample if enters else None
                    if isinstance(metric, BatchMean):
                        metric.update_state(true, pred, weight, mask)
                    else:
                        metric.update_state(true, pred, _metric_weight(weight, mask))

    def tallies(self) -> Callable[[Any, Any, Any], list[Any]] | None:
        """What gives all that a batch without masks adds to the metrics, and changes nothing; `None` where some metric cannot tell."""
        known = MeanMetricWrapper.update_state
        if not all(type(metric).update_state is known and metric.is_mean for found in self.metrics or () for _, metric, _ in found):
            return None

        def tallies(y: Any, y_pred: Any, weight: Any) -> list[Any]:
            batch = zip(self.metrics or (), *(as_list(part, self.names) for part in (y, y_pred, weight)), strict=False)
            return [metric.tally(true, pred, sample if enters else None) for found, true, pred, sample in batch for _, metric, enters in found]

        return tallies

    def tallied(self, tallies: Sequence[tuple[Tensor, Any, float]]) -> None:
        """Add to the metrics what `tallies` gave for a batch."""
        metrics = (one.metric for found in self.metrics or () for one in found)
        for metric, (total, count, scale) in zip(metrics, tallies, strict=True):
            if metric._device != total.device:
                metric._follow(total.device)
            metric.accumulate(total, count, scale)

    def report(self, name: str, value: Tensor) -> None:
        """Add what a layer reports by `add_metric`."""
        if name not in self.extras:
            self.extras[name] = Mean(name=name)
        self.extras[name].update_state(value)

    # -- the epoch

    def loss_objects(self) -> list[Mean]:
        """The running means of the loss and its parts."""
        return [self.loss_mean, *(mean for mean in self.part_means if mean is not None)]

    def objects(self) -> list[Any]:
        """All metric objects, those of losses first."""
        watched = [metric for found in self.metrics or () for _, metric, _ in found]
        return [*self.loss_objects(), *watched, *self.extras.values()]

    def reset(self) -> None:
        """Start the running values anew."""
        for metric in self.objects():
            metric.reset_states()
        self.own_logs = None

    def _labelled(self) -> Iterable[tuple[str, Any]]:
        yield "loss", self.loss_mean
        for mean in self.part_means:
            if mean is not None:
                yield mean.name, mean
        for found in self.metrics or ():
            for label, metric, _ in found:
                yield label, metric
        yield from self.extras.items()

    def log_names(self) -> list[str]:
        """Names in the order of the logs."""
        return list(self.own_logs) if self.own_logs is not None else [label for label, _ in self._labelled()]

    def values(self) -> dict[str, Any]:
        """The means over the epoch so far, as tensors."""
        return dict(self.own_logs) if self.own_logs is not None else self.means()

    def means(self) -> dict[str, Any]:
        """The means over the epoch so far of the compiled losses and metrics, whatever a step of the user's own gave."""
        return {label: metric.result() for label, metric in self._labelled()}

    def batch_values(self) -> dict[str, Any]:
        """What callbacks see after a batch: its own values (Keras 1 and 2) or the running means (tf.keras), as tensors."""
        if self.running or self.own_logs is not None:
            return self.values()
        values: dict[str, Any] = {"loss": self.last}
        values.update({mean.name: part for mean, part in zip(self.part_means, self.parts, strict=False) if mean is not None and part is not None})
        for label, metric in self._labelled():
            if label not in values:
                values[label] = metric.batch_value() if isinstance(metric, BatchMean) else metric.result()
        return values

    def to(self, device: torch.device) -> None:
        """Move the running values to a device."""
        for metric in self.objects():
            metric.to(device)


def add_loss(mean: Mean, loss: Tensor, count: int) -> None:
    """Add a batch's loss, which needs no gradient, to a mean over samples, in one kernel where it is a scalar."""
    mean.accumulate(loss if loss.dim() == 0 else loss.mean(), count, count)


def _as_choices(entry: Any) -> list[Any]:
    return [choice for choice in (entry if isinstance(entry, (list, tuple)) else [entry]) if choice is not None]


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
