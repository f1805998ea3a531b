"""Hyper-parameters as Keras code meets them: numbers that know how to be set again."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torchkeras.optimizers.record import Record


@functools.lru_cache(maxsize=128)  # rates come again at each step; powers of the step count do not, and are not worth keeping
def single(value: float) -> float:
    """`value` rounded to float32, the type in which Keras keeps hyper-parameters."""
    return ctypes.c_float(value).value


class HyperParameter(float):
    """A hyper-parameter's present value: a float that can be set in place, as Keras' variables can.

    Args:
        value: The value.
        owner: The optimizer it belongs to.
        name: Its attribute there.
    """

    _owner: Record
    _name: str

    def __new__(cls, value: float, owner: Record, name: str) -> HyperParameter:
        self = super().__new__(cls, value)
        self._owner = owner
        self._name = name
        return self

    def assign(self, value: Any) -> HyperParameter:
        """Set it in the optimizer (in all its param groups); returns the new value."""
        setattr(self._owner, self._name, value)
        return getattr(self._owner, self._name)

    def numpy(self) -> np.float32:
        """The value as Keras' `K.get_value` gives it."""
        return np.float32(self)

    def value(self) -> float:
        """The value as a plain float."""
        return float(self)

    read_value = value

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> float:
        return float(self)


class Counter(int):
    """The number of updates made: an int that can be set in place.

    Args:
        value: The count.
        owner: The optimizer it belongs to.
    """

    _owner: Record

    def __new__(cls, value: int, owner: Record) -> Counter:
        self = super().__new__(cls, value)
        self._owner = owner
        return self

    def assign(self, value: Any) -> Counter:
        """Set the optimizer's count of updates; returns it."""
        self._owner.iterations = value
        return self._owner.iterations

    def numpy(self) -> np.int64:
        """The count as Keras' `K.get_value` gives it."""
        return np.int64(self)

    def value(self) -> int:
        """The count as a plain int."""
        return int(self)

    read_value = value

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> int:
        return int(self)


class Hyper:
    """Attribute of an optimizer that reads and writes one hyper-parameter, in all param groups once it is bound.

    Args:
        key: Its key in `defaults` and in the param groups.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def __get__(self, owner: Record | None, kind: type) -> Any:
        if owner is None:
            return self
        value = owner.read_hyper(self.key)
        return HyperParameter(value, owner, self.key) if isinstance(value, float) else value

    def __set__(self, owner: Record, value: Any) -> None:
        owner.write_hyper(self.key, value)


class Bound:
    """Attribute of an optimizer that reads and writes one bound of its clipping.

    Args:
        name: Its name in `Clipping`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: Record | None, kind: type) -> Any:
        return self if owner is None else getattr(owner.clipping, self.name)

    def __set__(self, owner: Record, value: float | None) -> None:
        if value is not None and not float(value) >= 0:
            raise ValueError(f"{type(owner).__name__} takes a {self.name} of at least 0, but got {value!r}.")
        setattr(owner.clipping, self.name, value)
