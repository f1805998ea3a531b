"""Models the torch way: a state dict in torch's layouts under readable names, with the architecture beside it.

A `.pt` file holds the state dict itself, so that `net.load_state_dict(torch.load(path, weights_only=True))` works in plain PyTorch; the
architecture, the compile arguments and the state of the optimizer are plain data in its attribute `torchkeras`. A `.safetensors` file
has them, but for the optimizer's state, as texts in its metadata.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import os
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras import generations
from torchkeras.graph.state_names import fit_names
from torchkeras.saving.config import parse_json
from torchkeras.saving.errors import ConfigError, ContentError
from torchkeras.saving.files import check_file
from torchkeras.saving.model_config import architecture, make_model, plain
from torchkeras.saving.model_weights import check_built
from torchkeras.saving.releases import OWN_RELEASE, following, form_of, release_of_model
from torchkeras.saving.safetensors import is_safetensors, read_safetensors, write_safetensors
from torchkeras.saving.torch_archive import is_torch_archive, read_torch, write_torch
from torchkeras.saving.training_config import bind_optimizer, compile_config, compile_from
from torchkeras.training.resuming.plain import from_plain, to_plain
from torchkeras.utils.atomic import PathLike

FORMAT, VERSION = "torchkeras model", 1
ENDINGS = {".pt": "pt", ".pth": "pt", ".safetensors": "safetensors"}
_NESTED = ("state_dict", "model_state_dict")  # where programs keep a state dict among other things


@dataclasses.dataclass
class Contents:
    """What a file holds.

    Attributes:
        name: The file, for messages.
        state: Tensors by name.
        info: The architecture and what goes with it; empty where there are weights only.
    """

    name: str
    state: dict[str, Tensor]
    info: dict[str, Any]


def kind_of_state_file(path: PathLike) -> str | None:
    """ "pt" or "safetensors", as the content of a file says, or `None`."""
    with open(path, "rb") as file:
        start = file.read(9)
    if start[:2] == b"PK":
        return "pt" if is_torch_archive(path) else None
    return "safetensors" if is_safetensors(start, os.path.getsize(path)) else None


def read_contents(path: PathLike) -> Contents:
    """The state dict of a file and what stands beside it.

    Raises:
        FileError: it is damaged, unsafe, or holds no state dict.
    """
    text = check_file(path)
    name = repr(text)
    if kind_of_state_file(text) == "safetensors":
        tensors, metadata = read_safetensors(text)
        return Contents(name, tensors, _checked_info(metadata if metadata.get("format") == FORMAT else {}, name))
    found = read_torch(text)
    info = getattr(found, "torchkeras", None)
    if isinstance(found, Mapping) and found.get("format") == "torchkeras state":
        raise ContentError(f"{name} is the saved state of a training: give it to model.restore_state().")
    for key in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found or not all(isinstance(key, str) for key in found):
        raise ContentError(f"{name} holds no state dict, but {_words(found)}.")
    state = {key: value for key, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise ContentError(f"{name} holds no tensors, but {_words(found)}.")
    return Contents(name, state, _checked_info(info if isinstance(info, dict) else {}, name))


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with the keys {', '.join(map(repr, list(value)[:6]))}" if value else "an empty dict"
    return f"a {type(value).__name__}"


def _checked_info(info: dict[str, Any], name: str) -> dict[str, Any]:
    if not info:
        return {}
    version = info.get("version")
    if str(version) != str(VERSION):
        raise ContentError(f"{name} has the version {version!r:.40} of the format, but {VERSION} is read here. Use the release that wrote it.")
    if not isinstance(info.get("model_config"), str) or not isinstance(info.get("keras_version"), str):
        raise ConfigError(f"{name} has no 'model_config' and 'keras_version' as texts beside its weights.")
    return info


# -- writing


def save_state_model(model: Any, path: PathLike, include_optimizer: bool = True, kind: str = "pt") -> None:
    """Write a model: its state dict with the architecture beside it, whole or not at all.

    Args:
        model: The model, built.
        path: Where to.
        include_optimizer: Whether to write the compile arguments and (to "pt") the state of the optimizer, too.
        kind: "pt" or "safetensors".

    Raises:
        ValueError: the model is not built.
        NotImplementedError: it is subclassed, or a layer does not keep what it was made of.
    """
    check_built(model, "saving")
    release = release_of_model(model)
    info: dict[str, Any] = {"format": FORMAT, "version": VERSION, "keras_version": form_of(release), OWN_RELEASE: release}
    info["model_config"] = json.dumps(architecture(model), default=plain)
    if include_optimizer:
        info.update(_training(model, with_state=kind == "pt"))
    if kind == "safetensors":
        write_safetensors(path, state_of(model), {key: str(value) for key, value in info.items()})
        return
    state = OrderedDict(state_of(model))
    state.torchkeras = info  # type: ignore[attr-defined]
    write_torch(path, state)


def save_state_weights(model: Any, path: PathLike, kind: str = "pt") -> None:
    """Write the state dict of a model alone, whole or not at all.

    Raises:
        ValueError: the model is not built.
    """
    check_built(model, "saving")
    if kind == "safetensors":
        write_safetensors(path, state_of(model), {"format": "pt"})
    else:
        write_torch(path, state_of(model))


def state_of(model: Any) -> dict[str, Tensor]:
    """The tensors of a model's state dict, on the CPU, none with more storage than it shows."""
    return {name: to_plain(value) for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def _training(model: Any, with_state: bool) -> dict[str, Any]:
    """The compile arguments as JSON, and the state of the optimizer."""
    if getattr(model, "_compile_arguments", None) is None:
        return {}
    try:
        with generations.using_keras_version(form_of(release_of_model(model))):
            config = compile_config(model, _torch_optimizer(model.optimizer))
        found: dict[str, Any] = {"training_config": json.dumps(config, default=plain)}
        if with_state:
            bind_optimizer(model)
            state = model.optimizer.state_dict()
            for group in state["param_groups"]:
                group.pop("param_names", None)
            found["optimizer"] = to_plain(state, "the state of the optimizer")
        return found
    except (ValueError, TypeError, AttributeError) as error:
        warnings.warn(f"The compile arguments are not in the file, so compile the model anew after loading it: {error}", stacklevel=5)
        return {}


def _torch_optimizer(optimizer: Any) -> dict[str, Any] | None:
    """The config of one of torch's own optimizers; `None` for Keras' ones, which have a config."""
    kind = type(optimizer)
    if hasattr(optimizer, "get_config") or getattr(torch.optim, kind.__name__, None) is not kind:
        return None
    given = {key: value.item() if isinstance(value, Tensor) else value for key, value in optimizer.defaults.items()}
    known = kind.__init__.__code__.co_varnames[: kind.__init__.__code__.co_argcount + kind.__init__.__code__.co_kwonlyargcount]
    return {"class_name": "TorchOptimizer", "config": {"optimizer": kind.__name__, **{key: given[key] for key in known if key in given}}}


# -- reading


def load_state_model(path: PathLike, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool | None = None) -> Any:
    """The model of a file that `save_state_model` wrote.

    Args:
        path: The file.
        custom_objects: The caller's own classes and functions by name.
        compile: Whether to compile it as the file says, with the state of its optimizer.
        safe_mode: `False` also takes code out of the file; unset means `True`.

    Raises:
        FileError: the file is missing, damaged, unsafe, or holds weights only.
        ConfigError: its configs cannot be made into objects.
    """
    contents = read_contents(path)
    info, name = contents.info, contents.name
    if not info:
        raise ContentError(f"{name} holds weights only, no architecture: build the model in your program, then model.load_weights(file).")
    release = info.get(OWN_RELEASE, info["keras_version"])
    with following(release if isinstance(release, str) else "", name):
        config = parse_json(info["model_config"], f"model_config of {name}")
        stored = sum(tensor.numel() for tensor in contents.state.values())
        model = make_model(config, custom_objects, safe_mode, f"model_config of {name}", stored=stored)
        put_state(model, contents)
        if not model.built:
            raise ContentError(f"{name}: the architecture says no input shape, so its weights have no place. Build the model and use load_weights().")
        if compile:
            _compile(model, info, custom_objects, safe_mode, name)
    return model


def _compile(model: Any, info: Mapping[str, Any], custom_objects: Mapping[str, Any] | None, safe_mode: bool | None, who: str) -> None:
    if not isinstance(info.get("training_config"), str):
        warnings.warn(f"{who} has no training_config, so the model is not compiled. Compile it before training.", stacklevel=5)
        return
    config = parse_json(info["training_config"], f"training_config of {who}")
    compile_from(model, config, custom_objects, safe_mode, f"training_config of {who}")
    if info.get("optimizer") is None:
        return
    try:
        bind_optimizer(model)
        state = from_plain(info["optimizer"])
        _check_optimizer(model.optimizer, state)
        model.optimizer.load_state_dict(state)
    except (ValueError, AttributeError, TypeError, RuntimeError, KeyError) as error:
        warnings.warn(f"The state of the optimizer in {who} does not fit, so the optimizer starts anew: {error}", stacklevel=5)


def _check_optimizer(optimizer: Any, state: Mapping[str, Any]) -> None:
    """Compare the shapes of a state with the parameters, which torch does not."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in state["state"].items():
        shape = parameters[int(index)].shape if 0 <= int(index) < len(parameters) else None
        for key, value in values.items():
            if isinstance(value, Tensor) and value.numel() > 1 and value.shape != shape:
                raise ValueError(f"{key!r} of parameter {index} has the shape {tuple(value.shape)}, the parameter {shape and tuple(shape)}.")


def load_state_weights(model: Any, path: PathLike, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Put the weights of a file into a model, built or not: all, or none where something does not fit.

    Args:
        model: The model.
        path: The file: a state dict, or a whole model.
        by_name: Leave weights alone that the file has not, and pass over those that the model has not.
        skip_mismatch: Pass over weights of other shapes, with a warning.

    Raises:
        FileError: the file cannot be read, or a weight does not fit.
    """
    put_state(model, read_contents(path), by_name, skip_mismatch)


def put_state(model: Any, contents: Contents, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """`load_state_weights` for what was read already."""
    state = dict(contents.state)
    mine = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    if not by_name:
        fit_names(state, "", model._modules)
    else:
        state = {name: value for name, value in state.items() if name in mine}
    for name in [name for name in state if name in mine and state[name].shape != mine[name].shape]:
        complaint = f"weight '{name}' has the shape {tuple(mine[name].shape)}, but the file has one of shape {tuple(state[name].shape)} for it."
        if not skip_mismatch:
            raise ContentError(f"{contents.name}: {complaint}")
        warnings.warn(f"Skipping a weight that does not fit: {complaint}", stacklevel=4)
        state[name] = mine[name].clone()
    if not model.built:  # a copy finds out whether it fits: layers that were built cannot be unbuilt
        _load(copy.deepcopy(model), dict(state), contents.name, by_name)
    before = {name: value.detach().clone() for name, value in mine.items()}
    try:
        _load(model, state, contents.name, by_name)
    except ContentError:
        with contextlib.suppress(RuntimeError):
            model.load_state_dict(before, strict=False)
        raise


def _load(model: Any, state: dict[str, Tensor], who: str, by_name: bool) -> None:
    """Load a state dict, and complain in our own words."""
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ContentError(f"{who} does not fit into model '{model.name}': {' '.join(lines[1:4] or lines[:1])}") from None
    if (missing and not by_name) or unexpected:
        raise ContentError(_mismatch(who, model, missing, unexpected))


def _mismatch(who: str, model: Any, missing: list[str], unexpected: list[str]) -> str:
    parts = [f"has nothing for {_some(missing)}"] if missing else []
    parts += [f"has {_some(unexpected)}, which the model has not"] if unexpected else []
    return (
        f"{who} does not fit into model '{model.name}': it {' and '.join(parts)}. Build the model that it was saved from, or load with by_name=True."
    )


def _some(names: list[str], most: int = 6) -> str:
    return ", ".join(f"'{name}'" for name in names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
