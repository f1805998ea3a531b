"""Configs of layers: the arguments of `__init__` as plain data, in the form of the chosen Keras release."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras import activations, constraints, generations, initializers, regularizers
from torchkeras.registry import above, serialize_object

if TYPE_CHECKING:
    from torchkeras.layers.base import Layer

# The gate: a config that has not passed it yet does before an object is made of it.
admitted = above("torchkeras.saving.model_config", "admitted")
prepared = above("torchkeras.saving.model_config", "prepared")

_SERIALIZERS = {
    "activation": activations.serialize,
    "initializer": initializers.serialize,
    "regularizer": regularizers.serialize,
    "constraint": constraints.serialize,
}


def base_config(layer: Layer) -> dict[str, Any]:
    """What every layer's config has: name, trainable, the shape it was given, dtype."""
    config: dict[str, Any] = {"name": layer.name, "trainable": layer.trainable}
    if layer._batch_input_shape is not None:
        config["batch_input_shape"] = layer._batch_input_shape
    if layer._batch_input_shape is not None or generations.choose("config.always_dtype"):
        config["dtype"] = layer.dtype
    return config


def signature_config(layer: Layer) -> dict[str, Any]:
    """The arguments of the class's own `__init__`, read from the attributes of the same names.

    Raises:
        NotImplementedError: an argument was not kept as an attribute.
    """
    config = {}
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name in ("self", "trainable", "name", "dtype", "dynamic", *layer.config_omits) or parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL or not hasattr(layer, name):
            raise NotImplementedError(
                f"Layer '{layer.name}' ({type(layer).__name__}) keeps no attribute '{name}' for that argument, so its config cannot be made. "
                "Store the argument, or write get_config()."
            )
        config[name] = plain_value(name, getattr(layer, name))
    return config


def plain_value(name: str, value: Any) -> Any:
    """An argument's value as plain data."""
    for ending, serialize in _SERIALIZERS.items():
        if name.endswith(ending):
            return serialize(value)
    if isinstance(value, (list, tuple)):
        return type(value)(plain_value("", part) for part in value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str, dict)):
        return value
    return serialize_object(value)
