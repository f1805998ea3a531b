"""Optimizers by name, config, class or instance."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import torch

from torchkeras.optimizers.adagrad import Adadelta, Adagrad
from torchkeras.optimizers.adam import Adam, Adamax
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.ftrl import Ftrl
from torchkeras.optimizers.nadam import Nadam
from torchkeras.optimizers.native import TorchOptimizer
from torchkeras.optimizers.rmsprop import RMSprop
from torchkeras.optimizers.sgd import SGD
from torchkeras.registry import Registry, deserialize_object, serialize_object

OPTIMIZERS = Registry("optimizer")
for _class in (SGD, RMSprop, Adagrad, Adadelta, Adam, Adamax, Nadam, Ftrl, TorchOptimizer):
    OPTIMIZERS.alias(_class.__name__.lower(), _class)
OPTIMIZERS.alias("tfoptimizer", TorchOptimizer)

AnyOptimizer = Optimizer | TorchOptimizer | torch.optim.Optimizer


def serialize(optimizer: AnyOptimizer) -> dict[str, Any]:
    """The config of an optimizer: its class's name and its hyper-parameters."""
    return serialize_object(optimizer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer of a config, not yet bound to parameters.

    Args:
        config: `{"class_name", "config"}`; the library's own class names in any case of letters.
        custom_objects: The caller's own classes by name.

    Raises:
        ValueError: an unknown class name.
    """
    name = config.get("class_name")
    if isinstance(name, str) and name not in (custom_objects or {}) and name.lower() in OPTIMIZERS:
        config = {**config, "class_name": name.lower()}
    return deserialize_object(config, OPTIMIZERS, custom_objects)


def get(identifier: Any) -> Any:
    """The optimizer that something stands for.

    Args:
        identifier: A name ("adam"), a config, a Keras or torch optimizer (given back as it is), a class of either, or a function of
            the parameters that makes a torch optimizer, such as a `functools.partial` of a class. What is not yet a torch optimizer
            has `bind(parameters)`, which returns one.

    Raises:
        ValueError: nothing of these.
    """
    if isinstance(identifier, (torch.optim.Optimizer, TorchOptimizer)):
        return identifier
    if isinstance(identifier, str):
        return deserialize({"class_name": identifier, "config": {}})
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, torch.optim.Optimizer):
        made: Any = identifier
        return made() if issubclass(identifier, Optimizer) else TorchOptimizer(identifier)
    if isinstance(identifier, (functools.partial, types.FunctionType)):
        return TorchOptimizer(identifier)
    raise ValueError(
        f"Could not read {identifier!r} as an optimizer: give a name such as 'adam', a config, an optimizer of torchkeras.optimizers or "
        "torch.optim, or its class."
    )
