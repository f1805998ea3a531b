"""Tensors as TensorFlow's behave, while a Keras program runs unchanged: `x += y` gives a new tensor, `x.numpy()` needs no detach().

Only what the program itself does is changed: inside torch, Ignite and torchkeras tensors stay torch's, and so do parameters.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

OWNERS: Final = ("torch", "torchkeras", "ignite")
_REBINDING: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "__iadd__": operator.add,
    "__isub__": operator.sub,
    "__imul__": operator.mul,
    "__itruediv__": operator.truediv,
    "__ifloordiv__": operator.floordiv,
    "__imod__": operator.mod,
    "__ipow__": operator.pow,
}
_before: dict[str, Any] = {}  # what the class had of its own; absent where it only inherited


def _from_outside() -> bool:
    """Whether the function that asks was called by the user's program."""
    return sys._getframe(2).f_globals.get("__name__", "").partition(".")[0] not in OWNERS


def _rebinding(own: Callable[[Any, Any], Any], operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def change(self: Tensor, other: Any) -> Any:
        if isinstance(self, nn.Parameter) or not _from_outside():
            return own(self, other)
        return operation(self, other)

    return change


def _numpy(own: Callable[..., Any]) -> Callable[..., Any]:
    def numpy(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return own(self.detach().cpu() if _from_outside() else self, *args, **kwargs)

    return numpy


def _array(own: Callable[..., Any]) -> Callable[..., Any]:
    def array(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return own(self.detach().cpu() if _from_outside() else self, *args, **kwargs)

    return array


def _number(own: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def number(self: Tensor) -> Any:
        return own(self.detach() if _from_outside() else self)

    return number


def follow_tensorflow() -> None:
    """Let tensors behave so from here on."""
    if _before:
        return
    changes: dict[str, Callable[..., Any]] = {name: _rebinding(getattr(Tensor, name), operation) for name, operation in _REBINDING.items()}
    changes |= {"numpy": _numpy(Tensor.numpy), "__array__": _array(Tensor.__array__), "__float__": _number(Tensor.__float__)}
    for name, change in changes.items():
        _before[name] = Tensor.__dict__.get(name)
        setattr(torch.Tensor, name, change)


def follow_torch() -> None:
    """Let tensors behave as torch's again."""
    for name, before in _before.items():
        if before is None:
            delattr(torch.Tensor, name)
        else:
            setattr(torch.Tensor, name, before)
    _before.clear()
