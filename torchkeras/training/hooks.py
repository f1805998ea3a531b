"""Callbacks on Ignite: the one table that says which hook runs at which event."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torchkeras import generations
from torchkeras.training.logs import Logs

if TYPE_CHECKING:
    from ignite.engine import Engine

    from torchkeras.training.compiled import Compiled


# hook -> older or alternative names that mean the same
HOOKS: dict[str, tuple[str, ...]] = {
    "on_train_begin": (),
    "on_train_end": (),
    "on_epoch_begin": (),
    "on_epoch_end": (),
    "on_train_batch_begin": ("on_batch_begin",),
    "on_train_batch_end": ("on_batch_end",),
    "on_test_begin": (),
    "on_test_end": (),
    "on_test_batch_begin": (),
    "on_test_batch_end": (),
    "on_predict_begin": (),
    "on_predict_end": (),
    "on_predict_batch_begin": (),
    "on_predict_batch_end": (),
}


def does_nothing(hook: Any) -> bool:
    """Whether a hook is the empty one of the base class."""
    return getattr(getattr(hook, "__func__", hook), "does_nothing", False)


def _always(hook: str) -> bool:
    return True


class CallbackList:
    """Callbacks as one; a hook that nobody wrote costs nothing.

    Args:
        callbacks: The callbacks, in the order in which they run.
        model: The model they see as `self.model`.
        params: What they see as `self.params`.

    Source: Keras 2.2.4 `keras.callbacks.CallbackList`.
    """

    def __init__(self, callbacks: Iterable[Any] = (), model: Any = None, params: dict[str, Any] | None = None) -> None:
        self.callbacks = list(callbacks)
        self.model, self.params = model, params or {}
        if model is not None:
            self.set_model(model)
        if params is not None:
            self.set_params(params)

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)

    def set_params(self, params: dict[str, Any]) -> None:
        """Tell all callbacks the parameters of the run."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Tell all callbacks the model."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def listeners(self, hook: str) -> list[Callable[..., Any]]:
        """The methods that do something at a hook."""
        found = []
        for callback in self.callbacks:
            if not getattr(callback, "listens", _always)(hook):
                continue
            method = getattr(callback, hook, None)
            if method is not None and not does_nothing(method):
                found.append(method)
                continue
            for other in HOOKS.get(hook, ()):
                method = getattr(callback, other, None)
                if method is not None and not does_nothing(method):
                    found.append(method)
        return found

    def call(self, hook: str, *args: Any) -> None:
        """Run a hook of all callbacks."""
        for listener in self.listeners(hook):
            listener(*args)
        if hook in ("on_train_begin", "on_train_end"):
            self._settle_states(apply=hook == "on_train_begin")

    def _settle_states(self, apply: bool) -> None:
        """States that were loaded before the run count from here on; once it has ended, no more."""
        for callback in self.callbacks:
            state = getattr(callback, "_pending_state", None)
            if state is not None:
                if apply:
                    callback._take_state(state)
                callback._pending_state = None

    def __iter__(self) -> Any:
        return iter(self.callbacks)

    def __getattr__(self, name: str) -> Any:
        if name in HOOKS or any(name in others for others in HOOKS.values()):
            return lambda *args, **kwargs: self.call(name, *args, **kwargs)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def is_keras_callback(thing: Any) -> bool:
    """Whether a thing has Keras' hooks."""
    return not inspect.isclass(thing) and hasattr(thing, "set_model") and hasattr(thing, "on_epoch_end")


def split_callbacks(callbacks: Any) -> tuple[list[Any], list[Any]]:
    """Keras callbacks, and the rest: Ignite handlers.

    Raises:
        TypeError: something that is neither.
    """
    given = (
        list(callbacks) if isinstance(callbacks, (list, tuple)) else list(callbacks.callbacks) if isinstance(callbacks, CallbackList) else [callbacks]
    )
    keras, handlers = [], []
    for callback in given:
        if callback is None:
            continue
        if is_keras_callback(callback):
            keras.append(callback)
        elif hasattr(callback, "attach") or callable(callback):
            handlers.append(callback)
        else:
            raise TypeError(f"callbacks takes Keras callbacks and Ignite handlers, but got {callback!r}, which has neither their hooks nor attach().")
    return keras, handlers


def bind(engine: Engine, callbacks: CallbackList, compiled: Compiled | None, prefix: str, batches: Any) -> list[Any]:
    """Bind the batch hooks of callbacks to an engine's events.

    Args:
        engine: The engine that runs batches.
        callbacks: Whose hooks.
        compiled: Whose values the logs show; `None`: none.
        prefix: "train", "test" or "predict".
        batches: The data, for the size of a batch.

    Returns:
        Handles to remove the bindings with.
    """
    from ignite.engine import Events

    handles = []
    begin, end = callbacks.listeners(f"on_{prefix}_batch_begin"), callbacks.listeners(f"on_{prefix}_batch_end")

    def step() -> int:
        length = engine.state.epoch_length
        return (engine.state.iteration - 1) % length if length else engine.state.iteration - 1

    values = compiled.batch_values if compiled is not None else dict
    running = compiled.values if compiled is not None else dict
    with_size = generations.choose("logs.batch") == "batch"

    def extra(number: int) -> dict[str, Any]:
        return {"batch": number, "size": batches.size_of(number)} if with_size else {}

    if begin:

        def run_begin() -> None:
            number = step()
            logs = extra(number)
            for listener in begin:
                listener(number, logs)

        handles.append(engine.add_event_handler(Events.ITERATION_STARTED, run_begin))
    if end:

        def run_end() -> None:
            number = step()
            logs = Logs(values, running, **extra(number))
            for listener in end:
                listener(number, logs)

        handles.append(engine.add_event_handler(Events.ITERATION_COMPLETED, run_end))
    return handles


def attach_handlers(engine: Engine, handlers: Sequence[Any]) -> None:
    """Attach Ignite handlers that were passed as callbacks: by their `attach`, or to the end of each epoch."""
    from ignite.engine import Events

    for handler in handlers:
        if hasattr(handler, "attach"):
            handler.attach(engine)
        else:
            engine.add_event_handler(Events.EPOCH_COMPLETED, handler)
