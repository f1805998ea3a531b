"""Losses by name, config or object."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torchkeras.generations import choose
from torchkeras.losses import classes
from torchkeras.losses.base import Loss, LossFunction, LossFunctionWrapper
from torchkeras.losses.crossentropy import binary_crossentropy, categorical_crossentropy, kl_divergence, sparse_categorical_crossentropy
from torchkeras.losses.external import TorchLoss, from_torch, is_torch_loss
from torchkeras.losses.margin import categorical_hinge, hinge, squared_hinge
from torchkeras.losses.regression import (
    cosine_proximity,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)
from torchkeras.registry import Registry, deserialize_object, serialize_object

LOSSES = Registry("loss function")

# Functions and every other name that some release knows them by.
FUNCTIONS: dict[LossFunction, tuple[str, ...]] = {
    mean_squared_error: ("mse", "MSE"),
    mean_absolute_error: ("mae", "MAE"),
    mean_absolute_percentage_error: ("mape", "MAPE"),
    mean_squared_logarithmic_error: ("msle", "MSLE"),
    kl_divergence: ("kld", "KLD", "kullback_leibler_divergence"),
    binary_crossentropy: ("bce", "BCE"),
    log_cosh: ("logcosh",),
    huber: ("huber_loss",),
    cosine_proximity: ("cosine",),
    cosine_similarity: (),
    categorical_crossentropy: (),
    sparse_categorical_crossentropy: (),
    hinge: (),
    squared_hinge: (),
    categorical_hinge: (),
    poisson: (),
}
for _function, _aliases in FUNCTIONS.items():
    LOSSES.add(*_aliases)(_function)
for _name, _class in vars(classes).items():
    if inspect.isclass(_class) and issubclass(_class, Loss) and _class is not LossFunctionWrapper:
        LOSSES.alias(_name, _class)
for _class in (LossFunctionWrapper, TorchLoss):
    LOSSES.alias(_class.__name__, _class)

_NAMED_BY_RELEASE = {kl_divergence: "name.kl_divergence", log_cosh: "name.log_cosh"}


def function_name(function: Any) -> str:
    """The name that the chosen release gives a loss or metric function."""
    row = _NAMED_BY_RELEASE.get(function) if inspect.isfunction(function) else None
    if row:
        return choose(row)
    return getattr(function, "__name__", None) or type(function).__name__


def get(identifier: Any) -> Any:
    """The loss that a name, a config or an object stands for.

    Args:
        identifier: `None`; a name or alias of a function ("mse") or a class ("MeanSquaredError"); a config
            `{"class_name", "config"}`; a function of (y_true, y_pred); a `Loss`; or a PyTorch loss, see `from_torch`.

    Returns:
        A function, a `Loss`, or `None`.

    Raises:
        ValueError: an unknown name, or a thing that is no loss.
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, (str, Mapping)):
        return deserialize(identifier)
    if is_torch_loss(identifier):
        return from_torch(identifier)
    if inspect.isclass(identifier) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not read {identifier!r} as a loss: give a name, a config, a function of (y_true, y_pred), a Loss or a PyTorch loss.")


def serialize(loss: Any) -> Any:
    """Name or config of a loss, as the chosen release writes it.

    Raises:
        ValueError: a loss without a name or config.
    """
    if inspect.isfunction(loss) and loss in _NAMED_BY_RELEASE:
        return function_name(loss)
    config = serialize_object(loss)
    if isinstance(config, dict) and callable(config.get("config", {}).get("fn")):
        config["config"]["fn"] = serialize(config["config"]["fn"])
    return config


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss of a name or config.

    Args:
        name: What `serialize` gave.
        custom_objects: The caller's own losses by name.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(name, Mapping) and name.get("class_name") == LossFunctionWrapper.__name__:
        config = dict(name.get("config") or {})
        return LossFunctionWrapper(deserialize(config.pop("fn"), custom_objects), **config)
    return deserialize_object(name, LOSSES, custom_objects)
