"""Weights of a model to and from Keras' HDF5 layout."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras import generations
from torchkeras.layers.base import Layer
from torchkeras.layers.naming import name_of
from torchkeras.saving.errors import ContentError
from torchkeras.saving.foreign_weights import is_keras1, to_keras2
from torchkeras.saving.hdf5 import SafeGroup
from torchkeras.saving.releases import form_of
from torchkeras.saving.weight_groups import Origin, origin, read_weight_groups, write_weight_groups
from torchkeras.utils.atomic import PathLike, atomic_hdf5

if TYPE_CHECKING:
    import h5py

    from torchkeras.graph.network import Network
    from torchkeras.saving.hdf5_arrays import SafeArray


class Slot:
    """One weight of a model as files see it: its name, shape and place.

    Args:
        name: Variable name.
        view: A Keras-layout view, or a tensor of a raw module.
    """

    def __init__(self, name: str, view: Any) -> None:
        self.name, self.view = name, view
        self.shape = tuple(view.shape)
        self.size = math.prod(self.shape)

    def value(self) -> np.ndarray[Any, Any]:
        """A copy of the weight."""
        if hasattr(self.view, "assign"):
            return self.view.numpy()
        tensor = self.view.detach().cpu()
        return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy().copy()

    def assign(self, value: np.ndarray[Any, Any]) -> None:
        """Write into the weight."""
        if hasattr(self.view, "assign"):
            self.view.assign(value)
        else:
            with torch.no_grad():
                self.view.copy_(torch.as_tensor(value))


def layer_slots(layer: nn.Module, alone: bool = False) -> list[Slot]:
    """The weights of a layer in the order of files; of a raw module those of its `state_dict`, in torch's layout.

    Args:
        layer: The layer, raw module or model inside of a model.
        alone: Whether the file has weights alone: a config beside them says which layers are frozen.
    """
    if alone and isinstance(layer, Layer) and hasattr(layer, "weights_as_frozen"):
        return [Slot(view.path, view) for view in layer.weights_as_frozen()]
    if isinstance(layer, Layer):
        return [Slot(view.path, view) for view in layer.stored_weights]
    tensors = [(name, tensor) for name, tensor in layer.state_dict(keep_vars=True).items() if isinstance(tensor, Tensor)]
    return [Slot(f"{name_of(layer)}/{name}:0", tensor) for name, tensor in tensors]


def write_model_weights(group: h5py.Group, model: Network, alone: bool = False) -> None:
    """Write the weights of a model into an open group or file; `alone`: without the model's config beside them."""
    layers = [(name_of(layer), [(slot.name, slot.value()) for slot in layer_slots(layer, alone)]) for layer in model.layers]
    write_weight_groups(group, layers, form_of(generations.keras_version()))


def save_weights(model: Network, path: PathLike) -> None:
    """Write the weights of a model to an HDF5 file, whole or not at all.

    Raises:
        ValueError: the model is not built.
    """
    check_built(model, "saving")
    with atomic_hdf5(path) as file:
        write_model_weights(file, model, alone=True)


def check_built(model: Network, what: str) -> None:
    """Refuse a model without weights.

    Raises:
        ValueError: the model is not built.
    """
    if not model.built:
        raise ValueError(f"Model '{model.name}' has no weights yet: call it on data, or give its first layer an input_shape, before {what} them.")


def check_matching(by_name: bool, skip_mismatch: bool) -> None:
    """Refuse to skip layers that are matched by their order.

    Raises:
        ValueError: `skip_mismatch` without `by_name`.
    """
    if skip_mismatch and not by_name:
        raise ValueError("skip_mismatch=True works with by_name=True only: layers matched by their order must all fit.")


Ready = list[tuple[Slot, np.ndarray[Any, Any]]]


def read_into(model: Network, group: SafeGroup, *, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Read the weights of an open group into a model: all, or none."""
    for slot, value in values_for(model, group, by_name=by_name, skip_mismatch=skip_mismatch):
        slot.assign(value)


def values_for(model: Network, group: SafeGroup, *, by_name: bool = False, skip_mismatch: bool = False) -> Ready:
    """The weights of an open group beside the places in the model that they are for; nothing is written yet.

    Raises:
        ContentError: a layer does not fit.
    """
    source = origin(group)
    ready: Ready = []
    for layer, slots, arrays in pairs_of(model, group, by_name):
        ready += matched(layer, slots, arrays, group.source.name, skip_mismatch, source)
    return ready


def matched(
    layer: Any, slots: Sequence[Slot], arrays: Sequence[SafeArray], who: str, skip_mismatch: bool = False, source: Origin | None = None
) -> Ready:
    """The arrays of a file for one layer, read once they are known to fit, beside their places.

    Args:
        layer: The layer.
        slots: Its places.
        arrays: What the file has for it.
        who: The file, for messages.
        skip_mismatch: Give nothing, with a warning, where they do not fit.
        source: Which Keras wrote them; `None`: one whose arrays have today's form.

    Raises:
        ContentError: they do not fit.
    """
    complaint = None
    values: list[np.ndarray[Any, Any]] = []
    same = len(arrays) == len(slots) and all(_shape(one) == two.shape for one, two in zip(arrays, slots, strict=True))
    if same and (source is None or not _other_form(source)):
        values = [array.read(slot.shape) for slot, array in zip(slots, arrays, strict=True)]
    elif source is not None and sum(array.size for array in arrays) <= 2 * sum(slot.size for slot in slots) + 1024:  # no more than the model itself
        values = _converted(layer, [array.read(array.shape) for array in arrays], source)
        complaint = _complaint(name_of(layer), slots, values)
    else:
        complaint = _complaint(name_of(layer), slots, arrays)
    if complaint and not skip_mismatch:
        raise ContentError(f"{who}: {complaint}")
    if complaint:
        warnings.warn(f"Skipping the weights of a layer that do not fit: {complaint}", stacklevel=3)
        return []
    return list(zip(slots, values, strict=True))


def pairs_of(model: Network, group: SafeGroup, by_name: bool) -> list[tuple[Any, list[Slot], list[SafeArray]]]:
    """(layer, its places, its arrays in the file) for all that belong together.

    Raises:
        ContentError: layers matched by order, of which the file has another number.
    """
    stored, source = read_weight_groups(group), origin(group)
    mine = [(layer, layer_slots(layer)) for layer in model.layers]
    if by_name:
        named = {name_of(layer): (layer, slots) for layer, slots in mine}
        return [_paired(*named[name], arrays, source) for name, arrays in stored if name in named]
    stored = [(name, arrays) for name, arrays in stored if arrays]
    mine = [(layer, slots) for layer, slots in mine if slots]
    if len(mine) != len(stored):
        raise ContentError(
            f"{group.source.name} has weights for {len(stored)} layers ({_some(name for name, _ in stored)}), but model '{model.name}' has "
            f"{len(mine)} layers with weights ({_some(name_of(layer) for layer, _ in mine)}). "
            "Build the model that the file was saved from, or load with by_name=True."
        )
    return [_paired(layer, slots, arrays, source) for (layer, slots), (_, arrays) in zip(mine, stored, strict=True)]


def _paired(layer: Any, slots: list[Slot], arrays: Sequence[tuple[str, SafeArray]], source: Origin) -> tuple[Any, list[Slot], list[SafeArray]]:
    """A layer, its places and the arrays of the file for it, the places in the order in which the file was written.

    A model inside of a model lists first what is trained, so that its order depends on what was frozen when the file was written. The
    names tell it; where they do not, the order is the present one, as in Keras.
    """
    found = [array for _, array in arrays]
    if getattr(layer, "layers", None) is None or not isinstance(layer, Layer) or _other_form(source):
        return layer, slots, found
    named = {slot.name: slot for slot in slots}
    if len(named) == len(slots) and sorted(named) == sorted(name for name, _ in arrays):
        return layer, [named[name] for name, _ in arrays], found

    def fit(order: list[Slot]) -> bool:
        return len(order) == len(arrays) and all(
            slot.shape == _shape(array) and slot.name.rpartition("/")[2] == name.rpartition("/")[2]
            for slot, (name, array) in zip(order, arrays, strict=True)
        )

    unfrozen = [view for trained in (True, False) for part in layer._weighted_layers() for view in part.own_weights(trainable=trained)]
    by_layer = [view for part in layer._weighted_layers() for trained in (True, False) for view in part.own_weights(trainable=trained)]
    others = [[Slot(view.path, view) for view in views] for views in (unfrozen, by_layer)]
    return layer, max([slots, *others], key=fit), found


def _other_form(source: Origin) -> bool:
    """Whether arrays of equal shapes may still mean something else."""
    return is_keras1(source) or source.backend == "theano"


def _converted(layer: Any, values: list[np.ndarray[Any, Any]], source: Origin) -> list[np.ndarray[Any, Any]]:
    try:
        return to_keras2(layer, values, source)
    except (ValueError, IndexError, TypeError):  # shapes that no release writes: the comparison says what is wrong
        return values


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape)


def _complaint(name: str, slots: Sequence[Slot], arrays: Sequence[Any]) -> str | None:
    if len(slots) != len(arrays):
        return f"layer '{name}' has {len(slots)} weights ({_some(slot.name for slot in slots)}), but the file has {len(arrays)} for it."
    for slot, array in zip(slots, arrays, strict=True):
        if slot.shape != _shape(array):
            return f"weight '{slot.name}' of layer '{name}' has the shape {slot.shape}, but the file has one of shape {_shape(array)} for it."
    return None


def _some(names: Any, most: int = 6) -> str:
    listed = list(names)
    return ", ".join(map(str, listed[:most])) + (", ..." if len(listed) > most else "")
