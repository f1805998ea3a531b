"""What a model's loss and logs have beside the compiled ones: regularizers, activity regularizers, `add_loss`, `add_metric`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from torchkeras.training.compiled import Compiled
from torchkeras.training.trainable import Trainable

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling

_OWN = __name__.split(".")[0]


class Extras:
    """The layers of a model that may add something to the loss or the logs, and its regularized weights.

    Args:
        model: A built model.
        trained: Its trained weights, with their regularizers.
    """

    def __init__(self, model: Compiling, trained: Trainable) -> None:
        self.layers = [layer for layer in model.sublayers() if _may_add(layer)]
        self.trained = trained

    def __bool__(self) -> bool:
        return bool(self.layers or self.trained.regularizers)

    def clear(self) -> None:
        """Forget what earlier calls added."""
        for layer in self.layers:
            layer._call_losses.clear()
            layer._call_metrics.clear()

    def of_weights(self) -> Tensor | None:
        """The sum of the weight regularizers, or `None`."""
        return self.trained.penalty() if self.trained.regularizers else None

    def of_calls(self) -> Tensor | None:
        """The sum of what the last calls added, or `None`; as long as a loss that was added as a vector."""
        found: Tensor | None = None
        for layer in self.layers:
            for part in (*layer._call_losses, *(loss() for loss in layer._callable_losses)):
                found = part if found is None else found + part
        return found

    def report(self, compiled: Compiled) -> None:
        """Put what layers reported into the logs."""
        for layer in self.layers:
            for name, value in layer._call_metrics:
                compiled.report(name, value)


def _may_add(layer: Any) -> bool:
    """Whether a layer has added something, or is of a user's class, which may do so in its calls."""
    own = type(layer).__module__.split(".")[0] == _OWN and not layer.adds_losses
    return not own or layer.activity_regularizer is not None or bool(layer._call_losses or layer._callable_losses)


def plus(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """The sum of what there is."""
    if first is None or second is None:
        return second if first is None else first
    return first + second
