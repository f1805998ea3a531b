"""Models to and from files: what a file is its content says where it is read, and its name where it is written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

from torchkeras.saving.files import check_file
from torchkeras.saving.hdf5_models import load_hdf5, save_hdf5
from torchkeras.saving.keras_archive import load_archive, save_archive
from torchkeras.saving.open_files import image_of, is_open_file
from torchkeras.saving.state_files import ENDINGS, kind_of_state_file, load_state_model, save_state_model

FORMATS = {".h5": "h5", ".hdf5": "h5", ".keras": "keras", **ENDINGS}


def load_model(filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, *, safe_mode: bool | None = None) -> Any:
    """The model of a file of any Keras (HDF5 of Keras 1, 2, 3 and tf.keras, or `.keras`), or of a `.pt` or `.safetensors` file that was saved here.

    It keeps the meanings of the release that wrote the file, so that it predicts and trains on with that release's numbers.

    Args:
        filepath: The file, or an open `h5py.File` or group.
        custom_objects: Your own classes and functions by name; functions of `Lambda` layers also by the layer's name.
        compile: Whether to compile it as the file says, with the state of its optimizer.
        safe_mode: `False` also runs code that is in the file (a Lambda's bytecode), which can do anything; unset means `True`.

    Raises:
        FileError: the file is missing, damaged, unsafe or of another kind; the message says how to turn it into one that is read.
        ConfigError: its architecture or compile arguments cannot be made into objects.
    """
    if is_open_file(filepath):
        image, place, name = image_of(filepath)
        return load_hdf5(image, custom_objects, compile, safe_mode, place, name)
    path = check_file(filepath)
    if kind_of_state_file(path) is not None:
        return load_state_model(path, custom_objects, compile, safe_mode)
    with open(path, "rb") as file:
        start = file.read(4)
    return (load_archive if start[:2] == b"PK" else load_hdf5)(path, custom_objects, compile, safe_mode)


def save_model(model: Any, filepath: Any, overwrite: bool = True, include_optimizer: bool = True, save_format: str | None = None) -> None:
    """Write a model to a file, whole or not at all.

    Args:
        model: The model.
        filepath: Where to; its ending chooses the form: `.keras` for Keras 3; `.pt` (`.pth`) and `.safetensors` for torch, a state dict with the
            architecture beside it; `.h5` and any other HDF5, which Keras 2 and tf.keras read. Also an open `h5py.File` or group.
        overwrite: Whether to replace a file that is there.
        include_optimizer: Whether to write the compile arguments and (but for `.safetensors`) the state of the optimizer, too.
        save_format: "h5", "keras", "pt" or "safetensors"; "tf" also writes HDF5, with a warning, since SavedModel folders need TensorFlow.

    Raises:
        FileExistsError: the file is there, and `overwrite` is False.
        ValueError: the model is not built, or another `save_format`.
        NotImplementedError: it is subclassed, or a layer does not keep what it was made of.
    """
    if is_open_file(filepath):
        save_hdf5(model, filepath, include_optimizer)
        return
    check_new(filepath, overwrite)
    kind = _format(filepath, save_format)
    if kind in ENDINGS.values():
        save_state_model(model, filepath, include_optimizer, kind)
    else:
        (save_archive if kind == "keras" else save_hdf5)(model, filepath, include_optimizer)


def _format(filepath: Any, save_format: str | None) -> str:
    """The form to write: what the caller says, or the file's ending."""
    if save_format is None:
        return FORMATS.get(os.path.splitext(os.fspath(filepath))[1].lower(), "h5")
    if save_format in ("tf", "tensorflow"):
        warnings.warn("SavedModel folders need TensorFlow: the model is written as HDF5, which tf.keras reads under any name.", stacklevel=4)
        return "h5"
    if save_format not in FORMATS.values():
        raise ValueError(f"save_format should be one of {sorted(set(FORMATS.values()))}, but is {save_format!r}.")
    return save_format


def check_new(filepath: Any, overwrite: bool) -> None:
    """Refuse to replace a file.

    Raises:
        FileExistsError: the file is there, and `overwrite` is False.
    """
    if not overwrite and os.path.exists(filepath):
        raise FileExistsError(f"{filepath} is there already. Remove it, choose another name, or pass overwrite=True.")


def model_from_yaml(yaml_string: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Refused: YAML can hold code. Keras dropped it for that, and this library reads none.

    Raises:
        RuntimeError: always; it says what to do instead.
    """
    raise RuntimeError(
        "model_from_yaml is not here: a YAML text can run code when it is read. Turn it into JSON in the Keras that wrote it: "
        "`open('model.json', 'w').write(model_from_yaml(text).to_json())`, and read that by model_from_json()."
    )
