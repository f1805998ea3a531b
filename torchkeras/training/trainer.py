"""`compile`, `fit`, `evaluate`, `predict` for a network."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchkeras import config, generations, optimizers
from torchkeras.graph.network import Network
from torchkeras.layers.base import Layer
from torchkeras.training import checks
from torchkeras.training.arrays import ArrayBatches, flatten, like, to_tensor
from torchkeras.training.class_weights import combine
from torchkeras.training.compiled import Compiled
from torchkeras.training.hooks import CallbackList, attach_handlers, attach_metrics, bind, end_logs, engine_metrics, fit_params, split_callbacks
from torchkeras.training.logs import read_all
from torchkeras.training.steps import make_predict_step, make_test_step, make_train_step
from torchkeras.training.trainable import Trainable

if TYPE_CHECKING:
    from ignite.engine import Engine

_logger = logging.getLogger("torchkeras.engine")
_logger.addHandler(logging.NullHandler())


class Trainer(Network):
    """A network with Keras' training methods, run by Ignite engines."""

    stop_training = False

    # -- compile

    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool | None = None,
        *,
        device: Any = None,
    ) -> None:
        """Say how to train. Weights stay as they are.

        Args:
            optimizer: Name, config, Keras optimizer, torch optimizer or torch.optim class.
            loss: Name, function of (y_true, y_pred), loss object or torch loss module; for several outputs a list or dict.
            metrics: List of names, functions or metric objects; for several outputs a list of lists or a dict.
            loss_weights: Factors of the outputs' losses, list or dict.
            weighted_metrics: Metrics that sample weights enter.
            run_eagerly: Accepted for Keras' sake: everything runs eagerly.
            device: Where to train; `None`: CUDA where there is one, else the CPU.

        Raises:
            ValueError: an unknown optimizer, loss or metric.
        """
        chosen = optimizers.get(optimizer)
        names = self.output_names if self._record_ is not None else None
        arguments = {"loss": loss, "metrics": metrics, "loss_weights": loss_weights, "weighted_metrics": weighted_metrics}
        self._compiled = Compiled(**arguments, names=names) if names else None  # type: ignore[arg-type]
        if names is None and not isinstance(loss, (list, tuple, Mapping)):
            Compiled(**arguments, names=["output_1"])  # raises now for what is unknown
        self._compile_arguments = arguments
        self.optimizer = chosen
        self.loss = loss
        self._device = torch.device(device) if device is not None else None
        self._trained: Trainable | None = None
        self.run_eagerly = bool(run_eagerly)
        if self.built:
            self._trained = Trainable(self)

    def _need_compile(self, who: str) -> None:
        if "_compile_arguments" not in self.__dict__:
            raise RuntimeError(f"You must compile your model before training/testing. Use `model.compile(optimizer, loss)` before {who}().")

    def _ready(self, x: Any) -> None:
        """Build, place and bind: everything that waits for the first data."""
        if not self.built or (self._record_ is None and not self._is_built_deep()):
            leaves = [leaf[:1] for leaf in flatten(x)]
            with torch.no_grad():
                self(like(x, leaves))
        self._place()
        if self._trained is None:
            self._trained = Trainable(self)
        self._trained.bind(self)

    def _is_built_deep(self) -> bool:
        return all(layer.built for layer in self.sublayers() if layer is not self)

    def _place(self) -> None:
        """Move the model to the device that it is to train on."""
        wanted = self.__dict__.get("_device")
        if wanted is None and torch.cuda.is_available() and not self.__dict__.get("_moved_by_user"):
            wanted = torch.device("cuda", torch.cuda.current_device())
        first = next(self.parameters(), None)
        if wanted is not None and first is not None and first.device != wanted:
            self.to(wanted)

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move or cast the model, as in torch; training then stays on that device."""
        self.__dict__["_moved_by_user"] = True
        return super().to(*args, **kwargs)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first = next(self.parameters(), None)
        if first is not None:
            return first.device
        return self.__dict__.get("_device") or torch.device("cpu")

    # -- engines

    @property
    def trainer(self) -> Engine:
        """The Ignite engine that `fit` runs; handlers attached to it stay."""
        return self._engine("train")

    @property
    def evaluator(self) -> Engine:
        """The Ignite engine that `evaluate` and validation run."""
        return self._engine("test")

    @property
    def predictor(self) -> Engine:
        """The Ignite engine that `predict` runs."""
        return self._engine("predict")

    def _engine(self, which: str) -> Engine:
        from ignite.engine import Engine

        engines = self.__dict__.setdefault("_engines", Engines())
        if which not in engines:
            engine = engines[which] = Engine(lambda engine, batch: engines.steps[which](engine, batch))
            engine.logger = _logger
        return engines[which]

    # -- data

    def _adapt(self, x: Any, y: Any, sample_weight: Any, batch_size: int, shuffle: bool | str, who: str, class_weight: Any = None) -> ArrayBatches:
        """Check in-memory data and make batches of it."""
        x = self._tensors(x, "x", self.input_names if self._record_ is not None else None)
        y = None if y is None else self._tensors(y, "y", None)
        sample_weight = self._weights(sample_weight, class_weight, y)
        checks.check_lengths([("x", x), ("y", y), ("sample_weight", sample_weight)])
        checks.check_inputs(self, x)
        x, y, sample_weight = (
            like(part, [_column(leaf) for leaf in flatten(part)]) if part is not sample_weight else part for part in (x, y, sample_weight)
        )
        if y is not None and self._compiled_or_none() is not None:
            checks.check_targets(self, self._compiled, self._targets(y))
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"{who} needs a batch_size of at least 1, but got {batch_size!r}.")
        return ArrayBatches(x, y, sample_weight, batch_size, shuffle, self.device)

    def _tensors(self, value: Any, who: str, names: Sequence[str] | None) -> Any:
        if isinstance(value, Mapping):
            return {name: to_tensor(part, f"{who}[{name!r}]") for name, part in value.items()}
        several = isinstance(value, (list, tuple)) and bool(value) and (isinstance(value[0], Tensor) or hasattr(value[0], "shape"))
        if several:
            parts = [to_tensor(part, f"{who}[{number}]") for number, part in enumerate(value)]
            return parts[0] if len(parts) == 1 else parts
        return to_tensor(value, who)

    def _weights(self, sample_weight: Any, class_weight: Any, y: Any) -> Any:
        """Sample weights with class weights in them: one for each output, or `None`."""
        if sample_weight is None and class_weight is None:
            return None
        if y is None:
            raise ValueError("sample_weight and class_weight need targets: y is missing.")
        names = self.output_names if self._record_ is not None else [f"output_{number + 1}" for number in range(len(flatten(y)))]
        targets = [y.get(name) for name in names] if isinstance(y, Mapping) else flatten(y)
        given = checks.weights_per_output(sample_weight, names)
        weights = [None if weight is None else to_tensor(weight, "sample_weight").to(config.float_dtype()) for weight in given]
        checks.check_weights(weights, targets, names)
        if class_weight is not None:
            widths = (
                [self._record_.infos[number].shape[-1] for number in self._record_.output_numbers()]
                if self._record_ is not None
                else [None] * len(names)
            )
            classes = [width if width is not None and width > 1 else 2 for width in widths] if self._record_ is not None else widths
            weights = combine(targets, weights, class_weight, names, classes)
        if all(weight is None for weight in weights):
            return None
        filled = [torch.ones(target.shape[0]) if weight is None else weight for weight, target in zip(weights, targets, strict=True)]
        return filled[0] if len(filled) == 1 else filled

    def _targets(self, y: Any) -> list[Any]:
        """Targets in the order of the outputs."""
        compiled = self._compiled
        assert compiled is not None
        if isinstance(y, Mapping):
            unknown = [name for name in y if name not in compiled.names]
            if unknown:
                raise ValueError(f"y has targets for {unknown}, but the model's outputs are {compiled.names}.")
            return [y.get(name) for name in compiled.names]
        return flatten(y)

    def _compiled_or_none(self) -> Compiled | None:
        return self.__dict__.get("_compiled")

    def _settle(self, batches: ArrayBatches) -> Compiled:
        """The compiled losses and metrics; for a model without a graph its outputs are counted by one try."""
        if self._compiled is None:
            names = None
            if self._record_ is not None:
                names = self.output_names
            else:
                x = like(batches.structures[0], [leaf[:1].to(self.device) for leaf in flatten(batches.structures[0])])
                with torch.no_grad():
                    outputs = self(x)
                names = list(outputs) if isinstance(outputs, Mapping) else [f"output_{number + 1}" for number in range(len(flatten(outputs)))]
            self._compiled = Compiled(**self._compile_arguments, names=names)
            y = batches.structures[1]
            if y is not None:
                checks.check_targets(self, self._compiled, self._targets(y))
        return self._compiled

    # -- fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
    ) -> Any:
        """Train for a number of epochs.

        Args:
            x: Inputs: an array or tensor, a list of them, or a dict by input name.
            y: Targets, in the form of the outputs.
            batch_size: Samples in a step; `None`: 32.
            epochs: The epoch to stop after, counted from 0 (so the number of epochs where `initial_epoch` is 0).
            verbose: 0 silent, 1 progress bar, 2 one line an epoch.
            callbacks: Keras callbacks and Ignite handlers.
            validation_split: Fraction 0-1 of the data, its last part, to validate on.
            validation_data: (x, y) or (x, y, sample_weight) to validate on.
            shuffle: A new order each epoch, "batch" for whole batches, or False.
            class_weight: Weight of each class id.
            sample_weight: Weight of each sample.
            initial_epoch: Epoch to start from.

        Returns:
            The `History` of the run.

        Raises:
            RuntimeError: not compiled.
            ValueError: data that do not fit.
        """
        self._need_compile("fit")
        size = 32 if batch_size is None else batch_size
        x, y, sample_weight, validation_data = _split(x, y, sample_weight, validation_split, validation_data)
        batches = self._adapt(x, y, sample_weight, size, shuffle, "fit", class_weight)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, (list, tuple)) or len(validation_data) not in (2, 3):
                raise ValueError(
                    f"validation_data must be (x_val, y_val) or (x_val, y_val, val_sample_weights), but got {type(validation_data).__name__}."
                )
            weights = validation_data[2] if len(validation_data) == 3 else None
            validation = self._adapt(validation_data[0], validation_data[1], weights, size, False, "fit")
        self._ready(batches.structures[0])
        batches.device = self.device
        compiled = self._settle(batches)
        keras, handlers = split_callbacks(callbacks)
        params = fit_params(
            batch_size=size,
            epochs=epochs,
            steps=len(batches),
            samples=batches.samples,
            verbose=verbose,
            names=compiled.log_names(),
            validation=validation,
        )
        history, keras = self._fit_callbacks(keras, verbose, isinstance(batches, ArrayBatches))
        hooks = CallbackList(keras, self, params)
        return self._run_fit(batches, validation, compiled, hooks, handlers, history, epochs, initial_epoch)

    def _fit_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> tuple[Any, list[Any]]:
        """History, and the user's callbacks together with those that `fit` brings by itself; the models room knows them."""
        raise NotImplementedError("Trainer is completed by Model.")

    def _run_fit(
        self,
        batches: Any,
        validation: Any,
        compiled: Compiled,
        hooks: CallbackList,
        handlers: Sequence[Any],
        history: Any,
        epochs: int,
        initial_epoch: int,
    ) -> Any:
        from ignite.engine import Events

        engine = self.trainer
        self.stop_training = False
        self.history = history
        epoch_logs: dict[str, float] = {}
        own: set[str] = set()  # names in the logs that are not of Ignite metrics
        validation_first = generations.choose("logs.validation_first")
        stops_within = generations.choose("fit.stops_after") == "batch"
        early_stop = generations.choose("fit.stop_at_begin")

        def begin() -> None:
            hooks.call("on_train_begin", {})
            self.stop_training = self.stop_training and early_stop

        def start() -> None:
            engine.state.epoch = initial_epoch
            engine.state.iteration = initial_epoch * len(batches)
            begin()

        def epoch_started() -> None:
            compiled.reset()
            self.train()
            hooks.call("on_epoch_begin", engine.state.epoch - 1, {})

        def epoch_completed() -> None:
            nonlocal epoch_logs
            values = compiled.values()
            trained = dict(zip(values, read_all(values.values()), strict=True))
            validated: dict[str, float] = {}
            if validation is not None and not (stops_within and self.stop_training):
                found = self._run_test(validation, compiled, hooks)
                validated = {f"val_{name}": value for name, value in found.items()}
                validated.update(engine_metrics(self.evaluator, validated, prefix="val_"))
            epoch_logs = {**validated, **trained} if validation_first else {**trained, **validated}
            own.update(epoch_logs)
            epoch_logs.update(engine_metrics(engine, own))
            self.train(False)
            engine.state.metrics.update(epoch_logs)
            hooks.call("on_epoch_end", engine.state.epoch - 1, epoch_logs)
            if self.stop_training:
                engine.terminate()

        self._engines.steps["train"] = make_train_step(self, compiled)
        engine.state.metrics.clear()
        self.evaluator.state.metrics.clear()
        detach_metrics = attach_metrics(engine, self.evaluator, handlers)
        handles = [
            engine.add_event_handler(Events.STARTED, start),
            engine.add_event_handler(Events.EPOCH_STARTED, epoch_started),
            *bind(engine, hooks, compiled, "train", batches),
            engine.add_event_handler(Events.EPOCH_COMPLETED, epoch_completed),
        ]
        detach = attach_handlers(engine, handlers)
        try:
            if epochs > initial_epoch:
                engine.state.max_epochs = None
                engine.run(batches, max_epochs=epochs, epoch_length=len(batches))
            else:
                begin()
            hooks.call("on_train_end", end_logs(epoch_logs))
        finally:
            self.train(False)
            hooks.close()
            detach()
            detach_metrics()
            for handle in handles:
                handle.remove()
        return history

    # -- evaluate

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int = 1,
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        *,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on data, in inference mode.

        Args:
            x, y, sample_weight: As for `fit`.
            batch_size: Samples in a step; `None`: 32.
            verbose: 0 silent, 1 progress bar.
            steps: Stop after so many batches; `None`: all.
            callbacks: Callbacks with `on_test_...` hooks.
            return_dict: Whether to give a dict by name instead of the loss, or the list [loss, metric, ...].

        Raises:
            RuntimeError: not compiled.
        """
        self._need_compile("evaluate")
        batches = self._adapt(x, y, sample_weight, 32 if batch_size is None else batch_size, False, "evaluate")
        self._ready(batches.structures[0])
        batches.device = self.device
        compiled = self._settle(batches)
        keras, _ = split_callbacks(callbacks)
        params = fit_params(
            batch_size=batches.batch_size, epochs=1, steps=len(batches), samples=batches.samples, verbose=verbose, names=compiled.log_names()
        )
        hooks = CallbackList(self._test_callbacks(keras, verbose, isinstance(batches, ArrayBatches)), self, params)
        values = self._run_test(batches, compiled, hooks, steps)
        if return_dict:
            return values
        return list(values.values()) if len(values) > 1 else next(iter(values.values()))

    def _test_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> list[Any]:
        """The user's callbacks together with the bar of `evaluate` and `predict`."""
        return given

    def _run_test(self, batches: Any, compiled: Compiled, hooks: CallbackList, steps: int | None = None) -> dict[str, float]:
        engine = self.evaluator
        self.train(False)
        compiled.reset()
        self._engines.steps["test"] = make_test_step(self, compiled)
        handles = bind(engine, hooks, compiled, "test", batches)
        hooks.call("on_test_begin", {})
        try:
            engine.state.max_epochs = None
            with torch.inference_mode():
                engine.run(batches, max_epochs=1, epoch_length=min(steps, len(batches)) if steps else len(batches))
        finally:
            for handle in handles:
                handle.remove()
        values = compiled.values()
        logs = dict(zip(values, read_all(values.values()), strict=True))
        hooks.call("on_test_end", logs)
        return logs

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` gives, in its order."""
        compiled = self._compiled_or_none()
        return compiled.log_names() if compiled is not None else ["loss"]

    # -- predict

    def predict(self, x: Any, batch_size: int | None = None, verbose: int = 0, steps: int | None = None, callbacks: Any = None) -> Any:
        """Outputs for data, in inference mode, as NumPy arrays.

        Args:
            x: As for `fit`.
            batch_size: Samples in a step; `None`: 32.
            verbose: 0 silent, 1 progress bar.
            steps: Stop after so many batches; `None`: all.
            callbacks: Callbacks with `on_predict_...` hooks.
        """
        batches = self._adapt(x, None, None, 32 if batch_size is None else batch_size, False, "predict")
        with self._built_for(batches):
            batches.device = self.device
            keras, _ = split_callbacks(callbacks)
            params = fit_params(batch_size=batches.batch_size, epochs=1, steps=len(batches), samples=batches.samples, verbose=verbose, names=())
            hooks = CallbackList(self._test_callbacks(keras, verbose, isinstance(batches, ArrayBatches)), self, params)
            return self._run_predict(batches, hooks, steps)

    @contextlib.contextmanager
    def _built_for(self, batches: ArrayBatches) -> Iterator[None]:
        if not self.built:
            with torch.no_grad():
                self(like(batches.structures[0], [leaf[:1] for leaf in flatten(batches.structures[0])]))
        self._place()
        was = self.training
        self.train(False)
        try:
            yield
        finally:
            self.train(was)

    def _run_predict(self, batches: Any, hooks: CallbackList, steps: int | None) -> Any:
        engine = self.predictor
        outputs: list[Any] = []
        self._engines.steps["predict"] = make_predict_step(self, outputs)
        handles = bind(engine, hooks, None, "predict", batches)
        hooks.call("on_predict_begin", {})
        try:
            engine.state.max_epochs = None
            with torch.inference_mode():
                engine.run(batches, max_epochs=1, epoch_length=min(steps, len(batches)) if steps else len(batches))
        finally:
            for handle in handles:
                handle.remove()
        hooks.call("on_predict_end", {})
        parts = [torch.cat([flatten(output)[number] for output in outputs]) for number in range(len(flatten(outputs[0])))]
        return like(outputs[0], [_to_numpy(part) for part in parts])


class Engines(dict):
    """The engines of a model and their present steps; a copy of the model starts without them."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, Any] = {}

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (Engines, ())

    def __deepcopy__(self, memo: Any) -> Engines:
        return Engines()


def _to_numpy(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def _column(leaf: Tensor) -> Tensor:
    """(n,) as (n, 1), as Keras makes it."""
    return leaf.unsqueeze(-1) if leaf.dim() == 1 else leaf


def _split(x: Any, y: Any, sample_weight: Any, fraction: float, validation_data: Any) -> tuple[Any, Any, Any, Any]:
    """Cut the last part off for validation."""
    if not fraction or validation_data is not None:
        return x, y, sample_weight, validation_data
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split must be between 0 and 1, but got {fraction!r}.")
    length = len(flatten(x)[0])
    cut = int(length * (1 - fraction))
    if cut == 0 or cut == length:
        raise ValueError(
            f"validation_split={fraction} leaves {cut} of {length} samples to train on and {length - cut} to validate on. Choose another."
        )

    def part(value: Any, where: slice) -> Any:
        several = isinstance(value, Mapping) or (isinstance(value, (list, tuple)) and hasattr(value[0], "shape"))
        if value is None:
            return None
        return like(value, [leaf[where] for leaf in flatten(value)]) if several else value[where]

    first, last = slice(0, cut), slice(cut, None)
    validation = (part(x, last), part(y, last), *([] if sample_weight is None else [part(sample_weight, last)]))
    return part(x, first), part(y, first), part(sample_weight, first), validation


__all__ = ["Layer", "Trainer"]
