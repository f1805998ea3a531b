"""Keras 3's layout of weights in HDF5: a group for each object, named by its class or by the attribute that holds it.

`layers/dense_1/vars/0` is the first variable of the second `Dense`; layers inside of layers stand under the name of their attribute
(`cell`, `forward_layer`, `layer`, ...).

Source: Keras 3.15.1 `keras.src.saving.saving_lib`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from torchkeras.layers.base import Layer
from torchkeras.layers.naming import name_of
from torchkeras.saving.errors import ContentError
from torchkeras.saving.hdf5 import SafeGroup
from torchkeras.saving.hdf5_arrays import SafeArray
from torchkeras.saving.model_weights import Ready, layer_slots, matched

if TYPE_CHECKING:
    import h5py

# Attributes of Keras 3's layers that hold layers, in the order of their weights.
_INNER = ("forward_layer", "backward_layer", "cell", "cells", "layer", "query_dense", "key_dense", "value_dense", "output_dense")


def snake_case(class_name: str) -> str:
    """The name of a group for a class: "MaxPooling2D" -> "max_pooling2d"."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def keras3_class(layer: Any) -> str:
    """What Keras 3 calls the class of a layer."""
    if getattr(layer, "is_graph_network", False) and type(layer).__name__ == "Model":
        return "Functional"
    return type(layer).__name__


def places(layers: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """(layer, name of its group) for a list of layers: those of one class are numbered."""
    counts: dict[str, int] = {}
    for layer in layers:
        name = snake_case(keras3_class(layer))
        number = counts[name] = counts.get(name, -1) + 1
        yield layer, f"{name}_{number}" if number else name


def has_keras3_weights(file: SafeGroup) -> bool:
    """Whether a group holds weights in Keras 3's layout."""
    return not file.has_attribute("layer_names") and any(name in file for name in ("layers", "_layer_checkpoint_dependencies", "vars"))


def keras3_values(model: Any, group: SafeGroup, skip_mismatch: bool = False) -> Ready:
    """The weights of an open group beside the places in the model that they are for; nothing is written yet.

    Args:
        model: A built model.
        group: The file's root.
        skip_mismatch: Pass over layers whose weights do not fit.

    Raises:
        ContentError: a layer does not fit.
    """
    ready: Ready = []
    known = set()
    for layer, name in places(model.layers):
        known.add(name)
        found = group.get(f"layers/{name}")
        slots = layer_slots(layer)
        arrays = arrays_of(layer, found) if isinstance(found, SafeGroup) else []
        if slots or arrays:
            ready += matched(layer, slots, arrays, group.source.name, skip_mismatch)
    extra = (
        [] if skip_mismatch else [name for name in _members(group, "layers") if name not in known and _holds_arrays(group.group(f"layers/{name}"))]
    )
    if extra:
        raise ContentError(
            f"{group.source.name} has weights for {', '.join(map(repr, extra[:6]))}, which model '{model.name}' has no layers for. "
            "Build the model that the file was saved from, or pass skip_mismatch=True."
        )
    return ready


def _members(group: SafeGroup, name: str) -> list[str]:
    found = group.get(name)
    return found.keys() if isinstance(found, SafeGroup) else []


def _holds_arrays(group: SafeGroup) -> bool:
    """Whether a layer's group has variables, besides the state of a random generator."""
    return any(isinstance(member, SafeArray) and "/seed_generator/" not in member.path for member in group.walk())


def arrays_of(layer: Any, group: SafeGroup) -> list[SafeArray]:
    """The arrays of a layer, trained ones first, in the order of `layer.weights`."""
    if getattr(layer, "layers", None) is not None and isinstance(layer, Layer) and getattr(layer, "is_graph_network", False):
        parts = [
            (inner, arrays_of(inner, found)) for inner, name in places(layer.layers) if isinstance(found := group.get(f"layers/{name}"), SafeGroup)
        ]
        return _trained_first(parts)
    own = _variables(group)
    inner = [(name, found) for name in _INNER for found in [_child(group, name)] if found is not None]
    if not inner:
        return own
    parts = []
    for name, found in inner:
        part = getattr(layer, name, None)
        if name == "cells":
            cells = list(getattr(layer, "cells", []))
            parts += [(cell, arrays_of(cell, place)) for cell, key in places(cells) if isinstance(place := found.get(key), SafeGroup)]
        else:
            parts.append((part if part is not None else layer, arrays_of(part if part is not None else layer, found)))
    return own + _trained_first(parts)


def _child(group: SafeGroup, name: str) -> SafeGroup | None:
    for key in (name, f"_{name}"):
        found = group.get(key)
        if isinstance(found, SafeGroup):
            return found
    return None


def _variables(group: SafeGroup) -> list[SafeArray]:
    """`vars/0`, `vars/1`, ... of a group."""
    found = group.get("vars")
    if not isinstance(found, SafeGroup):
        return []
    return [found.array(name) for name in sorted((key for key in found if key.isdigit()), key=int)]


def _trained_first(parts: Sequence[tuple[Any, list[SafeArray]]]) -> list[SafeArray]:
    trained = [len(getattr(layer, "trainable_weights", ())) for layer, _ in parts]
    return [array for cut, (_, arrays) in zip(trained, parts, strict=True) for array in arrays[:cut]] + [
        array for cut, (_, arrays) in zip(trained, parts, strict=True) for array in arrays[cut:]
    ]


def optimizer_arrays(group: SafeGroup) -> list[SafeArray]:
    """The variables of the optimizer, not yet read, in Keras 3's order; an empty list where the file has none."""
    found = group.get("optimizer")
    return _variables(found) if isinstance(found, SafeGroup) else []


def write_keras3_weights(group: h5py.Group, model: Any) -> None:
    """Write the weights of a model into an open file or group."""
    for layer, name in places(model.layers):
        _write_layer(group.create_group(f"layers/{name}"), layer)
    group.create_group("vars").attrs["name"] = model.name


def write_variables(group: h5py.Group, name: str, values: Sequence[np.ndarray[Any, Any]]) -> None:
    """Write `vars/0`, `vars/1`, ... of one object."""
    place = group.create_group("vars")
    place.attrs["name"] = name
    for number, value in enumerate(values):
        place.create_dataset(str(number), data=value)


def _write_layer(group: h5py.Group, layer: Any) -> None:
    if getattr(layer, "is_graph_network", False):
        write_keras3_weights(group, layer)
        return
    parts = _parts(layer)
    own = [slot.value() for slot in layer_slots(layer)] if parts is None else []
    write_variables(group, name_of(layer), own)
    for name, part in (parts or {}).items():
        if name == "cells":
            for cell, key in places(part):
                _write_layer(group.create_group(f"cells/{key}"), cell)
        else:
            _write_layer(group.create_group(name), part)


def _parts(layer: Any) -> dict[str, Any] | None:
    """The layers inside of a layer, under the attributes that Keras 3 has for them; `None` where the weights are its own."""
    kind = next((base.__name__ for base in type(layer).__mro__ if base.__module__.startswith("torchkeras.")), "")
    if kind == "Bidirectional":
        return {"forward_layer": layer.forward_layer, "backward_layer": layer.backward_layer}
    if kind in ("TimeDistributed", "Wrapper"):
        return {"layer": layer.layer}
    if kind in ("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D"):
        return {"cell": layer.cell}
    return {"cells": layer.cells} if kind == "StackedRNNCells" else None
