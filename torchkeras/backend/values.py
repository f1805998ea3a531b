"""K functions that read and write values: `get_value`, `set_value`, updates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from torchkeras.backend.conversion import Sizes, as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.backend.variables import write
from torchkeras.generations import choose
from torchkeras.layers.symbolic import KerasTensor, in_trial


def get_value(x: Any) -> Any:
    """The value of a tensor or variable as a NumPy array, a scalar as a NumPy number; a hyper-parameter as a float or int.

    It waits for the device. Other values, such as numbers and arrays, come back as they are.

    Raises:
        TypeError: a symbolic tensor, which has no value yet.
    """
    if isinstance(x, KerasTensor):
        raise TypeError(f"{x!r} has no value yet: make a function with K.function([inputs], [x]) and call it on data.")
    if isinstance(x, Tensor):
        tensor = x.detach().cpu()
        tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
        return np.array(torch.Tensor.numpy(tensor.float() if tensor.dtype == torch.bfloat16 else tensor))[()]
    if isinstance(x, Sizes):
        return np.array(x, dtype=np.int32)
    for plain in (bool, int, float):  # a hyper-parameter is a float that can be set
        if isinstance(x, plain):
            return plain(x)
    return x


def eval(x: Any) -> Any:
    """The value of a tensor or variable, dense where it is sparse; the same as `get_value`."""
    return get_value(x)


def batch_get_value(ops: Iterable[Any]) -> list[Any]:
    """The values of several tensors or variables."""
    return [get_value(x) for x in ops]


def set_value(x: Any, value: Any) -> None:
    """Write a value into a variable, weight, hyper-parameter or array, in place.

    Args:
        x: What to write to.
        value: A number, array or tensor of its shape.

    Raises:
        ValueError: another shape.
        TypeError: `x` is nothing that can be set.
    """
    if hasattr(x, "assign"):
        x.assign(value)
    elif isinstance(x, KerasTensor):
        raise TypeError(f"{x!r} has no value that could be set. Set a weight or a variable.")
    elif isinstance(x, Tensor):
        write(x, value, "The tensor")
    elif isinstance(x, np.ndarray):
        new = np.asarray(get_value(value))
        if new.shape != x.shape:
            raise ValueError(f"The array has the shape {x.shape}, but set_value got a value of shape {new.shape}. Give a value of its own shape.")
        x[...] = new
    else:
        raise TypeError(
            f"set_value writes to tensors, variables, weights and hyper-parameters such as optimizer.lr, but got {x!r}, "
            "which cannot be changed in place."
        )


def batch_set_value(tuples: Iterable[tuple[Any, Any]]) -> None:
    """Write values into several variables.

    Args:
        tuples: Pairs (variable, value).
    """
    for x, value in tuples:
        set_value(x, value)


def update(x: Any, new_x: Any) -> Any:
    """Write a new value into a variable; returns the variable.

    A symbolic value makes a pair (variable, value) for the `updates` of `K.function`.
    """
    if isinstance(new_x, KerasTensor):
        return x, new_x
    set_value(x, new_x)
    return x


def update_add(x: Any, increment: Any) -> Any:
    """Add to a variable in place; returns it."""
    return _shift(x, increment, 1)


def update_sub(x: Any, decrement: Any) -> Any:
    """Subtract from a variable in place; returns it."""
    return _shift(x, decrement, -1)


def _shift(x: Any, by: Any, sign: int) -> Any:
    if isinstance(by, KerasTensor):
        return x, as_tensor(x) + sign * by
    if hasattr(x, "parameter") or not isinstance(x, Tensor):
        set_value(x, get_value(x) + sign * get_value(by))
        return x
    with torch.no_grad():
        return x.add_(by if isinstance(by, (int, float)) else as_tensor(by, like=x).detach(), alpha=sign)


class _Debiased:
    """The average that a zero-debiased update keeps beside its variable."""

    def __init__(self, x: Tensor) -> None:
        self.biased = torch.zeros_like(x.detach())
        self.count = 0


# by variable, and within it by the part that a view shows
_averages: Final[WeakIdKeyDictionary] = WeakIdKeyDictionary()


def reset_averages() -> None:
    """Let every zero-debiased moving average begin anew."""
    _averages.clear()


def _average_of(x: Tensor) -> _Debiased:
    base = getattr(x, "parameter", x if x._base is None else x._base)
    part = (x.storage_offset(), tuple(x.shape), x.stride())
    kept = _averages.setdefault(base, {})
    if part not in kept:
        kept[part] = _Debiased(x)
    return kept[part]


@keras1_spelling
def moving_average_update(x: Any, value: Any, momentum: float) -> Any:
    """Move a variable towards a value: `x * momentum + value * (1 - momentum)`, in place; returns it.

    Keras 2 keeps an average beside the variable that begins at 0, divides it by `1 - momentum ** updates`, and so never looks at
    the variable's initial value.

    Args:
        x: The variable.
        value: A tensor of its shape.
        momentum: Share of the old value, 0 to 1.
    """
    if in_trial():
        return x
    value = as_tensor(value, like=x).detach()
    with torch.no_grad():
        if choose("backend.moving_average") == "plain":
            new = torch.lerp(x.detach(), value.to(x.dtype), 1 - momentum)
        else:
            average = _average_of(x)
            average.biased.lerp_(value.to(x.dtype), 1 - momentum)
            average.count += 1
            new = average.biased / (1 - momentum**average.count)
    return update(x, new)


@recorded
def print_tensor(x: Any, message: str = "") -> Any:
    """Print a value, with a message before it, and give it back; it waits for the device.

    Args:
        x: A tensor.
        message: Text before the value.
    """
    if not in_trial():
        print(message, get_value(x))
    return x
