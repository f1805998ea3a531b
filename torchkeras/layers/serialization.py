"""Layers from configs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from torchkeras.layers.base import layer_registry
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


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer or model that a config describes.

    Args:
        config: `{"class_name": ..., "config": ...}`, or a class name.
        custom_objects: The caller's own classes and functions by name.

    Raises:
        ValueError: a class that is neither the library's nor the caller's.
    """
    with custom_object_scope(custom_objects or {}):
        return deserialize_object(config, layer_registry, custom_objects)
