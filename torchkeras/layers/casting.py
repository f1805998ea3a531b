"""Arrays to tensors at a layer's door, as Keras casts them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import config


def array_to_tensor(value: Any, *, keep_integers: bool) -> Tensor:
    """A NumPy array, number or list as a tensor: floats and, unless meant as they are, integers become `floatx()`.

    Raises:
        TypeError: text or objects.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"A layer takes numbers, but got an array of type {array.dtype}. Turn texts into numbers first (Tokenizer, one_hot).")
    if array.dtype.kind == "f" or not keep_integers:
        dtype = config.float_dtype()
        return torch.as_tensor(array).to(dtype)
    return torch.as_tensor(array.astype(np.int64) if array.dtype.kind == "u" and array.dtype.itemsize > 1 else array)


def no_data(name: str, inputs: Any) -> TypeError:
    """The error of a layer that was called on something without a shape."""
    return TypeError(f"Layer '{name}' takes tensors, arrays, numbers or lists of them, but got {inputs!r:.80}.")


def holds_text(inputs: Any) -> bool:
    """Whether these are texts, which no layer of the library takes."""
    return isinstance(inputs, str) or (isinstance(inputs, (list, tuple)) and any(isinstance(one, str) for one in inputs))


def _is_data(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return True
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(part, (int, float, bool)) or _is_plain_list(part) for part in value)
    return False


def _is_plain_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(part, (int, float, bool)) or _is_plain_list(part) for part in value)


def to_tensors(structure: Any, *, keep_integers: bool = False) -> Any:
    """Arrays inside the positional arguments of a call as tensors; tensors stay as they are."""
    if isinstance(structure, (int, float, bool, str)) or structure is None:
        return structure
    if isinstance(structure, Tensor):
        return structure
    if _is_data(structure):
        return array_to_tensor(structure, keep_integers=keep_integers)
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return structure
    if isinstance(structure, (list, tuple)):
        return type(structure)(to_tensors(part, keep_integers=keep_integers) for part in structure)
    if isinstance(structure, dict):
        return {key: to_tensors(part, keep_integers=keep_integers) for key, part in structure.items()}
    if hasattr(structure, "to_numpy"):  # pandas
        return array_to_tensor(structure.to_numpy(), keep_integers=keep_integers)
    return structure
