"""Callbacks on Ignite: the one table that says which hook runs at which event."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import LRScheduler

from torchkeras import generations
from torchkeras.training.distributed import agreed
from torchkeras.training.logs import Logs, Outputs

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
NEWER = {other: hook for hook, others in HOOKS.items() for other in others}


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
        self.model: Any = None
        self.params: dict[str, Any] = {}
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
            if hasattr(callback, "set_params"):
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Tell all callbacks the model."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def listeners(self, hook: str) -> list[Callable[..., Any]]:
        """The methods that do something at a hook: of each callback the one of that name, else the one of its older name."""
        hook = NEWER.get(hook, hook)
        found = []
        for callback in self.callbacks:
            if not getattr(callback, "listens", _always)(hook):
                continue
            for name in (hook, *HOOKS.get(hook, ())):
                method = getattr(callback, name, None)
                if method is not None and not does_nothing(method):
                    found.append(method)
                    break
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

    def close(self) -> None:
        """Have all callbacks close their files: the run is over, well or not."""
        for callback in self.callbacks:
            getattr(callback, "close", bool)()

    @contextlib.contextmanager
    def bound(self, engine: Engine, compiled: Compiled | None, prefix: str, batches: Any) -> Iterator[None]:
        """Inside, the batch hooks run at an engine's events; an error closes the callbacks' files. See `bind`."""
        handles = bind(engine, self, compiled, prefix, batches)
        try:
            yield
        except BaseException:
            self.close()
            raise
        finally:
            for handle in handles:
                handle.remove()

    def state_dict(self) -> list[dict[str, Any]]:
        """What the callbacks have to remember, in their order, with the names of their classes."""
        return [
            {"class": type(callback).__name__, "state": callback.state_dict()} for callback in self.callbacks if getattr(callback, "state_names", ())
        ]

    def load_state_dict(self, states: Sequence[dict[str, Any]]) -> None:
        """Give callbacks their states back: each to the next one of its class. States of classes that are not there are passed over."""
        waiting = list(states)
        for callback in self.callbacks:
            found = next((entry for entry in waiting if getattr(callback, "state_names", ()) and entry["class"] == type(callback).__name__), None)
            if found is not None:
                waiting.remove(found)
                callback.load_state_dict(found["state"])

    def __iter__(self) -> Iterator[Any]:
        return iter(self.callbacks)

    def __getattr__(self, name: str) -> Any:
        if name in HOOKS or name in NEWER:
            return lambda *args, **kwargs: self.call(name, *args, **kwargs)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def is_keras_callback(thing: Any) -> bool:
    """Whether a thing has Keras' hooks."""
    kind = type(thing)  # an Ignite metric answers to every name
    return not inspect.isclass(thing) and hasattr(kind, "set_model") and hasattr(kind, "on_epoch_end")


def each_callback(callbacks: Any) -> Iterator[Any]:
    """The callbacks of one, a list, lists in a list, or a CallbackList."""
    if isinstance(callbacks, (list, tuple, CallbackList)):
        for callback in callbacks:
            yield from each_callback(callback)
    elif callbacks is not None:
        yield callbacks


def split_callbacks(callbacks: Any) -> tuple[list[Any], list[Any]]:
    """Keras callbacks, and the rest: Ignite handlers.

    Raises:
        TypeError: something that is neither.
    """
    keras, handlers = [], []
    for callback in each_callback(callbacks):
        if is_keras_callback(callback):
            keras.append(callback)
        elif not inspect.isclass(callback) and (hasattr(callback, "attach") or callable(callback)):
            handlers.append(callback)
        else:
            hint = f" It is a class: write {callback.__name__}(...)." if inspect.isclass(callback) else ""
            if isinstance(callback, LRScheduler):
                hint = " A scheduler of torch goes to compile(optimizer, ..., lr_scheduler=scheduler)."
            raise TypeError(
                f"callbacks takes Keras callbacks and Ignite handlers, but got {callback!r}, which has neither their hooks nor attach().{hint}"
            )
    return keras, handlers


def fit_params(
    *, batch_size: int | None, epochs: int, steps: int | None, samples: int | None, verbose: Any, names: Sequence[str], validation: Any = None
) -> dict[str, Any]:
    """What callbacks see as `self.params` in `fit`: the entries of all releases.

    Args:
        batch_size: Samples in a step.
        epochs: Number of the last epoch.
        steps: Steps in an epoch, where known.
        samples: Samples in an epoch, where known.
        verbose: As given to `fit`.
        names: Names in the logs of training.
        validation: The data to validate on; `None`: none.
    """
    metrics = [*names, *(f"val_{name}" for name in names)] if validation is not None else list(names)
    return {
        "batch_size": batch_size,
        "epochs": epochs,
        "nb_epoch": epochs,
        "steps": steps,
        "samples": samples,
        "nb_sample": samples,
        "validation_samples": getattr(validation, "samples", None),
        "verbose": verbose,
        "do_validation": validation is not None,
        "metrics": metrics,
    }


def end_logs(logs: dict[str, Any]) -> dict[str, Any]:
    """The logs of `on_train_end`: those of the last epoch, or none, by release."""
    return logs if generations.choose("logs.train_end") == "epoch" else {}


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
    state = engine.state
    size_of = batches.size_of if generations.choose("logs.batch") == "batch" and hasattr(batches, "size_of") else None

    def step() -> int:
        length = state.epoch_length
        return (state.iteration - 1) % length if length else state.iteration - 1

    def extra(number: int) -> dict[str, Any]:
        return {} if size_of is None else {"batch": number, "size": size_of(number)}

    def run_begin() -> None:
        number = step()
        logs = extra(number)
        for listener in begin:
            listener(number, logs)

    def run_end() -> None:
        length = state.epoch_length
        number = (state.iteration - 1) % length if length else state.iteration - 1
        if compiled is None:
            logs: Logs = Outputs(lambda: state.output, **extra(number))
        elif size_of is None:  # this runs at every step
            logs = Logs(values, running, loss_sum)
        else:
            logs = Logs(values, running, loss_sum, **extra(number))
        for listener in end:
            listener(number, logs)

    if compiled is not None:
        values, running = compiled.batch_values, compiled.values

    def loss_sum() -> Any:
        return getattr(getattr(compiled, "loss_mean", compiled), "total", None)

    if begin:
        handles.append(engine.add_event_handler(Events.ITERATION_STARTED, run_begin))
    if end:
        handles.append(engine.add_event_handler(Events.ITERATION_COMPLETED, run_end))
    if prefix == "train" and generations.choose("fit.stops_after") == "batch":
        handles.append(engine.add_event_handler(Events.ITERATION_COMPLETED, _stop_early, engine, callbacks.model))
    return handles


def _stop_early(engine: Engine, model: Any) -> None:
    """End the epoch, which ends the training, once `stop_training` is set."""
    if agreed(model.stop_training):
        model.stop_training = True
        engine.terminate_epoch()


def attach_metrics(engine: Engine, evaluator: Engine, handlers: Sequence[Any]) -> Callable[[], None]:
    """Attach Ignite metrics that were passed as callbacks, for one run, to both engines: under their class's name in small letters.

    Returns:
        A function that takes them off again.
    """
    with _added([engine, evaluator]) as added:
        for handler in handlers:
            if is_metric(handler):
                handler.attach(engine, metric_name(handler))
                handler.attach(evaluator, metric_name(handler))
    return added.remove


def attach_handlers(engine: Engine, handlers: Sequence[Any]) -> Callable[[], None]:
    """Attach Ignite handlers that were passed as callbacks, for one run: by their `attach(engine)`; what has none runs at the end of each epoch.

    Returns:
        A function that takes them off again.

    Raises:
        TypeError: a handler whose `attach` needs more than the engine.
    """
    from ignite.engine import Events

    with _added([engine]) as added:
        for handler in handlers:
            if not hasattr(handler, "attach"):
                engine.add_event_handler(Events.EPOCH_COMPLETED, handler)
            elif not is_metric(handler):
                _attach(handler, engine)
    return added.remove


class _added:
    """What is attached to engines within the block, so that it can be taken off again."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.lists = [each._event_handlers for each in engines]
        self.before = [self._entries(found) for found in self.lists]
        self.entries: list[Any] = []

    @staticmethod
    def _entries(lists: dict[Any, list[Any]]) -> list[Any]:
        return [entry for found in lists.values() for entry in found]

    def __enter__(self) -> _added:
        return self

    def __exit__(self, error: Any, *rest: Any) -> None:
        for lists, before in zip(self.lists, self.before, strict=True):
            old = {id(entry) for entry in before}
            self.entries += [entry for entry in self._entries(lists) if id(entry) not in old]
        if error is not None:
            self.remove()

    def remove(self) -> None:
        """Take it off."""
        mine = {id(entry) for entry in self.entries}
        for lists in self.lists:
            for found in lists.values():
                found[:] = [entry for entry in found if id(entry) not in mine]


def _attach(handler: Any, engine: Engine) -> None:
    try:
        inspect.signature(handler.attach).bind(engine)
    except TypeError as error:
        raise TypeError(
            f"{type(handler).__name__} in callbacks cannot attach itself: its attach() takes more than an engine ({error}). "
            "Attach it before fit: handler.attach(model.trainer, ...), or model.evaluator."
        ) from None
    handler.attach(engine)


def is_metric(handler: Any) -> bool:
    """Whether a handler is one of Ignite's metrics."""
    return hasattr(handler, "attach") and hasattr(handler, "compute") and hasattr(handler, "completed")


def metric_name(metric: Any) -> str:
    """The name that a metric in `callbacks` gets: its class's, in small letters with underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(metric).__name__).lower()


def engine_metrics(engine: Engine, known: Iterable[str], prefix: str = "") -> dict[str, float]:
    """Values of Ignite metrics that hang on an engine, for the logs: single numbers, apart from the names that are known already."""
    taken = set(known)
    found = {}
    for name, value in engine.state.metrics.items():
        if isinstance(name, str) and prefix + name not in taken and (isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0):
            found[prefix + name] = float(value)
    return found
