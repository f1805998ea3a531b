"""From one kind of model file to another."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

from torchkeras import generations
from torchkeras.cli.convert import WRITTEN
from torchkeras.exporting.onnx import save_onnx
from torchkeras.models import load_model
from torchkeras.saving.archive import open_archive
from torchkeras.saving.config import parse_json
from torchkeras.saving.errors import ContentError
from torchkeras.saving.files import check_file
from torchkeras.saving.hdf5 import open_safely
from torchkeras.saving.keras3_weights import write_keras3_weights
from torchkeras.saving.model_config import make_model
from torchkeras.saving.safetensors import write_safetensors
from torchkeras.saving.state_files import ENDINGS, Contents, kind_of_state_file, read_contents
from torchkeras.saving.torch_archive import write_torch
from torchkeras.saving.training_config import bind_optimizer
from torchkeras.utils.atomic import atomic_hdf5, atomic_text


def ending_of(path: str) -> str:
    """The ending that says what a file is to be.

    Raises:
        ValueError: none of those that are written.
    """
    lower = path.lower()
    found = next((ending for ending in sorted(WRITTEN, key=len, reverse=True) if lower.endswith(ending)), None)
    if found is None:
        raise ValueError(f"OUT should end with one of {', '.join(WRITTEN)}, but is {path!r}.")
    return found


def convert(
    source: str,
    target: str,
    *,
    config: str | None = None,
    keras: str | None = None,
    input_shapes: Sequence[Sequence[int | None]] = (),
    weights_only: bool = False,
    by_name: bool = False,
    overwrite: bool = False,
) -> str:
    """Convert a file; the arguments are those of the command.

    Returns:
        A line on what was done.

    Raises:
        FileError, ConfigError, ValueError, OSError, NotImplementedError, ImportError: why it cannot be done.
    """
    ending = ending_of(target)
    source = check_file(source)
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"IN and OUT are one file, {source!r}.")
    if os.path.exists(target) and not overwrite:
        raise FileExistsError(f"{target!r} is there already: give --overwrite to replace it.")
    if source.lower().endswith(".onnx"):
        raise ContentError(f"{source!r}: ONNX files are written, not read. Start from the model that it was exported from.")
    if config is None and not holds_model(source):
        return _weights_to_weights(source, target, ending)
    with generations.using_keras_version(keras) if keras else contextlib.nullcontext():
        model = _model(source, config, input_shapes, by_name, compiled=not weights_only and ending not in (".onnx", ".json"))
    _write(model, target, ending, weights_only, input_shapes)
    numbers = sum(weight.numel() for weight in model.weights)
    words = f"{len(model.layers)} layers, {numbers:,} numbers in {len(model.weights)} weights"
    return f"{source} -> {target}: {type(model).__name__} '{model.name}', {words}"


def holds_model(path: str) -> bool:
    """Whether a file has an architecture beside its weights.

    Raises:
        FileError: it cannot be read.
    """
    if kind_of_state_file(path) is not None:
        return bool(read_contents(path).info)
    with open(path, "rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        with open_archive(path):
            return True
    if start[:1] in (b"{", b"["):
        raise ContentError(f"{path!r} is a JSON text: an architecture without weights. Give the weights as IN and this file by --config.")
    with open_safely(path) as file:
        return file.has_attribute("model_config")


def _weights_to_weights(source: str, target: str, ending: str) -> str:
    """A state dict needs no model to change its container."""
    if kind_of_state_file(source) is None or ending not in ENDINGS:
        raise ContentError(
            f"{source!r} holds weights only. To write {ending} the layers must be known: give the architecture by --config "
            "(the JSON of model.to_json(), or another file of the model)."
        )
    contents: Contents = read_contents(source)
    if ENDINGS[ending] == "safetensors":
        write_safetensors(target, contents.state, {"format": "pt"})
    else:
        write_torch(target, contents.state)
    return f"{source} -> {target}: {len(contents.state)} tensors, {sum(tensor.numel() for tensor in contents.state.values()):,} numbers"


def _model(source: str, config: str | None, input_shapes: Sequence[Sequence[int | None]], by_name: bool, compiled: bool) -> Any:
    if config is None:
        model = load_model(source, compile=compiled)
        if compiled:
            bind_optimizer(model)
        return model
    model = _architecture(config)
    if not model.built:
        if len(input_shapes) != 1:
            raise ValueError(f"The architecture of {config!r} says no input shape: give it by --input-shape.")
        model.build((None, *input_shapes[0]))
    model.load_weights(source, by_name=by_name)
    return model


def _architecture(path: str) -> Any:
    path = check_file(path)
    with open(path, "rb") as file:
        start = file.read(1)
    if start not in (b"{", b"["):
        return load_model(path, compile=False)
    with open(path, "rb") as file:
        text = file.read()
    return make_model(parse_json(text, repr(path)), None, None, repr(path))


def _write(model: Any, target: str, ending: str, weights_only: bool, input_shapes: Sequence[Sequence[int | None]]) -> None:
    if ending == ".onnx":
        save_onnx(model, target, input_shapes)
    elif ending == ".json":
        with atomic_text(target) as file:
            file.write(model.to_json(indent=2) + "\n")
    elif ending == ".weights.h5":  # the name is Keras 3's, and so is the layout
        with atomic_hdf5(target) as file:
            write_keras3_weights(file, model)
    elif weights_only:
        if ending == ".keras":
            raise ValueError("A .keras file holds a whole model. Weights alone go into .weights.h5, .h5, .pt or .safetensors.")
        model.save_weights(target)
    else:
        model.save(target)
