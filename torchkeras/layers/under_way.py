"""Which raw nn.Module is being called: found on Python's stack."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch import nn

from torchkeras.layers.naming import name_of

_CALL_CODE = nn.Module._wrapped_call_impl.__code__  # of `nn.Module.__call__`


def is_layer(module: nn.Module) -> bool:
    """Whether a module is a layer of this library, which records its own calls; `Layer` itself stands above this file."""
    return "_weight_specs" in module.__dict__


def raw_calls() -> Iterator[FrameType]:
    """The frames of calls of raw nn.Modules that are under way in this thread, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _CALL_CODE and not is_layer(frame.f_locals["self"]):
            yield frame
        frame = frame.f_back


def told(error: BaseException, module: nn.Module) -> str:
    """The text of an error that a module's call raised, with the name of the innermost module in it whose code ran."""
    inner, place = module, error.__traceback__
    while place is not None:
        inner = _called(place.tb_frame) or inner
        place = place.tb_next
    text = str(error).rstrip(". ")
    return text if inner is module else f"{text} (in {type(inner).__name__} '{name_of(inner)}')"


def _called(frame: FrameType) -> nn.Module | None:
    """The module whose call, or whose `forward` without one, this frame is."""
    own = frame.f_locals.get("self")
    if not isinstance(own, nn.Module):
        return None
    return own if frame.f_code in (_CALL_CODE, getattr(type(own).forward, "__code__", None)) else None


class LateCall(threading.local):
    """In each thread, the call of a raw module that `late_calls` records from within."""

    def __init__(self) -> None:
        self.call: Any = None


late = LateCall()
