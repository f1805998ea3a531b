"""One batch of training, evaluation and prediction: closures with everything resolved before the first batch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchkeras import activations
from torchkeras.metrics.processes import several
from torchkeras.training.anomaly import check_loss
from torchkeras.training.compiled import Compiled, as_list, mask_of
from torchkeras.training.direct import direct_call
from torchkeras.training.extras import Extras, plus
from torchkeras.training.jit import Jitted, WholeStep
from torchkeras.training.parallel import shared_forward, shared_record, shared_test
from torchkeras.training.precision import in_precision
from torchkeras.utils.data_utils import pack_x_y_sample_weight

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling

Step = Callable[[Any, Any], Any]
Forward = Callable[[Any, Any, Any], tuple[Any, Tensor]]
Record = Callable[..., None]

_backward = Tensor.backward
_engine = getattr(torch.autograd.graph, "_engine_run_backward", None)
_set_recording = torch._C._set_grad_enabled  # a tenth of what torch.no_grad() costs


def run_backward(loss: Tensor) -> None:
    """`loss.backward()`, straight to torch's engine where that is all there is to it."""
    if type(loss) is not Tensor or _engine is None or Tensor.backward is not _backward:
        loss.backward()
    else:
        _engine((loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True)


def loss_function(compiled: Compiled) -> Callable[[Any, Any, Any], Tensor | None]:
    """The compiled loss of (targets, outputs, weights) in the form in which batches and models give them."""
    names, objective = compiled.names, compiled.objectives[0]
    if _is_single(compiled) and objective is not None:

        def single(y: Any, y_pred: Tensor, weight: Any) -> Tensor | None:
            return objective(y, y_pred, weight, mask_of(y, y_pred)) if y is not None else None

        return single

    def several(y: Any, y_pred: Any, weight: Any) -> Tensor | None:
        return compiled.loss(as_list(y, names), as_list(y_pred, names), as_list(weight, names))

    return several


def _is_single(compiled: Compiled) -> bool:
    """Whether the loss is that of one output, as it is."""
    return compiled.plain and len(compiled.names) == 1 and compiled.objectives[0] is not None and compiled.loss_weights[0] == 1.0


def forward_function(model: Compiling, compiled: Compiled, extras: Extras, penalty: Callable[[], Tensor | None]) -> Forward:
    """The function from a batch to the outputs and the whole loss."""
    loss_of = loss_function(compiled)
    call = model if model._modes.jit else direct_call(model)
    if not extras:

        def plain(x: Any, y: Any, weight: Any) -> tuple[Any, Tensor]:
            y_pred = call(x)
            loss = loss_of(y, y_pred, weight)
            return y_pred, loss if loss is not None else _no_loss(y_pred)

        return plain

    def forward(x: Any, y: Any, weight: Any) -> tuple[Any, Tensor]:
        extras.clear()
        y_pred = call(x)
        loss = plus(plus(loss_of(y, y_pred, weight), extras.of_calls()), penalty())
        return y_pred, loss if loss is not None else _no_loss(y_pred)

    return forward


def pure_forward(model: Compiling, compiled: Compiled, extras: Extras) -> Callable[[Any, Any, Any], tuple[Any, Tensor, list[Tensor | None]]]:
    """The function from a batch to the outputs, the whole loss, and each output's own, which remembers nothing. For layers that add no losses."""
    names = compiled.names
    single = loss_function(compiled) if _is_single(compiled) else None

    def pure(x: Any, y: Any, weight: Any) -> tuple[Any, Tensor, list[Tensor | None]]:
        y_pred = model(x)
        if single is not None:
            loss: Tensor | None = single(y, y_pred, weight)
            parts: list[Tensor | None] = []
        else:
            loss, parts = compiled.losses(as_list(y, names), as_list(y_pred, names), as_list(weight, names))
        loss = plus(loss, extras.of_weights())
        return y_pred, loss if loss is not None else _no_loss(y_pred), parts

    return pure


def _no_loss(y_pred: Any) -> Tensor:
    first = as_list(y_pred, list(y_pred) if isinstance(y_pred, dict) else ())[0]
    return torch.zeros((), device=first.device, requires_grad=first.requires_grad)


def record_function(compiled: Compiled, extras: Extras) -> Record:
    """The function that adds a batch to the running values; it waits for nothing. Gradients must be switched off."""
    names = compiled.names
    accumulate = compiled.loss_mean.accumulate
    reports = bool(extras.layers)
    watched = [one for found in compiled.metrics or () for one in found]
    updates = [metric.update_state for _, metric, _ in watched]

    def plain(loss: Tensor, y: Any, y_pred: Tensor, weight: Any, tallies: Any = None) -> None:
        if tallies is None and (weight is not None or loss.dim() or mask_of(y, y_pred) is not None):
            general(loss, y, y_pred, weight)
            return
        count = y_pred.shape[0]
        compiled.last = loss
        accumulate(loss, count, count)
        if tallies is not None:
            compiled.tallied(tallies)
        else:
            for update in updates:
                update(y, y_pred)
        if reports:
            extras.report(compiled)

    def general(loss: Tensor, y: Any, y_pred: Any, weight: Any, tallies: Any = None) -> None:
        if tallies is not None:
            compiled.update_losses(loss, as_list(y_pred, names)[0].shape[0])
            compiled.tallied(tallies)
        else:
            compiled.update(loss, as_list(y, names), as_list(y_pred, names), as_list(weight, names))
        if reports:
            extras.report(compiled)

    return plain if compiled.plain and len(names) == 1 else general


def _check_step(optimizer: Any) -> None:
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"{type(optimizer).__name__} computes the loss several times in a step, which fit() does not offer. Write train_step() with "
            "optimizer.step(closure), or choose another optimizer."
        )


def make_train_step(model: Compiling, compiled: Compiled) -> Step:
    """The function that trains on one batch: forward, loss, backward, update; it waits for nothing."""
    trained, optimizer, modes = model._trained, model.optimizer, model._modes
    assert trained is not None
    _check_step(optimizer)
    extras = Extras(model, trained)
    forward = in_precision(forward_function(model, compiled, extras, extras.of_weights), model.device, modes.dtype)
    record = shared_record(record_function(compiled, extras), compiled)
    parameters = trained.parameters
    whole: WholeStep | None = None
    if modes.jit:
        direct = not extras.layers and modes.plain and not modes.anomaly and not several()
        key = (compiled, tuple(parameters), model.device, bool(extras.layers))
        if parameters and WholeStep.fits(model, direct):
            pure = in_precision(pure_forward(model, compiled, extras), model.device, modes.dtype)
            whole = kept(model, "jit_whole", key, functools.partial(WholeStep, model, forward, pure, compiled, parameters, modes.jit))
            whole.recheck()
        else:
            forward = kept(model, "jit_train", key, functools.partial(Jitted, forward, model.name, modes.jit))
    if not parameters:
        return _step_without_weights(shared_test(model, forward), record)
    updates = None if modes.plain else model._updates_now()
    forward = shared_forward(model, compiled, forward, updates)
    optimizer_step = optimizer.step if trained.shards is None else trained.shards.stepping(optimizer.step)
    constrain = trained.apply_constraints if trained.constraints else None
    if updates is None or not updates.pending:
        for parameter in parameters:
            parameter.grad = None

    def step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, weight = batch
        y_pred, loss = forward(x, y, weight)
        run_backward(loss if loss.dim() == 0 else loss.sum())
        _set_recording(False)
        try:
            optimizer_step()
            for parameter in parameters:
                parameter.grad = None
            if constrain is not None:
                constrain()
            loss = loss.detach()
            record(loss, y, y_pred, weight)
        finally:
            _set_recording(True)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    def careful_step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, weight = batch
        y_pred, loss = forward(x, y, weight)
        if modes.anomaly:
            check_loss(model, engine, x, loss)
        whole = loss if loss.dim() == 0 else loss.sum()
        with torch.no_grad():
            if updates is None:
                whole.backward()
                optimizer_step()
                for parameter in parameters:
                    parameter.grad = None
                if constrain is not None:
                    constrain()
            else:
                with torch.enable_grad():
                    updates.backward(whole)
                updates.apply()
            loss = loss.detach()
            record(loss, y, y_pred, weight)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    def compiled_step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, weight = batch
        _set_recording(False)
        try:
            y_pred, loss, tallies = whole(x, y, weight)  # type: ignore[misc]
            optimizer_step()
            for parameter in parameters:
                parameter.grad = None
            if constrain is not None:
                constrain()
            record(loss, y, y_pred, weight, tallies)
        finally:
            _set_recording(True)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    if whole is not None:
        return compiled_step
    return careful_step if updates is not None or modes.anomaly else step


def kept(model: Compiling, name: str, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What was compiled for an earlier call of `fit` or `evaluate`, where it still fits; else made anew."""
    steps = model._engines.steps
    if name not in steps or not _same(steps[name][0], key):
        steps[name] = key, make()
    return steps[name][1]


def recheck(model: Compiling) -> None:
    """An epoch begins: what callbacks changed on layers takes effect in compiled steps."""
    if "jit_whole" in model._engines.steps:
        model._engines.steps["jit_whole"][1].recheck()


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether keys hold the same things; tensors are not compared by value."""
    return len(one) == len(other) and all(
        _same(mine, theirs)
        if isinstance(mine, tuple) and isinstance(theirs, tuple)
        else mine is theirs or (not isinstance(mine, Tensor) and mine == theirs)
        for mine, theirs in zip(one, other, strict=True)
    )


def _step_without_weights(forward: Forward, record: Record) -> Step:
    """A training step where nothing is to be trained: only losses and metrics."""

    def step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, weight = batch
        with torch.no_grad():
            y_pred, loss = forward(x, y, weight)
            record(loss, y, y_pred, weight)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    return step


def make_test_step(model: Compiling, compiled: Compiled) -> Step:
    """The function that evaluates one batch. Made anew for each evaluation: the penalty of the weights is worked out once."""
    trained = model._trained
    assert trained is not None
    extras = Extras(model, trained)
    with torch.no_grad():
        penalty = extras.of_weights()
    forward = in_precision(forward_function(model, compiled, extras, lambda: penalty), model.device, model._modes.dtype)
    if model._modes.jit:
        key = (compiled, model.device, bool(extras.layers), penalty)
        forward = kept(model, "jit_test", key, functools.partial(Jitted, forward, model.name, model._modes.jit))
    forward = shared_test(model, forward)
    record = shared_record(record_function(compiled, extras), compiled)

    def step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, weight = batch
        with activations.leaving_logits():
            y_pred, loss = forward(x, y, weight)
            record(loss, y, y_pred, weight)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    return step


def make_predict_step(predict: Callable[[Any], Any], keep: Callable[[Any], Any], packed: bool = False) -> Step:
    """The function that predicts one batch and hands its outputs to `keep`.

    Args:
        predict: The model, or a user's own step.
        keep: What to do with the outputs.
        packed: Whether `predict` takes what the data gives instead of the inputs.
    """

    def step(engine: Any, batch: Any) -> Any:
        output = predict(pack_x_y_sample_weight(*batch) if packed else batch[0])
        keep(output)
        return output

    return step


def make_own_step(own: Callable[[Any], Any], compiled: Compiled) -> Step:
    """A user's own step, which takes what the data gives and returns values for the logs."""

    def step(engine: Any, batch: Any) -> Any:
        logs = own(pack_x_y_sample_weight(*batch))
        if not isinstance(logs, Mapping):
            raise TypeError(f"{own.__qualname__} must return a dict of values for the logs, but gave {type(logs).__name__}.")
        compiled.own_logs = dict(logs)
        return logs

    return step
