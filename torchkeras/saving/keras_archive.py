"""Models in Keras 3's `.keras` archives, and weights in its HDF5 layout: read, and written so that Keras 3 opens them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from torchkeras.saving.archive import CONFIG, METADATA, WEIGHTS, Archive, open_archive, write_archive
from torchkeras.saving.config import parse_json
from torchkeras.saving.errors import ConfigError, ContentError
from torchkeras.saving.hdf5 import SafeGroup, open_safely
from torchkeras.saving.hdf5_arrays import SafeArray, declared
from torchkeras.saving.keras3_optimizer import load_optimizer_list, to_keras3
from torchkeras.saving.keras3_weights import keras3_values, optimizer_arrays, write_keras3_weights, write_variables
from torchkeras.saving.keras3_writing import VERSION, keras3_architecture, keras3_compile
from torchkeras.saving.model_config import clean_errors, make_model, plain, room
from torchkeras.saving.model_weights import check_built
from torchkeras.saving.releases import OWN_RELEASE, following, release_of_model
from torchkeras.saving.training_config import bind_optimizer, compile_from, read_states
from torchkeras.utils.atomic import PathLike


def load_archive(path: PathLike, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool | None = None) -> Any:
    """The model of a `.keras` archive.

    Args:
        path: The file.
        custom_objects: The caller's own classes and functions by name.
        compile: Whether to compile it as the file says, with the state of its optimizer.
        safe_mode: `False` also takes code out of the file; unset means `True`.

    Raises:
        FileError: the file is missing, damaged, unsafe, or holds no model.
        ConfigError: its configs cannot be made into objects.
    """
    with open_archive(path) as archive:
        config = _json(archive, CONFIG)
        who = f"{CONFIG} of {archive.name}"
        with following(_version(archive), archive.name), open_safely(archive.read(WEIGHTS), f"{WEIGHTS} of {archive.name}") as file:
            stored = declared(member for member in file.walk() if isinstance(member, SafeArray))
            model = make_model(config, custom_objects, safe_mode, who, stored=stored)
            with clean_errors(who), room(stored, who):
                _build(model, config)
            load_keras3(model, file)
            if compile:
                _compile(model, config, file, custom_objects, safe_mode)
        return model


def save_archive(model: Any, path: PathLike, include_optimizer: bool = True) -> None:
    """Write a model to a `.keras` archive, whole or not at all, in the form of Keras 3.

    Args:
        model: The model, built.
        path: Where to.
        include_optimizer: Whether to write the compile arguments and the state of the optimizer, too.

    Raises:
        ValueError: the model is not built, or has layers that Keras 3 has not.
        NotImplementedError: it is subclassed, or a layer does not keep what it was made of.
    """
    check_built(model, "saving")
    config = keras3_architecture(model)
    state: list[Any] = []
    if include_optimizer and model._compile_arguments is not None:
        try:
            config["compile_config"] = keras3_compile(model)
            bind_optimizer(model)
            state = to_keras3(model.optimizer)
        except (ValueError, TypeError, AttributeError) as error:
            config.pop("compile_config", None)
            warnings.warn(f"The compile arguments are not in the file, so compile the model anew after loading it: {error}", stacklevel=4)

    def fill(file: Any) -> None:
        write_keras3_weights(file, model)
        if state:
            write_variables(file.create_group("optimizer"), model.optimizer.name.lower(), state)

    metadata = {"keras_version": VERSION, OWN_RELEASE: release_of_model(model)}
    write_archive(path, json.dumps(config, default=plain), json.dumps(metadata), fill)


def _json(archive: Archive, member: str) -> dict[str, Any]:
    config = parse_json(archive.read(member), f"{member} of {archive.name}")
    if not isinstance(config, dict):
        raise ConfigError(f"{member} of {archive.name} should be a dict, but is {type(config).__name__}.")
    return config


def _version(archive: Archive) -> str:
    metadata = _json(archive, METADATA)
    version = metadata.get(OWN_RELEASE, metadata.get("keras_version", "3"))
    if not isinstance(version, str):
        raise ConfigError(f"{METADATA} of {archive.name} gives no version of Keras, but {version!r:.60}.")
    return version


def _build(model: Any, config: Mapping[str, Any]) -> None:
    """Make the weights of a model whose layers do not bring their shape."""
    build = config.get("build_config")
    shape = build.get("input_shape") if isinstance(build, Mapping) else None
    if not model.built and isinstance(shape, (list, tuple)):
        model.build(tuple(shape))
    if not model.built:
        raise ContentError(f"Model '{model.name}' comes without an input shape, so its weights have no place. Build it and use load_weights().")


def load_keras3(model: Any, file: SafeGroup, skip_mismatch: bool = False) -> None:
    """Read weights in Keras 3's layout into a built model: all, or none.

    Raises:
        ContentError: a layer does not fit.
    """
    for slot, value in keras3_values(model, file, skip_mismatch):
        slot.assign(value)


def _compile(model: Any, config: Mapping[str, Any], file: SafeGroup, custom_objects: Mapping[str, Any] | None, safe_mode: bool | None) -> None:
    who = file.source.name
    arguments = config.get("compile_config")
    if not arguments:
        warnings.warn(f"{who} has no compile_config, so the model is not compiled. Compile it before training.", stacklevel=4)
        return
    compile_from(model, arguments, custom_objects, safe_mode, who)
    values = read_states(optimizer_arrays(file), model)
    if values:
        load_optimizer_list(model, values, who)
