"""Steps that users write themselves: `train_step`, `test_step`, `predict_step`, and what tf.keras offers for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.training.compiled import Compiled, as_list
from torchkeras.training.compiling import Compiling
from torchkeras.training.steps import make_test_step, make_train_step
from torchkeras.training.tensors import flatten
from torchkeras.utils.data_utils import unpack_x_y_sample_weight


class OwnSteps(Compiling):
    """What a subclass may override, and calls to build its own steps of."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on one batch. A subclass may override it; `fit` and `train_on_batch` then call it for each batch.

        Args:
            data: What the data gives for a batch: x, (x, y) or (x, y, sample_weight), on the model's device.

        Returns:
            Values for the logs by name, tensors or numbers.

        Source: tf.keras 2.4.0 `Model.train_step`.
        """
        batch = unpack_x_y_sample_weight(data)
        compiled = self._ready(batch, "train_step")
        self._bind()
        make_train_step(self, compiled)(None, batch)
        return compiled.means()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch. A subclass may override it; `evaluate` and validation then call it for each batch.

        Args:
            data: As for `train_step`.

        Returns:
            Values for the logs by name, tensors or numbers.

        Source: tf.keras 2.4.0 `Model.test_step`.
        """
        batch = unpack_x_y_sample_weight(data)
        compiled = self._ready(batch, "test_step")
        make_test_step(self, compiled)(None, batch)
        return compiled.means()

    def predict_step(self, data: Any) -> Any:
        """Outputs for one batch. A subclass may override it; `predict` then calls it for each batch.

        Args:
            data: As for `train_step`.

        Source: tf.keras 2.4.0 `Model.predict_step`.
        """
        return self(unpack_x_y_sample_weight(data)[0])

    @property
    def compiled_loss(self) -> CompiledLoss:
        """The compiled losses as a function; for a step of one's own."""
        return CompiledLoss(self)

    @property
    def compiled_metrics(self) -> CompiledMetrics:
        """The compiled metrics, with `update_state`; for a step of one's own."""
        return CompiledMetrics(self)

    def _settled(self, y: Any, y_pred: Any) -> Compiled:
        """The compiled losses and metrics, resolved from the outputs of a step where they were not yet."""
        leaves = flatten(y_pred)
        names = list(y_pred) if isinstance(y_pred, Mapping) else [f"output_{number + 1}" for number in range(len(leaves))]
        compiled = self._compiled_for(self.output_names if self._record_ is not None else names)
        compiled.plain = isinstance(y_pred, Tensor)
        if compiled.metrics is None:
            targets = as_list(y, compiled.names)
            compiled.resolve([None if one is None else tuple(one.shape) for one in targets], [tuple(leaf.shape) for leaf in leaves])
            compiled.to(leaves[0].device)
        return compiled


class CompiledLoss:
    """The losses given to `compile`, called as `model.compiled_loss(y, y_pred, sample_weight, regularization_losses=model.losses)`.

    Args:
        model: The compiled model.

    Source: tf.keras 2.4.0 `Model.compiled_loss`.
    """

    def __init__(self, model: OwnSteps) -> None:
        self.model = model

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Sequence[Tensor] | None = None) -> Tensor:
        """The loss of a batch, to be differentiated; it is added to the running mean that the logs call loss.

        Args:
            y_true, y_pred, sample_weight: Targets, outputs and weights, as `fit` has them.
            regularization_losses: More to add, usually `model.losses`.
        """
        compiled = self.model._settled(y_true, y_pred)
        names = compiled.names
        preds = as_list(y_pred, names)
        loss = compiled.loss(as_list(y_true, names), preds, as_list(sample_weight, names))
        for more in regularization_losses or ():
            loss = more if loss is None else loss + more
        if loss is None:
            loss = torch.zeros((), device=preds[0].device)
        with torch.no_grad():
            compiled.update_losses(loss.detach(), preds[0].shape[0])
        return loss

    @property
    def metrics(self) -> list[Any]:
        """The running means of the losses."""
        compiled = self.model._compiled
        return compiled.loss_objects() if compiled is not None else []


class CompiledMetrics:
    """The metrics given to `compile`.

    Args:
        model: The compiled model.

    Source: tf.keras 2.4.0 `Model.compiled_metrics`.
    """

    def __init__(self, model: OwnSteps) -> None:
        self.model = model

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true, y_pred, sample_weight: Targets, outputs and weights, as `fit` has them.
        """
        compiled = self.model._settled(y_true, y_pred)
        names = compiled.names
        with torch.no_grad():
            compiled.update_metrics(as_list(y_true, names), as_list(y_pred, names), as_list(sample_weight, names))

    @property
    def metrics(self) -> list[Any]:
        """The metric objects."""
        compiled = self.model._compiled
        return [metric for found in compiled.metrics or () for _, metric, _ in found] if compiled is not None else []
