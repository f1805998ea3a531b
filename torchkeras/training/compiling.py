"""`compile`, and what has to be made ready before the first batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from torchkeras import generations, optimizers
from torchkeras.graph.network import Network
from torchkeras.layers.base import Layer
from torchkeras.metrics import Metric
from torchkeras.metrics.processes import several
from torchkeras.training import checks
from torchkeras.training.batches import Batch, on_device
from torchkeras.training.closures import with_values
from torchkeras.training.compiled import Compiled, as_list
from torchkeras.training.direct import direct_call
from torchkeras.training.engines import Engines
from torchkeras.training.fully_sharded import by_shell, is_sharded, shard_weights, whole_weights
from torchkeras.training.modes import Modes, Scheduling
from torchkeras.training.placing import Placed
from torchkeras.training.precision import in_precision
from torchkeras.training.standardize import Door
from torchkeras.training.steps import Step, make_own_step, make_predict_step, make_test_step, make_train_step, recheck
from torchkeras.training.tensors import flatten, map_leaves
from torchkeras.training.trainable import Trainable, holds_all
from torchkeras.training.updates import Updates

if TYPE_CHECKING:
    from ignite.engine import Engine

F = TypeVar("F", bound=Callable[..., Any])
_OWN = __name__.split(".")[0]
_KERAS2 = ("optimizer", "loss", "metrics", "loss_weights", "sample_weight_mode", "weighted_metrics", "target_tensors")


def _positional(compile: F) -> F:
    """Decorator: positional arguments in the order of the chosen release; the signature shows that of tf.keras."""

    @functools.wraps(compile)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 4 and generations.choose("callbacks.positional") == "keras2":
            if len(args) > len(_KERAS2):
                raise TypeError(f"compile takes at most {len(_KERAS2)} positional arguments {_KERAS2}, but got {len(args)}.")
            kwargs = {**dict(zip(_KERAS2[4:], args[4:], strict=False)), **kwargs}
            args = args[:4]
        return compile(self, *args, **kwargs)

    return cast(F, wrapper)


class Compiling(Placed):
    """A network that can be compiled, built for data, and bound to its optimizer."""

    optimizer: Any
    history: Any = None
    stop_training: bool = False
    _compiled: Compiled | None = None
    _compile_arguments: dict[str, Any] | None = None
    _trained: Trainable | None = None
    _optimizer_held_all = False  # a torch optimizer that was made before some layers had weights holds all parameters there were
    _sample_weight_modes: Any = None
    _modes: Modes = Modes()
    _updates: Updates | None = None
    _scheduling: Scheduling | None = None

    @_positional
    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool | None = None,
        *,
        sample_weight_mode: Any = None,
        target_tensors: Any = None,
        device: Any = None,
        mixed_precision: Any = None,
        gradient_accumulation_steps: int = 1,
        jit_compile: bool | str | None = None,
        detect_anomaly: bool = False,
        lr_scheduler: Any = None,
        distribute: Any = None,
        **kwargs: Any,
    ) -> None:
        """Say how to train. Weights stay as they are; what is trainable now is what will be trained.

        Args:
            optimizer: Name, config, Keras optimizer, torch optimizer or torch.optim class.
            loss: Name, function of (y_true, y_pred), loss object or torch loss module; for several outputs a list or dict.
            metrics: List of names, functions or metric objects; for several outputs a list of lists or a dict.
            loss_weights: Factors of the outputs' losses, list or dict.
            weighted_metrics: Metrics that sample weights enter.
            run_eagerly: Accepted for Keras' sake: everything runs eagerly.
            sample_weight_mode: "temporal" where sample weights are given for each time step; for several outputs a list or dict.
            target_tensors: Refused: targets come with the data.
            device: Where to train; `None`: CUDA where there is one, else the CPU.
            mixed_precision: "mixed_bfloat16" or "mixed_float16": products and convolutions in half floats (torch.autocast). The loss scaling
                of float16 waits for the device once a step; bfloat16 needs none.
            gradient_accumulation_steps: Average the gradients of so many batches for one update. What is left at the end of an epoch makes
                one, too.
            jit_compile: Compile the steps by torch.compile: forward pass, loss, gradients and metrics in one graph, which the optimizer's fused
                kernel follows. "reduce-overhead" also captures them as CUDA graphs, one for each shape of a batch. Where compiling fails, the
                step runs as it is, with one warning. What callbacks change on layers (beside weights) takes effect in the next epoch.
            detect_anomaly: Look at the loss of each batch (which waits for the device); one that is not finite raises `NonFiniteLoss`, which
                names epoch, batch and the first layer, and changes no weight.
            lr_scheduler: A scheduler of torch.optim for the optimizer, or a function of the optimizer that makes one; stepped after each epoch,
                or after each update: `(scheduler, "batch")`.
            distribute: What several processes (torchrun) do: `None` or "ddp": each has all weights; "fsdp": each has a shard of the weights,
                of their gradients and of the optimizer's state, and a layer is gathered while it computes (torch's FSDP2).

        Raises:
            ValueError: an unknown optimizer, loss or metric.
        """
        modes = Modes.of(mixed_precision, gradient_accumulation_steps, jit_compile, detect_anomaly, lr_scheduler, distribute)
        _refuse(target_tensors, kwargs)
        chosen = optimizers.get(optimizer)
        names = self.output_names if self._record_ is not None else None
        arguments = {"loss": loss, "metrics": metrics, "loss_weights": loss_weights, "weighted_metrics": weighted_metrics}
        known = {word: with_values(self, given) for word, given in arguments.items()} if names else arguments
        compiled = Compiled(**known, names=names) if names else None  # type: ignore[arg-type]
        if names is None and not isinstance(loss, (list, tuple, Mapping)):
            Compiled(**arguments, names=["output_1"])  # raises now for what is unknown
        if names is not None:
            checks.modes_per_output(sample_weight_mode, names)
        self._sample_weight_modes = sample_weight_mode
        self._modes = modes
        self._updates = self._scheduling = None
        self._compiled = compiled
        self._compile_arguments = arguments
        self.optimizer = chosen
        self._optimizer_held_all = not self._is_built_deep() and holds_all(chosen, self)
        self.loss = loss
        self._device = torch.device(device) if device is not None else None
        self.run_eagerly = bool(run_eagerly)
        self._trained = Trainable(self) if self._is_built_deep() else None
        if compiled is not None:
            compiled.extras.update(self._tracked_metrics())
            self._resolve_early(compiled)

    def _resolve_early(self, compiled: Compiled) -> None:
        """In Keras 1 and 2 the loss tells what "accuracy" means, so that names and metrics are known at once."""
        compiled.plain = len(compiled.names) == 1
        if generations.choose("metric.class_mode") == "loss":
            shapes = self._output_shapes()
            compiled.resolve([None if one is None else shape for one, shape in zip(compiled.objectives, shapes, strict=True)], shapes)

    def _output_shapes(self) -> list[Any]:
        record = self._graph()
        return [record.infos[number].shape for number in record.output_numbers()]

    # -- weights that are shared out

    def get_weights(self) -> list[Any]:
        """Copies of all weights as NumPy arrays, in Keras' order and layout; of sharded weights gathered, so every process has to ask."""
        with whole_weights(self):
            return super().get_weights()

    def set_weights(self, weights: Any) -> None:
        """Write arrays in the order of `get_weights()`; all or none.

        Raises:
            ValueError: another number of arrays or another shape.
        """
        with whole_weights(self, changes=True):
            super().set_weights(weights)

    @property
    def weights_are_sharded(self) -> bool:
        """Whether each of several processes has a shard of every weight, by `compile(distribute="fsdp")`."""
        return is_sharded(self)

    # -- before the first batch

    def _need_compile(self, who: str) -> None:
        if self._compile_arguments is None:
            raise RuntimeError(f"You must compile your model before training/testing. Use `model.compile(optimizer, loss)` before {who}().")

    def _is_built_deep(self) -> bool:
        return self.built and (self._record_ is not None or all(layer.built for layer in self.sublayers() if layer is not self))

    def _build_for(self, x: Any) -> None:
        """Make the weights where that was not done, from some samples."""
        if not self._is_built_deep() and not self._computes_elsewhere():
            with torch.no_grad(), self.mode(False):
                self(map_leaves(lambda leaf: leaf[:1], x))

    def _computes_elsewhere(self) -> bool:
        """Whether the model has no `call` of its own, since its own step does all."""
        return self._record_ is None and type(self).call is Network.call

    def _ready(self, batch: Batch, who: str) -> Compiled:
        """Build, place, bind and settle: everything that waits for the first data."""
        x, y, _ = batch
        self._build_for(x)
        self._place()
        compiled = self._settle(x, y, who)
        if shard_weights(self) or self._trained is None:
            self._trained = Trainable(self)
        return compiled

    def _settle(self, x: Any, y: Any, who: str) -> Compiled:
        """The compiled losses and metrics; for a model without a graph its outputs are told by one try."""
        compiled = self._compiled
        if compiled is None or compiled.metrics is None:
            names, shapes = self._outputs_of(x)
            if compiled is None and self._own("train_step") and self._computes_elsewhere():
                compiled = self._compiled_for(names)  # its own step tells the outputs
            elif compiled is None:
                compiled = self._compiled_for(names)
                Door(self, who).check_targets(y)
            targets = as_list(y, compiled.names) if y is not None else [None] * len(names)
            if y is not None and len(targets) != len(compiled.names):
                raise ValueError(f"Model '{self.name}' has {len(names)} outputs ({', '.join(names)}), but y has {len(targets)} arrays.")
            if (y is not None or not compiled.needs_targets) and not self._computes_elsewhere():
                compiled.resolve([None if target is None else tuple(target.shape) for target in targets], shapes)
        compiled.to(self.device)
        return compiled

    def _compiled_for(self, names: list[str]) -> Compiled:
        """The compiled losses and metrics, made where the outputs were not known at compile."""
        if self._compiled is None:
            assert self._compile_arguments is not None
            compiled = self._compiled = Compiled(**self._compile_arguments, names=names)
            compiled.plain = names == ["output_1"]
            compiled.extras.update(self._tracked_metrics())
        return self._compiled

    def _tracked_metrics(self) -> dict[str, Any]:
        """Metric objects that are attributes of the model or its layers, by name; tf.keras shows them in the logs, too."""
        return {module.name: module for module in self.modules() if isinstance(module, Metric)}

    def _outputs_of(self, x: Any) -> tuple[list[str], list[Any]]:
        """Names and shapes of the outputs."""
        if self._record_ is not None:
            return self.output_names, self._output_shapes()
        if self._computes_elsewhere():
            return ["output_1"], [(None,)]
        with torch.no_grad(), self.mode(False):
            outputs = self(on_device(map_leaves(lambda leaf: leaf[:1], x), self.device))
        leaves = flatten(outputs)
        if isinstance(outputs, Mapping):
            names = list(outputs)
        else:
            names = [f"output_{number + 1}" for number in range(len(leaves))]
        return names, [tuple(leaf.shape) for leaf in leaves]

    def _bind(self) -> None:
        """Give the optimizer its parameters, and let just those collect gradients that were trainable at compile."""
        assert self._trained is not None
        self._trained.bind(self)
        if self._scheduling is None and self._modes.scheduler is not None and self._trained.parameters:
            self._scheduling = Scheduling(self._modes, self.optimizer)

    def _updates_now(self) -> Updates:
        """What gathers gradients from one call to the next."""
        if self._updates is None:
            by_batch = self._scheduling if self._modes.scheduler_unit == "batch" else None
            self._updates = Updates(self, by_batch)
        return self._updates

    def _epoch_trained(self) -> None:
        """The last batch of an epoch is done: use the gradients that were gathered but not used yet."""
        recheck(self)
        if self._updates is not None:
            self._updates.flush()

    def _epoch_logged(self, logs: dict[str, float]) -> None:
        """The values of an epoch are known: step the scheduler."""
        if self._scheduling is not None and self._modes.scheduler_unit == "epoch":
            self._scheduling.step(logs)

    # -- metrics

    @property
    def metrics(self) -> list[Any]:
        """tf.keras: the metric objects, those of the losses first. Keras 1 and 2: what `compile` was given."""
        if generations.choose("model.metrics") == "given":
            return (self._compile_arguments or {}).get("metrics") or []
        return self._compiled.objects() if self._compiled is not None else list(self._tracked_metrics().values())

    def reset_metrics(self) -> None:
        """Start the running values of losses and metrics anew."""
        if self._compiled is not None:
            self._compiled.reset()
        if type(self).metrics is not Compiling.metrics:  # a user's own list
            for metric in self.metrics:
                metric.reset_states()

    # -- steps

    def _own(self, name: str) -> Any:
        """A step that the user wrote, or `None`."""
        method = getattr(self, name, None)
        return None if method is None or getattr(method, "__module__", "").split(".")[0] == _OWN else method

    def _train_step(self) -> Step:
        self._bind()
        assert self._compiled is not None
        own = self._own("train_step")
        _refuse_own(self, own, "train_step")
        return make_train_step(self, self._compiled) if own is None else make_own_step(own, self._compiled)

    def _test_step(self) -> Step:
        assert self._compiled is not None
        own = self._own("test_step")
        _refuse_own(self, own, "test_step")
        return make_test_step(self, self._compiled) if own is None else make_own_step(own, self._compiled)

    def _predict_step(self, keep: Callable[[Any], Any]) -> Step:
        own = self._own("predict_step")
        predict = in_precision(by_shell(self, direct_call(self)) if own is None else own, self.device, self._modes.dtype)
        if self._modes.dtype is not None:
            return make_predict_step(predict, lambda output: keep(map_leaves(torch.Tensor.float, output)), packed=own is not None)
        return make_predict_step(predict, keep, packed=own is not None)

    # -- engines

    @property
    def _engines(self) -> Engines:
        return self.__dict__.setdefault("_engine_table", Engines())

    @property
    def trainer(self) -> Engine:
        """The Ignite engine that `fit` runs; handlers attached to it stay."""
        return self._engines.get_or_make("train")

    @property
    def evaluator(self) -> Engine:
        """The Ignite engine that `evaluate` and validation run."""
        return self._engines.get_or_make("test")

    @property
    def predictor(self) -> Engine:
        """The Ignite engine that `predict` runs."""
        return self._engines.get_or_make("predict")


def _refuse_own(model: Compiling, own: Any, name: str) -> None:
    """Raise for a user's own step where several processes train: its gradients and values would stay in its process."""
    if own is not None and several():
        raise ValueError(
            f"Model '{model.name}' has a {name} of its own, which several processes cannot share: it knows nothing of parts of a batch. "
            "Run it in one process, or describe the step by compile(loss=..., metrics=...)."
        )


def _refuse(target_tensors: Any, others: Mapping[str, Any]) -> None:
    """Raise for arguments of `compile` that have no meaning here."""
    if target_tensors is not None:
        raise ValueError("compile does not take target_tensors: there is no graph to put them into. Give the targets to fit() as y, or yield (x, y).")
    for name, value in others.items():
        if name in ("steps_per_execution", "experimental_steps_per_execution"):
            if value not in (None, 1):
                raise ValueError(f"compile got {name}={value!r}, but each step runs by itself here, and costs little. Leave it out.")
        elif name in ("cloning", "experimental_run_tf_function"):
            continue  # of TensorFlow's way to run a model, which is not here: their results were the same either way
        else:
            raise TypeError(f"compile got an unexpected keyword argument {name!r}.")


__all__ = ["Compiling", "Layer"]
