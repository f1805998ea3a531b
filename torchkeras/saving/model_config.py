"""Architectures to and from plain data and JSON: the one way from a config to a model, whatever file it stood in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

from torchkeras import generations
from torchkeras.layers.room import room_for
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.registry import get_custom_objects, serialize_object
from torchkeras.saving.config import admit, parse_json
from torchkeras.saving.errors import ConfigError, FileError, LimitError
from torchkeras.saving.keras1_config import keras2_model
from torchkeras.saving.keras3_config import is_keras3, keras2_form
from torchkeras.saving.limits import limits
from torchkeras.saving.releases import OWN_RELEASE, following, form_of, release_of_model

# What layers raise at arguments that no program gives them.
_STUMBLES = (LookupError, AttributeError, TypeError, ArithmeticError, RuntimeError, MemoryError, AssertionError)
_TABLES = 1_000_000  # numbers that layers may keep besides what files hold of them

_admitted: ContextVar[bool] = ContextVar("torchkeras_config_admitted", default=False)


@contextlib.contextmanager
def admitting() -> Iterator[None]:
    """Inside, configs have passed the gate: models nested in one need not pass again."""
    token = _admitted.set(True)
    try:
        yield
    finally:
        _admitted.reset(token)


def prepare(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None) -> Any:
    """A config of any release through the gate and in the form of Keras 2, from which objects are made.

    Args:
        config: A model's or layer's config, as JSON gives it.
        custom_objects: The caller's own objects by name.
        safe_mode: `False` also takes code out of the config; unset means `True`.

    Raises:
        UnsafeConfigError: it brings code, or names an object that is neither the library's nor the caller's.
        ConfigError: it is not of the form of a config.
        ValueError: a layer of Keras 1 that no later one has an equal for.
    """
    if _admitted.get():
        return config
    custom = {**get_custom_objects(), **(custom_objects or {})}
    admitted = admit(config, custom_objects, safe_mode)
    with clean_errors("The config"):
        return keras2_model(keras2_form(admitted, custom) if is_keras3(config) else admitted, custom)


def admitted(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None) -> Any:
    """The arguments of one layer through the gate, where they have not passed it as part of a larger config.

    Args:
        config: What `get_config()` gave.
        custom_objects: The caller's own objects by name.
        safe_mode: `False` also takes code out of the config; unset means `True`.

    Raises:
        UnsafeConfigError, ConfigError: as `prepare`.
    """
    return config if _admitted.get() else admit(config, custom_objects, safe_mode)


@contextlib.contextmanager
def prepared(config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None) -> Iterator[Any]:
    """`prepare`, and a `with` block in which objects are made of what it gives."""
    ready = prepare(config, custom_objects, safe_mode)
    with admitting():
        yield ready


def make_model(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool | None = None,
    who: str = "The config",
    *,
    stored: int | None = None,
) -> Any:
    """The model of a config, with new weights.

    Args:
        config: `{"class_name": ..., "config": ...}`, of any release.
        custom_objects: The caller's own classes and functions by name.
        safe_mode: `False` also takes code out of the config; unset means `True`.
        who: Where the config is from, for messages.
        stored: How many numbers the file holds for its weights; `None`: the config comes alone.

    Raises:
        TypeError: a list, which only `Sequential.from_config` reads.
        UnsafeConfigError: as `prepare`.
        ConfigError: it describes no model, or one that cannot be built.
        LimitError: its weights would be far larger than what the file holds for them, or than the limit `total_bytes`.
    """
    if isinstance(config, list):
        raise TypeError(f"{who} is a list of layers, not a dict. Read it by Sequential.from_config(config).")
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise ConfigError(f"{who} should be a dict with 'class_name' and 'config', but is {config!r:.80}.")
    version = config.get(OWN_RELEASE, config.get("keras_version"))
    context = following(version, who) if isinstance(version, str) else contextlib.nullcontext()
    with context:
        # a text of its own, also where a layer that is being read brings it: what was admitted around it does not count
        token = _admitted.set(False)
        try:
            with prepared(config, custom_objects, safe_mode) as ready, clean_errors(who), room(stored, who):
                return deserialize(ready, custom_objects)
        finally:
            _admitted.reset(token)


def room(stored: int | None, who: str) -> contextlib.AbstractContextManager[None]:
    """Room for the weights that a file holds, and for tables beside them; for a config alone, as much as the limits give."""
    if stored is None:
        most = limits().total_bytes
        return room_for(most // 4, lambda what: LimitError(f"{who}: {what}; the model would be larger than the limit total_bytes={most}."))
    told = f"but the file holds {stored:,} numbers for all weights together; the model was not made."
    return room_for(3 * stored + _TABLES, lambda what: LimitError(f"{who}: {what}, {told}"))


@contextlib.contextmanager
def clean_errors(who: str) -> Iterator[None]:
    """Turn what a config of the wrong form makes layers stumble over into an error that says whose config it was."""
    try:
        yield
    except (FileError, ConfigError):
        raise
    except ValueError as error:
        raise ConfigError(f"{who} describes no model that can be built: {error}") from error
    except _STUMBLES as error:
        raise ConfigError(f"{who} describes no model that can be built: {type(error).__name__}: {error}") from error


def model_from_json(text: str | bytes, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None) -> Any:
    """The model that a JSON text describes, with new weights.

    Args:
        text: What `to_json()` gave, here or in genuine Keras of any release.
        custom_objects: The caller's own classes and functions by name.
        safe_mode: `False` also takes code out of the text; unset means `True`.

    Raises:
        UnsafeConfigError: it brings code, or names an object that is neither the library's nor the caller's.
        ConfigError: it is no JSON, or describes no model.
    """
    return make_model(parse_json(text, "The JSON text"), custom_objects, safe_mode, "The JSON text")


def architecture(model: Any) -> dict[str, Any]:
    """`{"class_name": ..., "config": ...}` of a model, in the form of the release that it was made in.

    Raises:
        NotImplementedError: a subclassed model, or a layer that does not keep what it was made of.
        ValueError: a function without a name, or a raw nn.Module.
    """
    with generations.using_keras_version(form_of(release_of_model(model))):
        return serialize(model)


def to_json(model: Any, **kwargs: Any) -> str:
    """A model's architecture as JSON text, which genuine Keras of the model's release reads, too.

    Args:
        model: The model.
        **kwargs: For `json.dumps`, such as `indent`.

    Raises:
        NotImplementedError, ValueError: as `architecture`.
    """
    release = release_of_model(model)
    own = {} if release == form_of(release) else {OWN_RELEASE: release}
    # the weights of the model follow the conventions of that backend
    return json.dumps({**architecture(model), "keras_version": form_of(release), "backend": "tensorflow", **own}, default=plain, **kwargs)


def plain(value: Any) -> Any:
    """What JSON has no form for, as genuine Keras writes it.

    Raises:
        TypeError: something without a config or name.
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return list(value)
    try:
        return serialize_object(value)
    except ValueError as error:
        raise TypeError(str(error)) from None
