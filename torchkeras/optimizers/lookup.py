"""Optimizers by name, config, class or instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from torchkeras.optimizers.adam import Adam
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.rmsprop import RMSprop
from torchkeras.optimizers.sgd import SGD
from torchkeras.registry import Registry, deserialize_object, serialize_object

OPTIMIZERS = Registry("optimizer")
for _class in (SGD, RMSprop, Adam):
    OPTIMIZERS.add(_class.__name__.lower())(_class)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The config of an optimizer: its class's name and its hyper-parameters."""
    return serialize_object(optimizer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """The optimizer of a config.

    Raises:
        ValueError: an unknown class name.
    """
    name = config.get("class_name", "")
    if name not in (custom_objects or {}) and str(name).lower() in OPTIMIZERS:
        config = {**config, "class_name": str(name).lower()}
    return deserialize_object(config, OPTIMIZERS, custom_objects)


def get(identifier: Any) -> torch.optim.Optimizer:
    """The optimizer that a name, a config, a class or an instance stands for.

    Raises:
        ValueError: nothing of these.
    """
    if isinstance(identifier, torch.optim.Optimizer):
        return identifier
    if isinstance(identifier, str):
        return deserialize({"class_name": identifier, "config": {}})
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    raise ValueError(f"Could not read {identifier!r} as an optimizer: give a name, a config, a class or an optimizer.")
