"""Compile arguments and the state of the optimizer to and from files.

Source: `keras.engine.saving` of Keras 2.2.4, `saving_utils.model_metadata` of tf.keras 2.4.0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from torchkeras import generations, losses, metrics, optimizers
from torchkeras.registry import custom_object_scope
from torchkeras.saving.config import admit
from torchkeras.saving.errors import ConfigError, LimitError
from torchkeras.saving.hdf5_arrays import SafeArray
from torchkeras.saving.keras3_config import keras2_form

# Names whose meaning the outputs and the loss decide; they stay names.
_BY_OUTPUT = ("accuracy", "acc", "crossentropy", "ce")
_STATES = 4  # more than any optimizer keeps for each weight
_SINGLE = (str, int, float, type(None))


def compile_config(model: Any, optimizer_config: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The compile arguments of a model as plain data, in the form of the chosen release; `None` where it was not compiled.

    Args:
        model: The model.
        optimizer_config: In place of the optimizer's own config.

    Raises:
        ValueError: an optimizer, loss or metric that has neither a config nor a name.
    """
    given = model._compile_arguments
    if given is None:
        return None
    found = {"loss": plain_structure(given["loss"], losses.serialize), "metrics": plain_structure(given["metrics"], metrics.serialize)}
    optimizer = {"optimizer_config": optimizer_config or optimizers.serialize(model.optimizer)}
    weighted = {"weighted_metrics": plain_structure(given["weighted_metrics"], metrics.serialize)}
    loss_weights = {"loss_weights": given["loss_weights"]}
    if generations.keras_version() == "2.4.0":
        return {**found, **weighted, **loss_weights, **optimizer}
    # Keras 2.2.4 forgets weighted metrics in files, but reads past what it does not know
    extra = weighted if given["weighted_metrics"] else {}
    return {**optimizer, **found, "sample_weight_mode": model._sample_weight_modes, **loss_weights, **extra}


def plain_structure(structure: Any, serialize: Callable[[Any], Any]) -> Any:
    """A loss or metric, or lists and dicts of them, by names and configs."""
    if isinstance(structure, _SINGLE):
        return structure
    if isinstance(structure, Mapping) and "class_name" not in structure:
        return {name: plain_structure(part, serialize) for name, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [plain_structure(part, serialize) for part in structure]
    return serialize(structure)


def compile_from(model: Any, config: Any, custom_objects: Mapping[str, Any] | None, safe_mode: bool | None, who: str) -> None:
    """Compile a model as a file says.

    Args:
        model: The model.
        config: `training_config` of an HDF5 file, or `compile_config` of a `.keras` file.
        custom_objects: The caller's own losses, metrics and optimizers by name.
        safe_mode: `False` also takes code out of the config; unset means `True`.
        who: The file, for messages.

    Raises:
        ConfigError: it names something unknown, or is not of the form of compile arguments.
    """
    config = keras2_form(admit(config, custom_objects, safe_mode), custom_objects or {})
    if not isinstance(config, Mapping) or not ("optimizer_config" in config or "optimizer" in config):
        raise ConfigError(f"{who} should have a dict with 'optimizer_config', 'loss' and 'metrics' as compile arguments, but has {config!r:.80}.")
    # tf.keras makes functions of the metrics' names, by which the logs then call them
    by_function = generations.keras_version() == "2.4.0"
    try:
        with custom_object_scope(custom_objects or {}):
            found = {key: _objects(config.get(key), metrics.get, by_function) for key in ("metrics", "weighted_metrics")}
            model.compile(
                optimizer=_optimizer(config.get("optimizer_config", config.get("optimizer")), custom_objects),
                loss=_objects(config.get("loss"), losses.get, False),
                loss_weights=config.get("loss_weights"),
                sample_weight_mode=config.get("sample_weight_mode"),
                **found,
            )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{who} was compiled with something that cannot be made here: {error} Load with compile=False to go without, and compile it yourself."
        ) from error


def _objects(structure: Any, get: Callable[[Any], Any], always: bool) -> Any:
    """Losses or metrics of a file; names of the library's own stay names, unless `always`."""
    if isinstance(structure, str) and structure not in _BY_OUTPUT:
        found = get(structure)  # the caller's own objects are known by name inside their scope only, so now
        return structure if not always and getattr(found, "__module__", "").partition(".")[0] == "torchkeras" else found
    if isinstance(structure, _SINGLE):
        return structure
    if isinstance(structure, Mapping) and "class_name" not in structure:
        return {name: _objects(part, get, always) for name, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_objects(part, get, always) for part in structure]
    return get(structure)


def _optimizer(config: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    if not isinstance(config, Mapping):
        return optimizers.get(config)
    return optimizers.deserialize(config, custom_objects)


def read_states(arrays: Sequence[SafeArray], model: Any) -> list[np.ndarray[Any, Any]]:
    """The arrays of an optimizer, once it is known that they are of a size that optimizers of the model have.

    Args:
        arrays: What the file has, not yet read.
        model: The model.

    Raises:
        LimitError: they declare far more numbers than the model has.
    """
    numbers = sum(math.prod(weight.shape) for weight in model.weights)
    most = _STATES * numbers + 1024 + 16 * len(arrays)
    sizes = sum(array.size for array in arrays)
    if sizes > most:
        largest = max(arrays, key=lambda array: array.size)
        raise LimitError(
            f"{largest.source.name}: the state of the optimizer declares {sizes:,} numbers ({largest.path} alone the shape {largest.shape}), but the "
            f"model has {numbers:,} weights; it was not read. Load with compile=False to go without it."
        )
    return [array.read(array.shape) for array in arrays]


def bind_optimizer(model: Any) -> None:
    """Give the optimizer the model's parameters, as the first training step does, so that it can take its state."""
    if model._trained is not None:
        model._bind()


def load_optimizer_weights(model: Any, values: Sequence[np.ndarray[Any, Any]], who: str) -> bool:
    """Write a list of a file into the model's optimizer; where it does not fit, the optimizer starts anew, with a warning.

    Returns:
        Whether it fitted.
    """
    try:
        bind_optimizer(model)
        model.optimizer.set_weights(list(values))
    except (ValueError, AttributeError, TypeError, RuntimeError) as error:
        warnings.warn(f"The state of the optimizer in {who} does not fit, so the optimizer starts anew: {error}", stacklevel=3)
        return False
    return True
