"""Keras' module `legacy.interfaces`: decorators that made Keras 2's constructors take the words of Keras 1.

Layers take them by themselves here, so that a layer of one's own which hands its arguments on to `super().__init__` does, too: the decorators
leave what they are put on as it is.

Source: Keras 2.2.4 `keras.legacy.interfaces`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torchkeras import absent

F = TypeVar("F", bound=Callable[..., Any])


def _as_it_is(function: F) -> F:
    """The function itself."""
    return function


def __getattr__(name: str) -> Any:
    if name.startswith("legacy_") and name.endswith("_support"):
        return _as_it_is
    return absent.lookup(__name__, name)
