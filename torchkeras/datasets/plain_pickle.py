"""Pickles that hold plain data: numbers, texts, lists, tuples, dictionaries and numpy arrays. Nothing named in the file is ever called.

A pickle is a small program: it may name any function and have it called. Here every name is answered by a stand-in made in this module,
and only for the few names that numpy's arrays are written with; the arrays are put together afterwards, from checked parts.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

KINDS: Final = "biuf"  # dtypes of plain arrays: boolean, integer, unsigned, float
_SIMPLE: Final = {type(None), bool, int, float, str, bytes}
_NUMBERS: Final = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")


class UnsafeData(ValueError):
    """A data file that holds something else than plain data, or is broken."""


class _Type:
    """Stands for a dtype: its text form, and the byte order that follows it."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any, *_: Any) -> None:
        self.text = text.decode("ascii") if isinstance(text, bytes) else text
        self.order: Any = "|"
        if not isinstance(self.text, str) or not (self.text in ("O", "O4", "O8") or _NUMBERS.fullmatch(self.text)):
            raise UnsafeData(f"an array holds {self.text!r:.60}, not numbers")

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order
        if self.order not in ("|", "<", ">", "="):
            raise UnsafeData(f"a byte order is written as {self.order!r:.60}")

    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype, of objects or of plain numbers."""
        if self.text.startswith("O"):
            return np.dtype("O")
        found = np.dtype(self.text)
        return found if self.order == "|" else found.newbyteorder(self.order)


class _Array:
    """Stands for an array until all of the pickle is read."""

    __slots__ = ("state",)

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self, known: dict[int, Any]) -> NDArray[Any]:
        """The array; `known` as in `plain`."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise UnsafeData("an array is without its contents")
        _, shape, kind, columns_first, content = self.state
        if not isinstance(kind, _Type) or not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise UnsafeData("an array has no proper shape or dtype")
        dtype = kind.dtype()
        count = math.prod(shape)
        order = "F" if columns_first else "C"
        if dtype.hasobject:
            if not isinstance(content, list) or len(content) != count:
                raise UnsafeData(f"an array of {count} objects holds something else")
            flat = np.empty(count, dtype=object)
            flat[:] = [None] * count
            for place, value in enumerate(content):
                flat[place] = plain(value, known)
            return flat.reshape(shape, order=order)  # type: ignore[call-overload]
        if isinstance(content, str):
            content = content.encode("latin1")
        if not isinstance(content, bytes) or len(content) != count * dtype.itemsize:
            raise UnsafeData(f"an array of shape {shape} and type {dtype} does not have the bytes for it")
        return np.frombuffer(bytearray(content), dtype=dtype).reshape(shape, order=order)  # type: ignore[call-overload]


class _Name:
    """Stands for a function or class that arrays are written with; calling it makes a stand-in."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        raise UnsafeData(f"{self.name} is changed")

    def __call__(self, *args: Any) -> Any:
        if self.name == "_reconstruct":
            return _Array()
        if self.name == "dtype":
            return _Type(*args)
        if self.name == "encode":
            text, encoding = args
            if not isinstance(text, str) or encoding != "latin1":
                raise UnsafeData("bytes are written in an unknown way")
            return text.encode("latin1")
        if self.name == "bytes" and not args:
            return b""
        if self.name == "scalar":
            kind, content = args
            holder = _Array()
            holder.state = (1, (1,), kind, False, content)
            return holder.array({})[0].item()
        raise UnsafeData(f"{self.name} is called")


_NAMES: Final = {
    **{(f"{core}.multiarray", name): name for core in ("numpy.core", "numpy._core") for name in ("_reconstruct", "scalar")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",  # how old protocols write b""
    ("builtins", "bytes"): "bytes",
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise UnsafeData(f"it names {module}.{name}, which no plain data needs")
        return _Name(_NAMES[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafeData("it refers to something outside")


def plain(value: Any, known: dict[int, Any] | None = None) -> Any:
    """`value` with its arrays put together.

    Args:
        value: What the pickle holds.
        known: What has been put together already, by id: a list that stands in many places is looked through once.

    Raises:
        UnsafeData: it holds something else than plain data.
    """
    known = {} if known is None else known
    if type(value) in _SIMPLE:
        return value
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, _Array):
        made: Any = value.array(known)
    elif type(value) in (list, tuple):
        made = value if set(map(type, value)) <= _SIMPLE else type(value)(plain(entry, known) for entry in value)
    elif type(value) is dict:
        made = {plain(key, known): plain(entry, known) for key, entry in value.items()}
    else:
        raise UnsafeData(f"it holds a {type(value).__name__}")
    known[id(value)] = made
    return made


def load_plain(file: IO[bytes], who: str, encoding: str = "bytes") -> Any:
    """Read a pickle of plain data.

    Args:
        file: The open file.
        who: What the file is called in errors.
        encoding: How texts of Python 2 are read: "bytes", "latin1" or "ASCII".

    Raises:
        UnsafeData: it names or holds something else, or is broken.
    """
    try:
        return plain(_PlainUnpickler(file, encoding=encoding).load())
    except UnsafeData as error:
        raise UnsafeData(f"{who} is refused: {error}.") from error
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError) as error:
        raise UnsafeData(f"{who} is broken: {error}.") from error
    except (MemoryError, OverflowError, RecursionError) as error:
        raise UnsafeData(f"{who} asks for too much: {type(error).__name__} {error}.") from error


def loads_plain(content: bytes, who: str, encoding: str = "bytes") -> Any:
    """`load_plain` of bytes."""
    return load_plain(io.BytesIO(content), who, encoding)
