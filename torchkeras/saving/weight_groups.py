"""Keras' layout of weights in HDF5: a group for each layer, the order of layers and weights in attributes.

`layer_names` lists the layers, each layer's group lists its `weight_names`, and each weight is an array under its own
name, which is often a path of its own (`dense_1/kernel:0`). Texts are stored as bytes, which genuine Keras decodes.

Source: files of Keras 1.2.2, Keras 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from torchkeras.saving.errors import ContentError
from torchkeras.saving.hdf5 import SafeGroup
from torchkeras.saving.hdf5_arrays import SafeArray

if TYPE_CHECKING:
    import h5py

# An attribute is kept in the header of its group, which has 64 KiB; Keras leaves 1 KiB for the rest.
ATTRIBUTE_ROOM = 64512  # bytes

Arrays = Iterable[tuple[str, Any]]


class Origin(NamedTuple):
    """Which Keras wrote a file."""

    keras_version: str
    backend: str | None


def write_weight_groups(group: h5py.Group, layers: Sequence[tuple[str, Arrays]], keras_version: str, backend: str = "tensorflow") -> None:
    """Write the weights of all layers into a group or file, as Keras 2.2.4 and tf.keras 2.4.0 read them.

    Args:
        group: An open group or file, empty.
        layers: (name, [(weight name, array), ...]) of each layer, those without weights too, in the model's order.
        keras_version: The release that the file follows, such as "2.2.4".
        backend: The backend whose conventions the weights follow.

    Raises:
        ValueError: a name that HDF5 cannot hold inside the group, two layers of one name, or names that
            collide, such as a layer "a" with a weight "b" beside a layer "a/b".
    """
    seen: set[str] = set()
    for name, _ in layers:
        check_name(name, "layer")
        if name in seen:
            raise ValueError(f"Two layers are called {name!r}; a file needs a name for each. Give one of them another `name`.")
        seen.add(name)
    write_names(group, "layer_names", [name for name, _ in layers])
    write_text(group, "backend", backend)
    write_text(group, "keras_version", keras_version)
    for name, arrays in layers:
        try:
            place = group.require_group(name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Layer {name!r} cannot have a group of its own: another layer's weight has that name. Rename the layer.") from error
        write_arrays(place, arrays, f"layer {name!r}")


def write_arrays(group: h5py.Group, arrays: Arrays, who: str = "the optimizer") -> None:
    """Write arrays by name and list the names in the attribute `weight_names`.

    A name that comes twice gets `_1`, `_2`, ... appended, as Keras does it.

    Args:
        group: An open group.
        arrays: (name, array) pairs in order.
        who: Whose weights they are, for messages.

    Raises:
        ValueError: a name that HDF5 cannot hold inside the group, or names that collide.
    """
    names: list[str] = []
    for name, array in arrays:
        check_name(name, "weight")
        name = _unused(name, names)
        names.append(name)
        try:
            group.create_dataset(name, data=np.ascontiguousarray(array).reshape(np.shape(array)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"Weight {name!r} of {who} cannot be written: {error}. A weight and a layer must not share a path.") from error
    write_names(group, "weight_names", names)


def write_names(group: h5py.Group, attribute: str, names: Sequence[str]) -> None:
    """Write a list of names as an attribute; a long one is cut into `attribute0`, `attribute1`, ..., as Keras does it.

    Raises:
        ValueError: one name alone is too long for an attribute.
    """
    encoded = [name.encode() for name in names]
    for name in encoded:
        if len(name) > ATTRIBUTE_ROOM:
            raise ValueError(f"The name {name[:40]!r}... is {len(name):,} bytes long; an attribute of HDF5 has room for {ATTRIBUTE_ROOM:,}.")
    values = np.asarray(encoded)
    count = 1
    while -(-len(values) // count) * values.itemsize > ATTRIBUTE_ROOM:
        count += 1
    if count == 1:
        group.attrs[attribute] = values
        return
    for number, piece in enumerate(np.array_split(values, count)):
        group.attrs[f"{attribute}{number}"] = piece


def write_text(group: h5py.Group, attribute: str, text: str) -> None:
    """Write a text, such as the architecture as JSON, as an attribute of any length.

    Raises:
        ValueError: the text contains a null character, which ends a text in HDF5.
    """
    if "\0" in text:
        raise ValueError(f"The attribute {attribute!r} must not contain a null character.")
    group.attrs[attribute] = text.encode()


def weights_group(file: SafeGroup) -> SafeGroup:
    """The group with the layers: `model_weights` of a whole model, the root of a weights-only file.

    Raises:
        ContentError: the file has no weights in Keras' layout.
    """
    if file.has_attribute("layer_names") or file.has_attribute("nb_layers"):
        return file
    found = file.get("model_weights")
    if isinstance(found, SafeGroup):
        return found
    raise ContentError(
        f"{file.source.name} is an HDF5 file without weights of Keras: it has neither 'layer_names' nor a group 'model_weights'. "
        f"Its members are: {', '.join(file.keys()[:20]) or 'none'}."
    )


def origin(group: SafeGroup) -> Origin:
    """Which Keras wrote the weights; a file that does not say comes from Keras 1."""
    version = group.text("keras_version") if group.has_attribute("keras_version") else "1"
    return Origin(version, group.text("backend") if group.has_attribute("backend") else None)


def read_weight_groups(group: SafeGroup) -> list[tuple[str, list[tuple[str, SafeArray]]]]:
    """The layers of a file, in its order, each with its weights, not yet read.

    Args:
        group: What `weights_group` gives.

    Raises:
        ContentError: a listed layer or weight is missing.
        UnsafeFileError: a listed name leads out of its group, or an array is not in the file itself.
    """
    if not group.has_attribute("layer_names"):
        return _numbered_layers(group)
    return [(name, read_arrays(group.group(name))) for name in group.names("layer_names")]


def read_arrays(group: SafeGroup) -> list[tuple[str, SafeArray]]:
    """The arrays that a group lists in `weight_names`, not yet read.

    Raises:
        ContentError: a listed array is missing.
    """
    return [(name, group.array(name)) for name in group.names("weight_names")]


def _numbered_layers(group: SafeGroup) -> list[tuple[str, list[tuple[str, SafeArray]]]]:
    """The layout of the first releases: `layer_0/param_0`, ... and their counts."""
    layers = []
    for number in range(_count(group, "nb_layers")):
        layer = group.group(f"layer_{number}")
        names = [f"param_{index}" for index in range(_count(layer, "nb_params"))]
        layers.append((f"layer_{number}", [(name, layer.array(name)) for name in names]))
    return layers


def _count(group: SafeGroup, attribute: str) -> int:
    value = group.attribute(attribute)
    if not isinstance(value, int) or not 0 <= value <= group.source.limits.names:
        raise ContentError(f"{group.source.name}: attribute {attribute!r} of {group.path} should be a count, but is {value!r:.80}.")
    return value


def check_name(name: str, kind: str) -> None:
    """Refuse a name that would not stay inside its group.

    `..` is allowed: HDF5 has no way up, there it is a name like any other.

    Raises:
        ValueError: the name is empty, starts with '/', or has an empty part, a part "." or a null character.
    """
    if not name or "\0" in name or any(part in ("", ".") for part in name.split("/")):
        raise ValueError(
            f"A {kind} called {name!r} cannot be written to HDF5, where '/' separates groups: "
            "a name must not be empty, start or end with '/', or contain '//', '/./' or a null character. Rename it."
        )


def _unused(name: str, taken: Sequence[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
