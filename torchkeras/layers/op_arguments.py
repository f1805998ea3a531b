"""The arguments of a recorded torch function: places of tensors among constants, and both as plain data for configs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras import initializers
from torchkeras.layers.room import take
from torchkeras.layers.weights import WeightSpec

if TYPE_CHECKING:
    from torchkeras.layers.base import Layer


@dataclass(frozen=True)
class Slot:
    """Place of a symbolic argument: its number among those that the layer is called on."""

    index: int


@dataclass(frozen=True)
class OwnSize:
    """Place of a size that is known once data comes: that of one dimension of a symbolic argument."""

    index: int
    dim: int


@dataclass(frozen=True, eq=False)
class Kept:
    """Place of a parameter or tensor that the layer keeps under a name; `shared` tells what it is to the layer that it belongs to."""

    name: str
    shared: WeightSpec | None = None


def to_plain(value: Any, layer: Layer) -> Any:
    """An argument as data that JSON can hold; `from_plain` reads it back.

    Raises:
        ValueError: something that has no such form, such as a function.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.generic):
        return to_plain(value.item(), layer)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [to_plain(part, layer) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [to_plain(part, layer) for part in value]}
    if isinstance(value, Mapping):
        return {"dict": {str(key): to_plain(part, layer) for key, part in value.items()}}
    if isinstance(value, slice):
        return {"slice": [to_plain(part, layer) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, Slot):
        return {"input": value.index}
    if isinstance(value, OwnSize):
        return {"size": [value.index, value.dim]}
    if isinstance(value, Kept) and value.shared is None:
        return _tensor_to_plain(getattr(layer, value.name))
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, (torch.dtype, torch.memory_format)):
        return {"torch": str(value).removeprefix("torch.")}
    raise ValueError(
        f"Layer '{layer.name}' was recorded with the argument {value!r:.80}, which a config cannot hold. "
        "Write a Layer with get_config(), or save the weights only (save_weights, state_dict)."
    )


def _tensor_to_plain(tensor: Tensor) -> dict[str, Any]:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if isinstance(tensor, nn.Parameter):  # its values are weights, which files keep elsewhere
        return {"weight": list(tensor.shape), "dtype": dtype}
    return {"constant": tensor.tolist(), "dtype": dtype}


def from_plain(value: Any) -> Any:
    """What `to_plain` made plain.

    Raises:
        ValueError: data of another form.
    """
    if isinstance(value, (list, tuple)):
        return [from_plain(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    for key, read in _READERS.items():
        if key in value:
            try:
                return read(value)
            except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
                raise ValueError(f"An argument of a TorchOp cannot be read: {dict(value)!r:.80} ({error}).") from error
    raise ValueError(f"An argument of a TorchOp must be plain data or one of {sorted(_READERS)}, but the config has {dict(value)!r:.80}.")


def _dtype(value: Mapping[str, Any]) -> torch.dtype:
    found = getattr(torch, str(value["dtype"]))
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{value['dtype']!r} is no data type")
    return found


def _weight(value: Mapping[str, Any]) -> nn.Parameter:
    shape = tuple(int(size) for size in value["weight"])
    take(shape, "A weight of a TorchOp")
    return nn.Parameter(torch.as_tensor(initializers.get("glorot_uniform")(shape, dtype=_dtype(value))))


def _of_torch(value: Mapping[str, Any]) -> Any:
    found = getattr(torch, str(value["torch"]))
    if not isinstance(found, (torch.dtype, torch.memory_format)):
        raise ValueError(f"{value['torch']!r} is neither a data type nor a memory format")
    return found


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "float": lambda value: float(value["float"]),
    "tuple": lambda value: tuple(from_plain(part) for part in value["tuple"]),
    "dict": lambda value: {str(key): from_plain(part) for key, part in value["dict"].items()},
    "slice": lambda value: slice(*(from_plain(part) for part in value["slice"])),
    "input": lambda value: Slot(int(value["input"])),
    "size": lambda value: OwnSize(*(int(part) for part in value["size"])),
    "weight": _weight,
    "constant": lambda value: torch.tensor(value["constant"], dtype=_dtype(value)),
    "ellipsis": lambda value: Ellipsis,
    "torch": _of_torch,
}
