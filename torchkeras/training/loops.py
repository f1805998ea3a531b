"""Epochs of training, evaluation and prediction, run by Ignite engines."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchkeras import generations
from torchkeras.layers.raw_modules import not_watching
from torchkeras.metrics import over_processes
from torchkeras.training.batches import Batches
from torchkeras.training.compiled import Compiled
from torchkeras.training.distributed import agreed, average_statistics, together
from torchkeras.training.hooks import CallbackList, attach_handlers, attach_metrics, bind, end_logs, engine_metrics
from torchkeras.training.interrupts import Interrupts
from torchkeras.training.logs import read_all
from torchkeras.training.merging import merged
from torchkeras.training.resuming.run import Resuming
from torchkeras.training.tensors import flatten, like

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling

DEVICE_ROOM = 256 << 20  # bytes of predictions that may wait on the device
TO_THE_END = 1 << 60  # batches, of data whose length nobody knows


@dataclass
class Plan:
    """What one call of `fit` is to do.

    Attributes:
        batches: What to train on.
        hooks: Callbacks.
        handlers: Ignite handlers for this run.
        history: Returned in the end.
        epochs, initial_epoch: The epoch to stop before, and the one to begin with.
        steps: Batches in an epoch; `None`: until the data ends.
        validation: What to validate on, or `None`.
        validation_steps: Batches to validate on; `None`: all.
        validation_freq: Validate every so many epochs, or after the epochs listed (counted from 1).
        resuming: What saves the run, and lets it go on from where it was saved; `None`: nothing does.
    """

    batches: Batches
    hooks: CallbackList
    history: Any
    epochs: int
    initial_epoch: int = 0
    steps: int | None = None
    handlers: Sequence[Any] = ()
    validation: Batches | None = None
    validation_steps: int | None = None
    validation_freq: Any = 1
    resuming: Resuming | None = None
    logs: dict[str, float] = field(default_factory=dict)

    def validates(self, epoch: int) -> bool:
        """Whether to validate after an epoch, counted from 0."""
        if self.validation is None:
            return False
        freq = self.validation_freq
        return (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq


class FitRun:
    """The events of one call of `fit`.

    Args:
        model: The model.
        compiled: Its losses and metrics.
        plan: What to do.
    """

    def __init__(self, model: Compiling, compiled: Compiled, plan: Plan) -> None:
        self.model, self.compiled, self.plan = model, compiled, plan
        self.engine = model.trainer
        self.validation_first = generations.choose("logs.validation_first")
        self.stops_within = generations.choose("fit.stops_after") == "batch"
        self.early_stop = generations.choose("fit.stop_at_begin")
        self.batches_before = 0
        self.epoch_done = True
        self.ran_out = False
        self.own_names: set[str] = set()  # names in the logs that are not of Ignite metrics

    def _begin(self) -> None:
        self.plan.hooks.call("on_train_begin", {})
        self.model.stop_training = self.model.stop_training and self.early_stop

    def started(self) -> None:
        """Events.STARTED"""
        state, plan = self.engine.state, self.plan
        state.epoch = plan.initial_epoch
        state.iteration = plan.initial_epoch * (plan.steps or 0)
        if plan.resuming is None:
            self._begin()
            return
        plan.resuming.before(self)
        self._begin()
        plan.resuming.begun(self)

    def epoch_started(self) -> None:
        """Events.EPOCH_STARTED"""
        self.model.reset_metrics()
        self.model.train()
        self.batches_before = self.engine.state.iteration
        self.epoch_done = False
        self.plan.hooks.call("on_epoch_begin", self.engine.state.epoch - 1, {})
        if self.plan.resuming is not None:
            self.plan.resuming.epoch_begun(self)
        else:
            self.plan.batches.allow(self.plan.steps or TO_THE_END)

    def data_ended(self) -> None:
        """Events.DATALOADER_STOP_ITERATION: the epoch wants more batches than the data has."""
        plan = self.plan
        if not plan.batches.restarts:
            wanted = (self.engine.state.epoch_length or 0) * (plan.epochs - plan.initial_epoch)
            warnings.warn(ran_out("training", wanted), stacklevel=2)
            self.ran_out = True
            self.engine.terminate_epoch()

    def epoch_completed(self) -> None:
        """Events.EPOCH_COMPLETED"""
        engine, model, plan = self.engine, self.model, self.plan
        if engine.state.iteration == self.batches_before:  # the data had ended before
            engine.terminate()
            return
        model._epoch_trained()
        average_statistics(model)
        plan.batches.epoch_ended()
        trained = read_values(self.compiled)
        epoch = engine.state.epoch - 1
        validated: dict[str, float] = {}
        if plan.validates(epoch) and not (self.stops_within and model.stop_training):
            assert plan.validation is not None
            found = run_test(model, self.compiled, plan.validation, plan.hooks, plan.validation_steps)
            plan.validation.left()
            validated = {f"val_{name}": value for name, value in found.items()}
            validated.update(engine_metrics(model.evaluator, validated, prefix="val_"))
        plan.logs = {**validated, **trained} if self.validation_first else {**trained, **validated}
        self.own_names.update(plan.logs)
        plan.logs.update(engine_metrics(engine, self.own_names))
        model.train(False)
        engine.state.metrics.update(plan.logs)
        model._epoch_logged(plan.logs)
        plan.hooks.call("on_epoch_end", epoch, plan.logs)
        model.stop_training = agreed(model.stop_training)
        if model.stop_training or self.ran_out:
            engine.terminate()
        self.epoch_done = True
        if plan.resuming is not None:
            plan.resuming.save(self)

    def _run(self) -> None:
        engine, model, plan = self.engine, self.model, self.plan
        with together(), not_watching(), torch.enable_grad(), Interrupts() as interrupts:
            model._engines.steps["train"] = interrupts.between(model._train_step())
            engine.state.max_epochs = engine.state.epoch_length = None
            engine.run(plan.batches, max_epochs=plan.epochs, epoch_length=plan.steps)

    def run(self) -> Any:
        """Train; the history."""
        from ignite.engine import Events

        engine, model, plan = self.engine, self.model, self.plan
        model.stop_training = False
        model.history = plan.history
        engine.state.metrics.clear()
        model.evaluator.state.metrics.clear()
        detach_metrics = attach_metrics(engine, model.evaluator, plan.handlers)
        handles = [
            engine.add_event_handler(Events.STARTED, self.started),
            engine.add_event_handler(Events.EPOCH_STARTED, self.epoch_started),
            engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, self.data_ended),
            *bind(engine, plan.hooks, self.compiled, "train", plan.batches),
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed),
        ]
        try:
            detach_handlers = attach_handlers(engine, plan.handlers)
            model._engines.steps["run"] = self
            if plan.resuming is not None:  # after all others
                handles.append(engine.add_event_handler(Events.ITERATION_COMPLETED, plan.resuming.batch_done, self))
            try:
                if plan.epochs > plan.initial_epoch:
                    self._run()
                else:
                    self._begin()
                plan.hooks.call("on_train_end", end_logs(plan.logs))
                if plan.resuming is not None:
                    plan.resuming.ended()
            finally:
                model._engines.steps.pop("run", None)
                engine._init_iter = None
                let_go(engine)
                detach_handlers()
        finally:
            model.train(False)
            plan.hooks.close()
            detach_metrics()
            for handle in handles:
                handle.remove()
        return plan.history


def ran_out(doing: str, wanted: int) -> str:
    """What to tell where data ends too early."""
    return (
        f"Your input ran out of data; interrupting {doing}. Make sure that your dataset or generator can generate at least "
        f"`steps_per_epoch * epochs` batches (in this case, {wanted} batches). A generator goes on for ever by `while True:`."
    )


def read_values(compiled: Compiled) -> dict[str, float]:
    """The means over the epoch, over all processes, with one wait for the device."""
    with over_processes(compiled.objects()):
        values = compiled.values()
        return dict(zip(values, read_all(values.values()), strict=True))


def run_test(model: Compiling, compiled: Compiled, batches: Batches, hooks: CallbackList, steps: int | None = None) -> dict[str, float]:
    """Evaluate; losses and metrics by name."""
    engine = model.evaluator
    model.reset_metrics()
    model._engines.steps["test"] = model._test_step()
    with hooks.bound(engine, compiled, "test", batches):
        hooks.call("on_test_begin", {})
        model.train(False)
        with together(), not_watching(), torch.no_grad():
            now = merged(model, batches, hooks, "test", compiled) if steps is None else batches
            _run_once(engine, now, steps, "evaluation")
        batches.epoch_ended()
        logs = read_values(compiled)
        hooks.call("on_test_end", logs)
    return logs


def run_predict(model: Compiling, batches: Batches, hooks: CallbackList, steps: int | None) -> Any:
    """Predict; the outputs of all batches together, as NumPy arrays."""
    engine = model.predictor
    outputs = batches.outputs() or Outputs()
    model._engines.steps["predict"] = model._predict_step(outputs.append)
    with hooks.bound(engine, None, "predict", batches):
        hooks.call("on_predict_begin", {})
        model.train(False)
        with together(), not_watching(), torch.inference_mode():
            now = merged(model, batches, hooks, "predict") if steps is None else batches
            _run_once(engine, now, steps, "prediction")
            found = outputs.joined()
        batches.epoch_ended()
        hooks.call("on_predict_end", {})
    return found


def _run_once(engine: Any, batches: Batches, steps: int | None, doing: str) -> None:
    """One epoch, of so many steps or of all batches."""
    from ignite.engine import Events

    length = batches.steps if steps is None else steps

    def data_ended() -> None:
        if not batches.restarts or engine.state.iteration == 0:
            warnings.warn(ran_out(doing, steps or 0), stacklevel=2)
            engine.terminate_epoch()

    engine.state.max_epochs = engine.state.epoch_length = None
    batches.allow(length or TO_THE_END)
    with engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, data_ended):
        try:
            engine.run(batches, max_epochs=1, epoch_length=length)
        finally:
            let_go(engine)
    if engine.state.iteration == 0:
        raise ValueError(f"There are no samples: the data gives no batch for {doing}.")


def let_go(engine: Any) -> None:
    """Forget the data of a run, which may be large, or a file."""
    engine.state.dataloader = engine.state.batch = engine._dataloader_iter = None


class Outputs:
    """Predictions of many batches; on a device at most `DEVICE_ROOM` of them."""

    def __init__(self) -> None:
        self.done: list[list[Tensor]] = []
        self.waiting: list[list[Tensor]] = []
        self.form: Any = None
        self.nested = False
        self.bytes = 0

    def append(self, output: Any) -> None:
        """Keep what the model gave for a batch."""
        leaves = flatten(output)
        if any(isinstance(leaf, (list, tuple)) for leaf in leaves):  # states of stacked cells
            self.nested = True
            leaves = pytree.tree_leaves(output)
        self.form = output
        self.waiting.append(leaves)
        if leaves[0].device.type != "cpu":
            self.bytes += sum(leaf.numel() * leaf.element_size() for leaf in leaves)
            if self.bytes > DEVICE_ROOM:
                self._fetch()

    def _fetch(self) -> None:
        if self.waiting:
            self.done.append([torch.cat(parts).cpu() if len(parts) > 1 else parts[0].cpu() for parts in zip(*self.waiting, strict=True)])
        self.waiting, self.bytes = [], 0

    def joined(self) -> Any:
        """All of them as NumPy arrays, in the form in which the model gives them."""
        self._fetch()
        leaves = [torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*self.done, strict=True)]
        arrays = [to_numpy(leaf) for leaf in leaves]
        return pytree.tree_unflatten(arrays, pytree.tree_structure(self.form)) if self.nested else like(self.form, arrays)


def to_numpy(tensor: Tensor) -> Any:
    """A tensor as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
