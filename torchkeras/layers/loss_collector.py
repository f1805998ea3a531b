"""Losses and metrics that layers add by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchkeras.layers.symbolic import in_trial
from torchkeras.layers.weights import Weighted
from torchkeras.metrics.base import Metric


def losses_count() -> bool:
    """Whether what a call adds is kept: not in a trial for shapes, nor in torch.export, whose program has outputs only."""
    return not (in_trial() or torch.compiler.is_exporting())


class Transient(list):
    """What one call left behind: tensors of its graph, which neither a copy nor a pickle of the layer takes along."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (Transient, ())

    def __deepcopy__(self, memo: Any) -> Transient:
        return Transient()


class LossCollector(Weighted):
    """What a layer adds to the training loss and to the logs."""

    adds_losses: ClassVar[bool] = False  # whether calls of the class add losses or metrics by themselves; users' classes always may
    clears_losses: ClassVar[bool] = False  # whether a call from outside forgets what earlier calls added: in users' classes and models
    _call_losses: list[Tensor]
    _callable_losses: list[Callable[[], Tensor]]
    _call_metrics: list[tuple[str, Tensor]]
    _call_losses_first: bool
    _direct: bool

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Add scalars to the training loss; from inside `call` they count for that call alone.

        Args:
            losses: A tensor, a function without arguments, or a list of them.
            inputs: Accepted for Keras' sake: a loss belongs to the call that made it.
        """
        for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
            if callable(loss) and not isinstance(loss, Tensor):
                self._callable_losses.append(loss)
            elif losses_count():
                self._call_losses.append(torch.as_tensor(loss))
        self._direct = False

    def add_metric(self, value: Any, aggregation: str | None = "mean", name: str | None = None) -> None:
        """Report a scalar of this call under a name, averaged over the epoch.

        What a metric object gave when it was called is reported by the object itself, if that is an attribute of a layer.

        Raises:
            ValueError: no name, or another aggregation than "mean".
        """
        if isinstance(aggregation, str) and aggregation not in ("mean", "sum"):
            value, aggregation, name = value, "mean", name or aggregation
        if any(getattr(value, "_metric_obj", None) is metric for metric in self.metrics):
            return
        if aggregation not in ("mean", None):
            raise ValueError(f"add_metric of layer '{self.name}' knows aggregation='mean' only, but got {aggregation!r}.")
        if name is None:
            raise ValueError(f"add_metric of layer '{self.name}' needs a name for the logs.")
        if losses_count():
            self._call_metrics.append((name, torch.as_tensor(value).detach()))

    @property
    def losses(self) -> list[Tensor]:
        """Scalars that the loss has beside the compiled one: regularizers, activity regularizers, `add_loss`."""
        found: list[Tensor] = []
        for layer in self.sublayers():
            penalties = [spec.regularizer(view) for spec, view in layer.regularized() if spec.regularizer is not None]
            found += [*layer._call_losses, *penalties] if layer._call_losses_first else [*penalties, *layer._call_losses]
            found += [loss() for loss in layer._callable_losses]
        return found

    def get_losses_for(self, inputs: Any) -> list[Tensor]:
        """The same as `losses`, as in tf.keras: they are those of the last call, whatever its inputs."""
        return self.losses

    @property
    def metrics(self) -> list[Any]:
        """The metric objects that are attributes of this layer or of layers inside it."""
        return [module for module in self.modules() if isinstance(module, Metric)]

    def clear_losses(self) -> None:
        """Forget what earlier calls added."""
        for layer in self.sublayers() if self._modules else (self,):
            layer._call_losses.clear()
            layer._call_metrics.clear()
