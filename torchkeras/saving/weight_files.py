"""Weights of a model out of any file that holds some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchkeras.saving.archive import WEIGHTS, open_archive
from torchkeras.saving.files import check_file
from torchkeras.saving.hdf5 import SafeGroup, open_safely
from torchkeras.saving.keras3_weights import has_keras3_weights, keras3_values
from torchkeras.saving.model_weights import Ready, check_built, check_matching, values_for
from torchkeras.saving.open_files import image_of, is_open_file
from torchkeras.saving.state_files import kind_of_state_file, load_state_weights
from torchkeras.saving.weight_groups import weights_group

if TYPE_CHECKING:
    from torchkeras.graph.network import Network


def load_weights(model: Network, path: Any, *, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Read weights into a model: all, or none where something does not fit.

    Args:
        model: A built model.
        path: A file of weights or of a whole model: HDF5 of any Keras, `.keras`, `.pt`, `.safetensors`; or an open `h5py.File` or group.
        by_name: Match layers by their names instead of their order; layers without a match keep their weights.
        skip_mismatch: With `by_name`, or for a file of Keras 3, pass over layers whose weights do not fit.

    Raises:
        ValueError: the model is not built, or a layer does not fit (which one, which shapes).
        FileError: the file is missing, damaged, unsafe or of another kind.
    """
    if not is_open_file(path) and kind_of_state_file(check_file(path)) is not None:
        load_state_weights(model, path, by_name, skip_mismatch)  # the shapes of its tensors build a model that is not built
        return
    check_built(model, "loading")
    for slot, value in _values(model, path, by_name, skip_mismatch):
        slot.assign(value)


def _values(model: Network, path: Any, by_name: bool, skip_mismatch: bool) -> Ready:
    if is_open_file(path):
        image, place, name = image_of(path)
        with open_safely(image, name) as file:
            return _of_hdf5(model, file if place == "/" else file.group(place.lstrip("/")), by_name, skip_mismatch)
    path = check_file(path)
    with open(path, "rb") as stream:
        start = stream.read(4)
    if start[:2] == b"PK":
        with open_archive(path) as archive, open_safely(archive.read(WEIGHTS), f"{WEIGHTS} of {archive.name}") as file:
            return _of_hdf5(model, file, by_name, skip_mismatch)
    with open_safely(path) as file:
        return _of_hdf5(model, file, by_name, skip_mismatch)


def _of_hdf5(model: Network, file: SafeGroup, by_name: bool, skip_mismatch: bool) -> Ready:
    if has_keras3_weights(file):
        if by_name:
            raise ValueError(f"{file.source.name} is a weights file of Keras 3, which names no layers: load it with by_name=False.")
        return keras3_values(model, file, skip_mismatch)
    check_matching(by_name, skip_mismatch)
    return values_for(model, weights_group(file), by_name=by_name, skip_mismatch=skip_mismatch)
