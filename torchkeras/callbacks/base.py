"""`Callback`: what users subclass to look at training or to act on it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import torch

from torchkeras.callbacks.attaching import attach

F = TypeVar("F", bound=Callable[..., Any])


def empty(hook: F) -> F:
    """Mark a hook that does nothing, so that it costs nothing."""
    hook.does_nothing = True  # type: ignore[attr-defined]
    return hook


def is_chief() -> bool:
    """Whether this process is the one that writes files: the first one under torchrun, and any that is alone."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


class Callback:
    """Base class of callbacks: override the hooks that you need.

    Attributes:
        model: The model that is trained.
        params: What `fit` was called with: epochs, steps, verbose, ...

    A subclass that overrides `__init__` need not call this one's.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Callback`.
    """

    state_names: ClassVar[tuple[str, ...]] = ()  # attributes that a later run needs to go on exactly here

    model: Any = None
    params: dict[str, Any] = {}
    validation_data: Any = None
    _pending_state: Mapping[str, Any] | None = None

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

    def listens(self, hook: str) -> bool:
        """Whether an overridden hook has something to do in the coming run; asked once before it."""
        return True

    def attach(
        self, engine: Any, model: Any = None, *, optimizer: Any = None, evaluator: Any = None, params: dict[str, Any] | None = None
    ) -> list[Any]:
        """Run the hooks at the events of a plain Ignite engine, such as one of `create_supervised_trainer`.

        The logs have `loss`, the mean of what the steps give (one number, or a dict with "loss"), the metrics of the engine, and those of
        `evaluator` under names that begin with `val_`. Metrics, and a handler that runs the evaluator, are to be attached before the callback.

        Args:
            engine: The engine that trains.
            model: What is trained: a Keras model or any nn.Module; `None`: the callback needs none.
            optimizer: The torch optimizer of an nn.Module, for callbacks that look at the learning rate.
            evaluator: The engine that validates.
            params: Further entries of `self.params`.

        Returns:
            Handles: `handle.remove()` of each takes the callback off again.
        """
        return attach(self, engine, model, optimizer=optimizer, evaluator=evaluator, params=params)

    def close(self) -> None:
        """Release what is held, such as files: called when a run is over, well or not."""

    # -- state

    def state_dict(self) -> dict[str, Any]:
        """What the callback has to remember so that a later run goes on exactly here."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self.state_names}

    state_dict.of_names = True  # type: ignore[attr-defined]  # tells it from one that a subclass has written

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: now, and again once the next training has begun, which otherwise starts afresh.

        Raises:
            ValueError: a state of another callback.
        """
        if set(state) != set(self.state_names):
            raise ValueError(
                f"{type(self).__name__} cannot take the state of another callback: it has {sorted(state)}, but {sorted(self.state_names)} are needed."
            )
        self._pending_state = copy.deepcopy(dict(state))
        self._take_state(self._pending_state)

    def _take_state(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, copy.deepcopy(value))

    # -- hooks

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
