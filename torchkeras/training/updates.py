"""From losses to updates of the weights, where it takes more than one backward pass and one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchkeras.training.distributed import average_gradients
from torchkeras.training.modes import Scheduling
from torchkeras.training.precision import loss_scaler

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling


class Updates:
    """Gathers the gradients of some batches, scales float16 losses, and steps the optimizer and a scheduler.

    Args:
        model: A compiled model whose optimizer is bound.
        scheduling: A scheduler to be stepped after each update, or `None`.
    """

    def __init__(self, model: Compiling, scheduling: Scheduling | None) -> None:
        assert model._trained is not None
        self.optimizer, self.trained = model.optimizer, model._trained
        self.every = model._modes.accumulation
        self.scaler = loss_scaler(model.device, model._modes.dtype)
        self.scheduling = scheduling
        self.pending = 0
        shards = self.trained.shards
        self._optimizer_step: Callable[[], Any] = self.optimizer.step if shards is None else shards.stepping(self.optimizer.step)

    def backward(self, loss: Tensor) -> None:
        """Add a batch's gradients to those that wait."""
        if self.every > 1:
            loss = loss / self.every
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def apply(self) -> None:
        """Update the weights if the batch was the last that is waited for. Gradients must not be recorded."""
        self.pending += 1
        if self.pending == self.every:
            self._step()

    def flush(self) -> None:
        """Update the weights by the gradients that wait: the average over so many batches."""
        if self.pending:
            if self.trained.shards is None:  # shards have been reduced with each batch
                average_gradients(self.trained.parameters)
            gradients = [parameter.grad for parameter in self.trained.parameters if parameter.grad is not None]
            with torch.no_grad():
                for gradient in gradients:
                    gradient.mul_(self.every / self.pending)
                self._step()

    def _step(self) -> None:
        if self.scaler is None:
            self._optimizer_step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.pending = 0
        for parameter in self.trained.parameters:
            parameter.grad = None
        if self.trained.constraints:
            self.trained.apply_constraints()
        if self.scheduling is not None:
            self.scheduling.step()
