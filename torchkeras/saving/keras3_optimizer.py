"""Optimizers of Keras 3: their configs, and their variables in its order.

Its list starts with the count of updates and the rate; then come the states, parameter by parameter where an optimizer makes several at once.

Source: Keras 3.15.1 `keras.src.optimizers`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from torchkeras.optimizers import Optimizer
from torchkeras.optimizers.rates import InverseTimeDecay, LearningRateSchedule
from torchkeras.optimizers.state_list import Entry, own_entries, read
from torchkeras.saving.errors import ContentError
from torchkeras.saving.training_config import bind_optimizer, load_optimizer_weights

Array = np.ndarray[Any, Any]

# Class -> the slots of each run through the parameters.
_RUNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "SGD": (("momentum",),),
    "RMSprop": (("rms",), ("momentum",), ("mg",)),
    "Adagrad": (("accumulator",),),
    "Adadelta": (("accum_grad", "accum_var"),),
    "Adam": (("m", "v"), ("vhat",)),
    "Adamax": (("m", "v"),),
    "Nadam": (("m", "v"),),
    "Ftrl": (("accumulator", "linear"),),
}
_ARGUMENTS = ("learning_rate", "clipnorm", "clipvalue", "global_clipnorm")
_OWN_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "SGD": ("momentum", "nesterov"),
    "RMSprop": ("rho", "momentum", "epsilon", "centered"),
    "Adagrad": ("initial_accumulator_value", "epsilon"),
    "Adadelta": ("rho", "epsilon"),
    "Adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "Adamax": ("beta_1", "beta_2", "epsilon"),
    "Nadam": ("beta_1", "beta_2", "epsilon"),
    "Ftrl": ("learning_rate_power", "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength", "beta"),
}


def _order(optimizer: Optimizer) -> list[tuple[str, Any]]:
    """(slot, parameter) for all states, in Keras 3's order."""
    kind = type(optimizer).__name__
    if kind not in _RUNS:
        raise ContentError(f"{kind} is no optimizer of Keras 3")
    params = [(param, optimizer.state_keys(group)) for group in optimizer.param_groups for param in group["params"]]
    return [(slot, param) for run in _RUNS[kind] for param, keys in params for slot in run if slot in keys]


def from_keras3(optimizer: Optimizer, values: Sequence[Array]) -> list[Array]:
    """The list that `optimizer.set_weights` takes, of Keras 3's list.

    Args:
        optimizer: The optimizer, bound.
        values: The variables in the file.

    Raises:
        ContentError: their number does not fit.
    """
    order = _order(optimizer)
    last = 1 if type(optimizer).__name__ == "Nadam" else 0  # the product of its momenta
    head = len(values) - len(order) - last
    if head not in (1, 2) or np.size(values[0]) != 1:
        raise ContentError(f"it has {len(values)} variables, but {type(optimizer).__name__} needs {len(order) + last} and a count of updates here")
    states = {(slot, id(param)): value for (slot, param), value in zip(order, values[head:], strict=False)}
    numbers: dict[str, Array] = {"iterations": np.asarray(values[0]).reshape(()).astype(np.int64)}
    if last:
        numbers["momentum_cache"] = np.asarray(values[-1], np.float32).reshape(())
    return [_value(optimizer, entry, numbers, states) for entry in own_entries(optimizer)]


def _value(optimizer: Optimizer, entry: Entry, numbers: Mapping[str, Array], states: Mapping[tuple[str, int], Array]) -> Array:
    if entry.param is None:
        return numbers[entry.slot] if entry.slot in numbers else np.asarray(read(optimizer, entry))
    if entry.key is None:
        return np.zeros(1, np.float32)
    return states[entry.slot, id(entry.param)]


def to_keras3(optimizer: Optimizer) -> list[Array]:
    """The optimizer's state as Keras 3's list.

    Raises:
        ContentError: Keras 3 has no such optimizer.
    """
    order = _order(optimizer)
    scheduled = isinstance(optimizer.learning_rate, LearningRateSchedule) or optimizer.decay
    rate = [] if scheduled else [np.asarray(float(optimizer.learning_rate), np.float32)]
    found: list[Array] = [np.asarray(int(optimizer.iterations), np.int64), *rate]
    for slot, param in order:
        group = next(group for group in optimizer.param_groups if any(param is one for one in group["params"]))
        tensor = read(optimizer, Entry(slot, param, optimizer.state_keys(group)[slot])).detach().cpu()
        found.append((tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy())
    if type(optimizer).__name__ == "Nadam":
        found.append(np.asarray(optimizer.param_groups[0]["momentum_cache"], np.float32))
    return found


def keras3_config(optimizer: Optimizer, plain: Any) -> dict[str, Any]:
    """The config of an optimizer as Keras 3 reads it.

    Args:
        optimizer: The optimizer.
        plain: Turns a schedule into its config.

    Raises:
        ContentError: Keras 3 has no such optimizer, or not with these arguments.
    """
    kind = type(optimizer).__name__
    if kind not in _OWN_ARGUMENTS:
        raise ContentError(f"{kind} is no optimizer of Keras 3")
    config: dict[str, Any] = {"name": optimizer.name.lower()}
    for key in (*_ARGUMENTS, *_OWN_ARGUMENTS[kind]):
        value = getattr(optimizer, key, None)
        config[key] = plain(value) if isinstance(value, LearningRateSchedule) else float(value) if isinstance(value, float) else value
    if optimizer.decay:
        config["learning_rate"] = plain(_decaying(optimizer))
    found = {key: value for key, value in config.items() if value is not None or key in _ARGUMENTS[1:]}
    if kind == "Nadam" and optimizer.schedule_decay != 1.0:  # type: ignore[attr-defined]
        warnings.warn("Nadam of Keras 3 raises its momentum faster than this one, so training goes on with other numbers there.", stacklevel=6)
    elif kind == "Nadam":
        found["weight_decay"] = None  # by which a config of Keras 3's own Nadam is known when it is read again
    return found


def _decaying(optimizer: Optimizer) -> InverseTimeDecay:
    """The schedule that does what `decay` does, which Keras 3 has not.

    Raises:
        ContentError: the rate follows a schedule already.
    """
    if isinstance(optimizer.learning_rate, LearningRateSchedule):
        raise ContentError(f"{type(optimizer).__name__} with both a schedule and decay={float(optimizer.decay)} is not in Keras 3")
    return InverseTimeDecay(float(optimizer.learning_rate), decay_steps=1, decay_rate=float(optimizer.decay))


def load_optimizer_list(model: Any, values: list[Array], who: str) -> None:
    """Write Keras 3's list of variables into the model's optimizer; where it does not fit, the optimizer starts anew, with a warning."""
    try:
        bind_optimizer(model)
        values = from_keras3(model.optimizer, values)
    except (ContentError, AttributeError, IndexError, ValueError) as error:
        warnings.warn(f"The state of the optimizer in {who} does not fit, so the optimizer starts anew: {error}", stacklevel=4)
        return
    load_optimizer_weights(model, values, who)
