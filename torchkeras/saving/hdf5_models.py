"""Whole models in HDF5: architecture, weights, compile arguments and the state of the optimizer, as Keras before 3 lays them out.

Attributes `model_config` and `training_config` hold JSON, the groups `model_weights` and `optimizer_weights` arrays.

Source: files of Keras 1.2.2, Keras 2.2.4, tf.keras 2.4.0 and (as legacy files) Keras 3.15.1.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchkeras import generations
from torchkeras.saving.config import parse_json
from torchkeras.saving.errors import ContentError
from torchkeras.saving.foreign_weights import is_keras1
from torchkeras.saving.hdf5 import SafeGroup, open_safely
from torchkeras.saving.hdf5_arrays import declared
from torchkeras.saving.keras1_optimizer import optimizer_list
from torchkeras.saving.keras3_optimizer import load_optimizer_list
from torchkeras.saving.model_config import architecture, make_model, plain
from torchkeras.saving.model_weights import check_built, read_into, write_model_weights
from torchkeras.saving.open_files import is_open_file
from torchkeras.saving.releases import OWN_RELEASE, following, form_of, release_of_model
from torchkeras.saving.training_config import bind_optimizer, compile_config, compile_from, load_optimizer_weights, read_states
from torchkeras.saving.weight_groups import Origin, origin, read_arrays, read_weight_groups, weights_group, write_arrays, write_text
from torchkeras.utils.atomic import PathLike, atomic_hdf5

if TYPE_CHECKING:
    import h5py


def save_hdf5(model: Any, path: Any, include_optimizer: bool = True) -> None:
    """Write a model to an HDF5 file, whole or not at all.

    Args:
        model: The model, built.
        path: Where to; also an open `h5py.File` or group.
        include_optimizer: Whether to write the compile arguments and the state of the optimizer, too.

    Raises:
        ValueError: the model is not built.
        NotImplementedError: it is subclassed, or a layer does not keep what it was made of.
    """
    check_built(model, "saving")
    config = json.dumps(architecture(model), default=plain)
    training = _training(model) if include_optimizer else None
    with contextlib.nullcontext(path) if is_open_file(path) else atomic_hdf5(path) as file:
        write_model(file, model, config, training)


def write_model(file: h5py.Group, model: Any, config: str, training: str | None) -> None:
    """Write a model into an open file or group.

    Args:
        file: The file, empty.
        model: The model, built.
        config: The architecture as JSON.
        training: The compile arguments as JSON; `None`: without them and the optimizer.
    """
    release = release_of_model(model)
    form = form_of(release)
    write_text(file, "keras_version", form)
    write_text(file, "backend", "tensorflow")
    write_text(file, "model_config", config)
    if release != form:
        write_text(file, OWN_RELEASE, release)
    with generations.using_keras_version(form):
        write_model_weights(file.create_group("model_weights"), model)
    if training is None:
        return
    write_text(file, "training_config", training)
    bind_optimizer(model)
    values = model.optimizer.get_weights()
    if values:
        write_arrays(file.create_group("optimizer_weights"), zip(model.optimizer.weight_names, values, strict=True))


def _training(model: Any) -> str | None:
    """The compile arguments as JSON; `None` where there are none, or none that Keras could read."""
    optimizer = getattr(model, "optimizer", None)  # a model that was never compiled has none
    if not hasattr(optimizer, "get_weights"):
        if optimizer is not None:
            warnings.warn(
                f"{type(optimizer).__name__} is no optimizer of Keras, so it is not in the file: compile the model anew after loading it. "
                "model.save('model.pt') and save_state() keep every optimizer.",
                stacklevel=4,
            )
        return None
    try:
        with generations.using_keras_version(form_of(release_of_model(model))):
            config = compile_config(model)
        return None if config is None else json.dumps(config, default=plain)
    except (ValueError, TypeError) as error:
        warnings.warn(f"The compile arguments are not in the file, so compile the model anew after loading it: {error}", stacklevel=4)
        return None


def load_hdf5(
    source: PathLike | bytes,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool | None = None,
    place: str = "/",
    name: str | None = None,
) -> Any:
    """The model of an HDF5 file.

    Args:
        source: The file, or its bytes.
        custom_objects: The caller's own classes and functions by name.
        compile: Whether to compile it as the file says, with the state of its optimizer.
        safe_mode: `False` also takes code out of the file; unset means `True`.
        place: The group that holds the model.
        name: What messages call the file.

    Raises:
        FileError: the file is missing, damaged, unsafe, or holds no model.
        ConfigError: its configs cannot be made into objects.
    """
    with open_safely(source, name) as file:
        return read_model(file if place == "/" else file.group(place.lstrip("/")), custom_objects, compile, safe_mode)


def read_model(file: SafeGroup, custom_objects: Mapping[str, Any] | None, compile: bool, safe_mode: bool | None) -> Any:
    """The model of an open file or group; arguments as for `load_hdf5`."""
    who = file.source.name
    if not file.has_attribute("model_config"):
        what = "weights only: build the model in your program, then model.load_weights(file)" if _has_weights(file) else "no model of Keras"
        raise ContentError(f"{who} has no attribute 'model_config'; it holds {what}.")
    weights = weights_group(file)
    source = origin(weights)
    with following(_version(file, source), who):
        config = parse_json(file.text("model_config"), f"model_config of {who}")
        stored = declared(array for _, arrays in read_weight_groups(weights) for _, array in arrays)
        model = make_model(config, custom_objects, safe_mode, f"model_config of {who}", stored=stored)
        if not model.built:
            raise ContentError(f"{who}: the architecture says no input shape, so its weights have no place. Build the model and use load_weights().")
        by_name = is_keras1(source) and {name for name, arrays in read_weight_groups(weights) if arrays} <= {layer.name for layer in model.layers}
        read_into(model, weights, by_name=by_name)
        if compile:
            _compile(model, file, source, custom_objects, safe_mode)
    return model


def _has_weights(file: SafeGroup) -> bool:
    with contextlib.suppress(ContentError):
        weights_group(file)
        return True
    return False


def _version(file: SafeGroup, source: Origin) -> str:
    if file.has_attribute(OWN_RELEASE):
        return file.text(OWN_RELEASE)
    return file.text("keras_version") if file.has_attribute("keras_version") else source.keras_version


def _compile(model: Any, file: SafeGroup, source: Origin, custom_objects: Mapping[str, Any] | None, safe_mode: bool | None) -> None:
    who = file.source.name
    if not file.has_attribute("training_config"):
        warnings.warn(f"{who} has no training_config, so the model is not compiled. Compile it before training.", stacklevel=4)
        return
    config = parse_json(file.text("training_config"), f"training_config of {who}")
    compile_from(model, config, custom_objects, safe_mode, f"training_config of {who}")
    if "optimizer_weights" not in file:
        return
    values = read_states([array for _, array in read_arrays(file.group("optimizer_weights"))], model)
    if source.keras_version.startswith("3."):
        load_optimizer_list(model, values, who)
        return
    if is_keras1(source):
        bind_optimizer(model)
        stored = {name: [weight for weight, _ in arrays] for name, arrays in read_weight_groups(weights_group(file))}
        pairs = [(layer, stored[layer.name]) for layer in model.layers if stored.get(layer.name)]
        try:
            values = optimizer_list(model, pairs, values, source)
        except (ContentError, KeyError, ValueError, IndexError, TypeError) as error:
            warnings.warn(f"The state of the optimizer in {who} does not fit, so the optimizer starts anew: {error}", stacklevel=4)
            return
    load_optimizer_weights(model, values, who)
