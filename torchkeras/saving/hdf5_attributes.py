"""Attributes of HDF5 groups: texts and numbers of every h5py generation, capped before they are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from torchkeras.saving import h5
from torchkeras.saving.errors import ContentError, LimitError
from torchkeras.saving.hdf5_texts import check_texts
from torchkeras.saving.limits import readable

if TYPE_CHECKING:
    from torchkeras.saving.hdf5 import Source

Owner: TypeAlias = Any  # an h5g.GroupID or h5d.DatasetID; h5py has no types


def exists(owner: Owner, name: str) -> bool:
    """Whether a group or array has the attribute `name`."""
    return "\0" not in name and h5.h5a.exists(owner, name.encode())


def read(source: Source, owner: Owner, path: str, name: str) -> Any:
    """One attribute: a text, a list of texts, a number or an array of numbers.

    Args:
        source: The open file.
        owner: The group or array that has it.
        path: The owner's place in the file.
        name: The attribute's name.

    Raises:
        ContentError: there is none, or it is neither text nor number.
        LimitError: it is larger than the limits allow.
    """
    who = f"{source.name}: attribute {name!r} of {path}"
    if not exists(owner, name):
        raise ContentError(f"{who} is missing. The file is no model file of Keras, or of another kind than it was opened as.")
    attribute = h5.h5a.open(owner, name.encode())
    kind, space = attribute.get_type(), attribute.get_space()
    if space.get_simple_extent_type() == h5.h5s.NULL:
        return []
    count = math.prod(int(length) for length in space.shape)
    _check_size(source, who, count, count * kind.get_size())
    if kind.get_class() == h5.h5t.STRING:
        if kind.is_variable_str():
            check_texts(source, owner, name, count, who)
        return _texts(np.asarray(_value(owner, name)), who)
    if kind.get_class() in (h5.h5t.INTEGER, h5.h5t.FLOAT) and kind.get_size() in (1, 2, 4, 8):
        value = np.asarray(_value(owner, name))
        return value.item() if value.ndim == 0 else value
    raise ContentError(f"{who} is neither a text nor a number.")


def read_names(source: Source, owner: Owner, path: str, name: str) -> list[str]:
    """A list of names in one attribute, or cut into pieces `name0`, `name1`, ...

    Raises:
        ContentError: it is missing or no list of texts.
        LimitError: there are more names than the limits allow.
    """
    names: list[str] = []
    pieces = [name] if exists(owner, name) or not exists(owner, f"{name}0") else _pieces(owner, name)
    for piece in pieces:
        value = read(source, owner, path, piece)
        # no names at all are stored as an empty array of numbers
        value = [] if isinstance(value, np.ndarray) and value.size == 0 else value
        if not isinstance(value, list):
            raise ContentError(f"{source.name}: attribute {piece!r} of {path} should be a list of names, but is {type(value).__name__}.")
        names += value
        if len(names) > source.limits.names:
            raise LimitError(f"{source.name}: attribute {name!r} of {path} lists more names than the limit names={source.limits.names:,}.")
    return names


def _pieces(owner: Owner, name: str) -> Iterator[str]:
    number = 0
    while exists(owner, f"{name}{number}"):
        yield f"{name}{number}"
        number += 1


def _value(owner: Owner, name: str) -> Any:
    holder = h5.h5py.Group(owner) if isinstance(owner, h5.h5g.GroupID) else h5.h5py.Dataset(owner)
    return holder.attrs[name]


def _texts(value: np.ndarray[Any, Any], who: str) -> Any:
    """Text or list of texts from h5py's bytes or str."""
    try:
        texts = [item.decode() if isinstance(item, bytes) else str(item) for item in value.ravel().tolist()]
        for text in texts:
            text.encode()  # h5py hides bytes that are no UTF-8 as lone surrogates
    except UnicodeError:
        raise ContentError(f"{who} is not text in UTF-8.") from None
    return texts[0] if value.ndim == 0 else texts


def _check_size(source: Source, who: str, count: int, size: int) -> None:
    if count > source.limits.names:
        raise LimitError(f"{who} has {count:,} elements, more than the limit names={source.limits.names:,}.")
    if size > source.limits.attribute_bytes:
        raise LimitError(f"{who} takes {readable(size)}, more than the limit attribute_bytes={source.limits.attribute_bytes}.")
    if size > max(source.size, 65536):
        raise LimitError(f"{who} takes {readable(size)}, more than the whole file.")
