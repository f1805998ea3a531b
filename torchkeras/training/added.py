"""`model.add_loss` and `model.add_metric` on symbolic tensors: layers that pass their input on and report it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchkeras.graph.network import Network
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.symbolic import KerasTensor


@layer_registry.add()
class AddLoss(Layer):
    """Adds its input to the training loss.

    Args:
        unconditional: Of tf.keras' configs; a loss here always belongs to the call that made it.

    Shape:
        inputs (any) -> the same

    Source: tf.keras 2.4.0 `AddLoss`.
    """

    adds_losses = True
    supports_masking = True

    def __init__(self, unconditional: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unconditional = unconditional

    def call(self, inputs: Tensor) -> Tensor:
        self.add_loss(inputs)
        return inputs


@layer_registry.add()
class AddMetric(Layer):
    """Reports its input in the logs, averaged over the epoch.

    Args:
        aggregation: "mean".
        metric_name: Name in the logs.

    Shape:
        inputs (any) -> the same

    Source: tf.keras 2.4.0 `AddMetric`.
    """

    adds_losses = True
    supports_masking = True

    def __init__(self, aggregation: str | None = "mean", metric_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aggregation, self.metric_name = aggregation, metric_name

    def call(self, inputs: Tensor) -> Tensor:
        self.add_metric(inputs, aggregation=self.aggregation, name=self.metric_name)
        return inputs


class Adding(Network):
    """A network that takes further losses and metrics of its own symbolic tensors."""

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Add to the training loss: symbolic tensors of the model's graph, functions without arguments, or, inside `call`, tensors.

        Args:
            losses: One or a list of them.
            inputs: Accepted for Keras' sake: a loss belongs to the call that made it.
        """
        for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
            if isinstance(loss, KerasTensor):
                self.compute_also([AddLoss(unconditional=False)(loss)])
            else:
                super().add_loss(loss, inputs)

    def add_metric(self, value: Any, aggregation: str | None = "mean", name: str | None = None) -> None:
        """Report a scalar in the logs: a symbolic tensor of the model's graph, or, inside `call`, a tensor.

        Raises:
            ValueError: no name, or another aggregation than "mean".
        """
        if not isinstance(value, KerasTensor):
            super().add_metric(value, aggregation=aggregation, name=name)
            return
        if name is None or aggregation not in ("mean", None):
            raise ValueError(f"add_metric of model '{self.name}' needs a name and aggregation='mean', but got {name!r} and {aggregation!r}.")
        self.compute_also([AddMetric(aggregation, name)(value)])

    def compute_also(self, tensors: Sequence[KerasTensor]) -> None:
        """Have the graph compute symbolic tensors that are no outputs of the model: those of layers that add losses and metrics."""
        if tensors:
            inputs, outputs = self._ends()
            self._init_graph(inputs, outputs, [*self._symbols.added, *tensors])
            self.__dict__.pop("_has_loss_layers", None)
