"""State as plain containers, which `torch.load(weights_only=True)` reads: no class is named in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ARRAY, _SPARSE = "\0array", "\0sparse"  # keys of a dict that stands for an array, or for a sparse tensor
_SCALARS = (bool, int, float, complex, str, bytes)


def to_plain(value: Any, where: str = "state") -> Any:
    """A value as dicts, lists, tuples, sets, numbers, texts and CPU tensors.

    Args:
        value: What to write.
        where: What it is, for the message.

    Raises:
        TypeError: an object that is none of these, nor a NumPy array or number.
    """
    kind = type(value)
    if value is None or kind in _SCALARS:
        return value
    if isinstance(value, Tensor):
        return _plain_tensor(value)
    if isinstance(value, np.generic) and value.dtype.kind in "biufcSU":
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        native = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("=")).reshape(value.shape)
        return {_ARRAY: torch.from_numpy(native.copy() if not native.flags.writeable else native)}
    if isinstance(value, Mapping):
        return {to_plain(key, f"a key of {where}"): to_plain(part, f"{where}[{key!r}]") for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [to_plain(part, f"{where}[{number}]") for number, part in enumerate(value)]
        return tuple(parts) if isinstance(value, tuple) else parts if isinstance(value, list) else set(parts)
    for scalar in _SCALARS:
        if isinstance(value, scalar):  # a subclass, such as a counter
            return scalar(value)  # type: ignore[call-arg, arg-type]
    raise TypeError(
        f"{where} is {value!r:.100}, a {kind.__module__}.{kind.__qualname__}, which a saved state cannot hold: it takes numbers, texts, "
        "tensors, arrays, and lists, tuples, sets and dicts of them. "
        "Give a state_dict() of such values, with a load_state_dict() that makes the object of them."
    )


def from_plain(value: Any) -> Any:
    """What `to_plain` was given, with tensors on the CPU."""
    if isinstance(value, dict):
        if _ARRAY in value:
            return value[_ARRAY].numpy()
        if _SPARSE in value:
            indices, values, size, whole = value[_SPARSE]
            return torch.sparse_coo_tensor(indices, values, size, is_coalesced=whole, check_invariants=True)
        return {key: from_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [from_plain(part) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    return value


def _plain_tensor(value: Tensor) -> Any:
    tensor = value.detach().as_subclass(Tensor).cpu() if type(value) is not Tensor else value.detach().cpu()
    if tensor.layout is torch.sparse_coo:
        return {_SPARSE: (tensor._indices(), tensor._values(), tuple(tensor.shape), tensor.is_coalesced())}
    if tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size():
        tensor = tensor.clone()  # a view would be written with all that it is a view of
    return tensor


def same(first: Any, second: Any) -> bool:
    """Whether two plain states are equal."""
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and np.array_equal(first, second)
    if isinstance(first, dict):
        return isinstance(second, dict) and first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) or (isinstance(first, tuple) and any(isinstance(part, (Tensor, np.ndarray, dict, list)) for part in first)):
        return isinstance(second, (list, tuple)) and len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)
