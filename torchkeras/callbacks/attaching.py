"""Keras callbacks on a plain Ignite engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras.training.hooks import CallbackList
from torchkeras.training.logs import Logs, read_all
from torchkeras.utils.atomic import atomic_write

if TYPE_CHECKING:
    from ignite.engine import Engine


class EngineModel:
    """What a callback sees as `self.model` where a plain engine trains an nn.Module.

    It has what callbacks of Keras use: `optimizer`, `stop_training`, `get_weights`, `set_weights`, `save_weights`, `load_weights`, `save`, and
    the module's own attributes. Weights are the module's parameters and buffers in their order; files are of `torch.save`.

    Args:
        module: What is trained; `None`: nothing that callbacks may look at.
        optimizer: Its torch optimizer.
        trainer: The engine.
    """

    def __init__(self, module: nn.Module | None, optimizer: Any, trainer: Engine) -> None:
        self.module, self.optimizer, self.trainer = module, optimizer, trainer
        self.stop_training = False
        self.history: Any = None

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__.get("module")
        if module is None:
            raise AttributeError(f"The callback needs the model's {name!r}: give it, callback.attach(engine, model=...).")
        return getattr(module, name)

    def _state(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.__getattr__("state_dict")().items() if isinstance(value, Tensor)}

    def get_weights(self) -> list[np.ndarray]:
        """Copies of parameters and buffers, in their order."""
        return [value.detach().cpu().numpy().copy() for value in self._state().values()]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Write parameters and buffers back.

        Raises:
            ValueError: another number of arrays.
        """
        state = self._state()
        if len(weights) != len(state):
            raise ValueError(f"{type(self.module).__name__} has {len(state)} parameters and buffers, but got {len(weights)} arrays.")
        with torch.no_grad():
            for value, new in zip(state.values(), weights, strict=True):
                value.copy_(torch.as_tensor(new))

    def save_weights(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Write the module's `state_dict` by `torch.save`, whole or not at all."""
        with atomic_write(filepath) as file:
            torch.save(self.__getattr__("state_dict")(), file)

    def load_weights(self, filepath: Any) -> None:
        """Read what `save_weights` wrote."""
        self.__getattr__("load_state_dict")(torch.load(filepath, weights_only=True))

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Write the states of module and optimizer by `torch.save`, whole or not at all."""
        state = {"model": self.__getattr__("state_dict")()}
        if hasattr(self.optimizer, "state_dict"):
            state["optimizer"] = self.optimizer.state_dict()
        with atomic_write(filepath) as file:
            torch.save(state, file)


class _Attached:
    """The events of an engine as hooks of callbacks."""

    def __init__(self, engine: Engine, hooks: CallbackList, model: Any, evaluator: Engine | None, params: dict[str, Any]) -> None:
        self.engine, self.hooks, self.model, self.evaluator, self.params = engine, hooks, model, evaluator, params
        self.loss: Tensor | float | None = None
        self.batches = 0
        self.logs: dict[str, float] = {}

    def started(self) -> None:
        state = self.engine.state
        self.hooks.set_params({"epochs": state.max_epochs, "steps": state.epoch_length, "verbose": 1, "metrics": [], **self.params})
        self.model.stop_training = False
        self.hooks.call("on_train_begin", {})
        self._stop()

    def epoch_started(self) -> None:
        self.loss, self.batches = None, 0
        self.hooks.call("on_epoch_begin", self.engine.state.epoch - 1, {})

    def batch_started(self) -> None:
        self.hooks.call("on_train_batch_begin", _number(self.engine), {})

    def batch_completed(self) -> None:
        loss = _loss_of(self.engine.state.output)
        if loss is not None:
            loss = loss.detach() if isinstance(loss, Tensor) else loss
            self.loss = loss if self.loss is None else self.loss + loss
            self.batches += 1
        if self.hooks.listeners("on_train_batch_end"):
            self.hooks.call("on_train_batch_end", _number(self.engine), Logs(self._running, loss_sum=lambda: self.loss))  # type: ignore[arg-type, return-value]
            self._stop()

    def _running(self) -> dict[str, Any]:
        return {} if self.loss is None else {"loss": self.loss / self.batches}

    def epoch_completed(self) -> None:
        logs: dict[str, Any] = self._running()
        logs.update(_numbers(self.engine.state.metrics))
        if self.evaluator is not None:
            logs.update({f"val_{name}": value for name, value in _numbers(self.evaluator.state.metrics).items()})
        self.logs = dict(zip(logs, read_all(logs.values()), strict=True))
        self.hooks.call("on_epoch_end", self.engine.state.epoch - 1, self.logs)
        self._stop()

    def completed(self) -> None:
        self.hooks.call("on_train_end", self.logs)
        self.hooks.close()

    def failed(self, error: BaseException) -> None:
        self.hooks.close()
        raise error

    def _stop(self) -> None:
        if self.model.stop_training:
            self.engine.terminate()

    def test(self, hook: str) -> None:
        engine = self.evaluator
        assert engine is not None
        logs = {} if hook.endswith("begin") else _numbers(engine.state.metrics)
        self.hooks.call(hook, *([_number(engine)] if "batch" in hook else []), logs)


def _number(engine: Engine) -> int:
    """The batch in its epoch, counted from 0."""
    state = engine.state
    return (state.iteration - 1) % state.epoch_length if state.epoch_length else state.iteration - 1


def _loss_of(output: Any) -> Any:
    """The loss in what a step gives: the output itself where it is one number, or its entry "loss"."""
    if isinstance(output, dict):
        output = output.get("loss")
    single = (isinstance(output, Tensor) and output.numel() == 1) or (isinstance(output, (int, float)) and not isinstance(output, bool))
    return output.reshape(()) if single and isinstance(output, Tensor) else output if single else None


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics that are one number."""
    return {
        name: value
        for name, value in metrics.items()
        if (isinstance(value, (int, float)) and not isinstance(value, bool)) or getattr(value, "ndim", None) == 0
    }


def attach(
    callback: Any, engine: Engine, model: Any = None, *, optimizer: Any = None, evaluator: Engine | None = None, params: dict[str, Any] | None = None
) -> list[Any]:
    """Run the hooks of a callback, or of a CallbackList, at the events of a plain Ignite engine; `Callback.attach` has the arguments."""
    from ignite.engine import Events

    seen = model if hasattr(model, "stop_training") else EngineModel(model, optimizer, engine)
    hooks = callback if isinstance(callback, CallbackList) else CallbackList([callback])
    hooks.set_model(seen)
    bound = _Attached(engine, hooks, seen, evaluator, params or {})
    handles = [
        engine.add_event_handler(Events.STARTED, bound.started),
        engine.add_event_handler(Events.EPOCH_STARTED, bound.epoch_started),
        engine.add_event_handler(Events.ITERATION_COMPLETED, bound.batch_completed),
        engine.add_event_handler(Events.EPOCH_COMPLETED, bound.epoch_completed),
        engine.add_event_handler(Events.COMPLETED, bound.completed),
        engine.add_event_handler(Events.EXCEPTION_RAISED, bound.failed),
    ]
    if hooks.listeners("on_train_batch_begin"):
        handles.append(engine.add_event_handler(Events.ITERATION_STARTED, bound.batch_started))
    if evaluator is not None:
        events = {"begin": Events.STARTED, "batch_begin": Events.ITERATION_STARTED, "batch_end": Events.ITERATION_COMPLETED, "end": Events.COMPLETED}
        for name, event in events.items():
            if hooks.listeners(f"on_test_{name}"):
                handles.append(evaluator.add_event_handler(event, bound.test, f"on_test_{name}"))
    return handles
