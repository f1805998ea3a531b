"""Data as tensors, and structures of them: one, a list, or a dict."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import config


def to_tensor(value: Any, who: str) -> Tensor:
    """Data as a tensor, without a copy where its type allows it.

    Args:
        value: Array, tensor, list, number or pandas object.
        who: The argument's name, for messages.

    Raises:
        TypeError: text or objects.
        ValueError: lists of unequal length.
    """
    if isinstance(value, Tensor):
        return value.to(config.float_dtype()) if value.dtype is torch.float64 and config.floatx() != "float64" else value
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
        return to_tensor(torch.stack([torch.as_tensor(part) for part in value]), who)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{who} is no array: its parts have unequal lengths ({error}). Pad them with pad_sequences, or cut them to one length."
        ) from error
    return from_array(array, who)


def from_array(array: np.ndarray, who: str) -> Tensor:
    """A NumPy array as a tensor: floats in `floatx()`, whole numbers as they are."""
    kind = array.dtype.kind
    if kind not in "fiub":
        what = "texts" if kind in "US" else "lists of unequal length or other objects" if kind == "O" else f"values of type {array.dtype}"
        raise TypeError(
            f"{who} must be numbers, but got {what} (dtype {array.dtype}). Turn them into arrays of numbers first, by Tokenizer, pad_sequences, ..."
        )
    if kind == "f":
        array = np.asarray(array, dtype=config.floatx() if config.floatx() != "bfloat16" else np.float32)
    elif kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # read-only memory is only read here
        return torch.from_numpy(array) if array.ndim else torch.as_tensor(array)


def flatten(structure: Any) -> list[Any]:
    """The leaves of one value, a list, or a dict."""
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        return list(structure.values())
    if isinstance(structure, (list, tuple)):
        return list(structure)
    return [structure]


def like(structure: Any, leaves: Sequence[Any]) -> Any:
    """Leaves in the form of a structure."""
    if structure is None:
        return None
    if isinstance(structure, Mapping):
        return dict(zip(structure, leaves, strict=True))
    if isinstance(structure, (list, tuple)):
        return list(leaves)
    return leaves[0]


def map_leaves(change: Callable[[Any], Any], structure: Any) -> Any:
    """The structure with each leaf changed; leaves that are `None` stay."""
    return like(structure, [None if leaf is None else change(leaf) for leaf in flatten(structure)])


def present(structure: Any) -> list[Any]:
    """The leaves that are not `None`."""
    return [leaf for leaf in flatten(structure) if leaf is not None]


def several(value: Any) -> bool:
    """Whether a list or tuple holds several arrays, rather than being one itself."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return any(part is not None for part in value) and all(part is None or _is_array(part) for part in value)


def _is_array(value: Any) -> bool:
    return hasattr(value, "to_numpy") or len(getattr(value, "shape", ())) > 0


def column(leaf: Any) -> Any:
    """(n,) as (n, 1), as Keras makes it; a view."""
    return leaf.unsqueeze(-1) if leaf.dim() == 1 else leaf
