"""The state of a model and of what trains it, as plain data: what all processes share, and what each has for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchkeras.metrics import Mean, Metric
from torchkeras.metrics.variable import as_variable
from torchkeras.training.compiling import Compiling
from torchkeras.training.distributed import rank
from torchkeras.training.fully_sharded import is_sharded
from torchkeras.training.resuming.generators import own_states, set_own_states
from torchkeras.training.resuming.plain import from_plain, to_plain
from torchkeras.training.resuming.shards import like, local, put, sharded_optimizer, whole, whole_optimizer

if TYPE_CHECKING:
    from torchkeras.training.compiled import Compiled


def shared_state(model: Compiling) -> dict[str, Any] | None:
    """Weights, optimizer and scheduler, which are the same in all processes: in the first one. All must ask, since weights may be in shards."""
    optimizer, sharded, chief = model.optimizer, is_sharded(model), rank() == 0
    if not (chief or sharded):
        return None
    weights = []
    for name, parameter in model.named_parameters():  # one after the other: more than one need not fit
        value = whole(parameter.detach())
        weights.append((name, to_plain(value) if chief else None))
    state = optimizer.state_dict() if hasattr(optimizer, "param_groups") else None
    if state is not None and sharded:
        state = whole_optimizer(model, state)
    if not chief:
        return None
    for group in [] if state is None else state["param_groups"]:
        group.pop("param_names", None)  # another model of the same making may have other names
    scheduler = None if model._scheduling is None else model._scheduling.scheduler.state_dict()
    return {
        "weights": weights,
        "optimizer": to_plain(state, f"the state of {type(optimizer).__name__}"),
        "scheduler": to_plain(scheduler, "the state of the lr_scheduler"),
    }


def check_weights(model: Compiling, state: Mapping[str, Any]) -> None:
    """Compare a saved state with the model.

    Raises:
        ValueError: it is of a model with other weights.
    """
    mine = [(name, tuple(parameter.shape)) for name, parameter in model.named_parameters()]
    saved = [(name, tuple(value.shape)) for name, value in state["weights"]]
    if len(mine) != len(saved):
        raise ValueError(f"The saved state has {len(saved)} weights, but model '{model.name}' has {len(mine)}. It is of another model.")
    for (name, shape), (there, kept) in zip(mine, saved, strict=True):
        if shape != kept:
            raise ValueError(f"The saved state has the shape {kept} for weight '{there}', but '{name}' of model '{model.name}' has {shape}.")


def set_shared_state(model: Compiling, state: Mapping[str, Any]) -> None:
    """Put weights, optimizer and scheduler back. The optimizer must be bound."""
    check_weights(model, state)
    with torch.no_grad():
        for parameter, (_, value) in zip(model.parameters(), state["weights"], strict=True):
            put(parameter, value)
    if model._scheduling is not None and state["scheduler"] is not None:
        model._scheduling.scheduler.load_state_dict(from_plain(state["scheduler"]))
    if state["optimizer"] is not None and hasattr(model.optimizer, "param_groups"):
        own = from_plain(state["optimizer"])
        model.optimizer.load_state_dict(sharded_optimizer(model, own) if is_sharded(model) else own)


def local_state(model: Compiling) -> dict[str, Any]:
    """What each process has for itself: buffers, gradients that wait, the loss scale, generators of layers."""
    found: dict[str, Any] = {
        "modules": [_module_state(module) for module in _modules(model)],
        "gradients": [],
        "pending": 0,
        "scaler": None,
    }
    updates = model._updates
    if updates is not None:
        found["pending"] = updates.pending
        found["scaler"] = None if updates.scaler is None else to_plain(updates.scaler.state_dict())
        found["gradients"] = [to_plain(local(parameter.grad)) for parameter in updates.trained.parameters] if updates.pending else []
    return found


def set_local_state(model: Compiling, state: Mapping[str, Any]) -> None:
    """Put back what this process had."""
    modules = list(_modules(model))
    if len(modules) != len(state["modules"]):
        raise ValueError(
            f"The saved state is of {len(state['modules'])} modules, but model '{model.name}' has {len(modules)}. It is of another model."
        )
    for module, own in zip(modules, state["modules"], strict=True):
        _set_module(module, own)
    if model._modes.plain or model._trained is None:
        return
    updates = model._updates_now()
    updates.pending = state["pending"]
    if updates.scaler is not None and state["scaler"] is not None:
        updates.scaler.load_state_dict(from_plain(state["scaler"]))
    for number, parameter in enumerate(updates.trained.parameters):
        gradient = from_plain(state["gradients"][number]) if state["gradients"] else None
        parameter.grad = None if gradient is None else like(parameter, gradient)


def _modules(model: nn.Module) -> Iterator[nn.Module]:
    """The modules of a model; metrics, which may be made as late as in training, keep their own state."""
    return (module for module in model.modules() if not isinstance(module, Metric))


def _module_state(module: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {"buffers": {name: to_plain(buffer) for name, buffer in module._buffers.items()}}
    generators = own_states(module)
    if generators:
        found["generators"] = to_plain(generators)
    if "_just_reset" in module.__dict__:  # of a recurrent layer whose states were reset
        found["just_reset"] = module._just_reset
    return found


def _set_module(module: nn.Module, state: Mapping[str, Any]) -> None:
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    with torch.no_grad():
        for name, value in state["buffers"].items():
            there = module._buffers.get(name)
            if isinstance(there, Tensor) and value is not None and there.shape == value.shape and not there.is_inference():
                there.copy_(value)
            elif name in module._buffers:
                module._buffers[name] = None if value is None else value.to(device)
            else:  # made in training, as the states of a recurrent layer are
                module.register_buffer(name, None if value is None else value.to(device), persistent=False)
    for name in [name for name in module._buffers if name not in state["buffers"]]:
        del module._buffers[name]
        module._non_persistent_buffers_set.discard(name)
    set_own_states(module, from_plain(state.get("generators", {})))
    if "just_reset" in state:
        module._just_reset = state["just_reset"]


# -- running values


def metrics_of(model: Compiling, compiled: Compiled) -> list[Any]:
    """All metric objects of a model, each once: compiled ones, those of layers, and a user's own list."""
    found = {id(metric): metric for metric in (*compiled.objects(), *(module for module in model.modules() if isinstance(module, Metric)))}
    if type(model).metrics is not Compiling.metrics:
        found.update({id(metric): metric for metric in model.metrics})
    return [metric for metric in found.values() if isinstance(metric, Metric)]


def fits(model: Compiling, compiled: Compiled, state: Mapping[str, Any]) -> bool:
    """Whether running values are of as many metrics as there are."""
    return len(metrics_of(model, compiled)) == len(state["metrics"])


def running_state(model: Compiling, compiled: Compiled) -> dict[str, Any]:
    """The running values of losses and metrics."""
    return {
        "extras": list(compiled.extras),
        "metrics": [_metric_state(metric) for metric in metrics_of(model, compiled)],
        "own_logs": to_plain(compiled.own_logs, "what the train_step gave"),
    }


def set_running_state(model: Compiling, compiled: Compiled, state: Mapping[str, Any]) -> None:
    """Put the running values back.

    Raises:
        ValueError: they are of other metrics.
    """
    for name in state["extras"]:
        if name not in compiled.extras:  # a layer's, which reports it with its first batch
            compiled.extras[name] = Mean(name=name)
            compiled.extras[name].to(model.device)
    metrics = metrics_of(model, compiled)
    if not fits(model, compiled, state):
        raise ValueError(f"The saved state has {len(state['metrics'])} metrics, but model '{model.name}' has {len(metrics)} now.")
    for metric, own in zip(metrics, state["metrics"], strict=True):
        _set_metric(metric, own)
    compiled.own_logs = from_plain(state["own_logs"])


def _metric_state(metric: Metric) -> dict[str, Any]:
    # not by `variables`: a mean would add its count up another way
    found: dict[str, Any] = {"variables": {name: to_plain(metric._buffers[name]) for name in metric._variable_names}}
    if "_seen" in metric.__dict__:
        found["seen"] = metric.__dict__["_seen"]
    return found


def _set_metric(metric: Metric, state: Mapping[str, Any]) -> None:
    for name, value in state["variables"].items():
        if name not in metric._variable_names:  # of a shape that the first batch tells
            setattr(metric, name, metric.add_weight(name, tuple(value.shape), dtype=value.dtype))
        there = metric._buffers[name]
        if there is None or there.shape != value.shape:
            metric._buffers[name] = as_variable(value.to(metric._device))
        else:
            there.copy_(value)
    if "seen" in state:
        metric.__dict__["_seen"] = state["seen"]
