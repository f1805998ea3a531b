"""Layers from configs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from torchkeras.layers.base import layer_registry
from torchkeras.layers.config import prepared
from torchkeras.registry import custom_object_scope, deserialize_object, get_registered_name

layer_registry.later("torchkeras.models", "Functional", "Model", "Sequential")


def serialize(layer: nn.Module) -> dict[str, Any]:
    """`{"class_name": ..., "config": ...}` of a layer.

    Raises:
        ValueError: a raw nn.Module, which has no config.
    """
    if not hasattr(layer, "get_config"):
        raise ValueError(
            f"{type(layer).__name__} is a raw nn.Module without get_config(), so it cannot be written to a config. Save its state_dict instead."
        )
    name = getattr(layer, "config_class_name", None)  # where the releases call one class by several names
    return {"class_name": name or get_registered_name(type(layer)), "config": layer.get_config()}  # type: ignore[operator]


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None) -> Any:
    """The layer or model that a config describes, once it has passed the gate that files pass.

    Args:
        config: `{"class_name": ..., "config": ...}` of any release, or a class name.
        custom_objects: The caller's own classes and functions by name.
        safe_mode: `False` also takes a Lambda's code out of the config, which then can do anything; unset means `True`.

    Raises:
        UnsafeConfigError: the config brings code, or names an object that is neither the library's nor the caller's.
        ValueError: a class that is neither the library's nor the caller's.
    """
    with custom_object_scope(custom_objects or {}):
        if not isinstance(config, Mapping):
            return deserialize_object(config, layer_registry, custom_objects)
        with prepared(config, custom_objects, safe_mode) as ready:
            return deserialize_object(ready, layer_registry, custom_objects)
