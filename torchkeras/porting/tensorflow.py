"""TensorFlow's functions that Keras programs use and that have a plain meaning in torch: what rewritten programs import as `tf`."""

from __future__ import annotations

import importlib
from typing import Any

from torchkeras.porting import tensorflow_names

VERSION = "2.3.1"


class Names:
    """A module of TensorFlow.

    Args:
        path: Below `tensorflow`, such as "random".
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Any:
        return member(self._path, name)

    def __repr__(self) -> str:
        return f"<tensorflow.{self._path}, as torchkeras has it>"


def member(path: str, name: str) -> Any:
    """A name of a module of TensorFlow.

    Raises:
        AttributeError: it has no plain meaning in torch, or is not here; the message says what to use.
    """
    names = tensorflow_names.MODULES[path]
    if name in names:
        return names[name]
    inner = f"{path}.{name}".lstrip(".")
    if name == "keras" and path in ("", "python"):
        return importlib.import_module("torchkeras")
    if inner in tensorflow_names.MODULES:
        return Names(inner)
    raise AttributeError(f"tensorflow.{inner} is not in torchkeras. {tensorflow_names.advice(inner)}")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return VERSION
    if name.startswith("__"):
        raise AttributeError(name)
    return member("", name)
