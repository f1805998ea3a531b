"""`Callback`: what users subclass to look at training or to act on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def empty(hook: F) -> F:
    """Mark a hook that does nothing, so that it costs nothing."""
    hook.does_nothing = True  # type: ignore[attr-defined]
    return hook


class Callback:
    """Base class of callbacks: override the hooks that you need.

    Attributes:
        model: The model that is trained.
        params: What `fit` was called with: epochs, steps, verbose, ...

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Callback`.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}
        self.validation_data: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Told before training: the parameters of the run."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Told before training: the model."""
        self.model = model

    @empty
    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch."""

    @empty
    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch."""

    @empty
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before an epoch, counted from 0."""

    @empty
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch and its validation, with their values."""

    @empty
    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a training batch, counted from 0 in its epoch."""

    @empty
    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a training batch; its values are fetched when they are looked at."""

    @empty
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a training batch."""

    @empty
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a training batch."""

    @empty
    def on_test_begin(self, logs: Any = None) -> None:
        """Before evaluation or validation."""

    @empty
    def on_test_end(self, logs: Any = None) -> None:
        """After evaluation or validation."""

    @empty
    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch of evaluation or validation."""

    @empty
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of evaluation or validation."""

    @empty
    def on_predict_begin(self, logs: Any = None) -> None:
        """Before prediction."""

    @empty
    def on_predict_end(self, logs: Any = None) -> None:
        """After prediction."""

    @empty
    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch of prediction."""

    @empty
    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of prediction."""
