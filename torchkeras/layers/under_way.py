"""Which raw nn.Module is being called: found on Python's stack."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from torch import nn

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


class LateCall(threading.local):
    """In each thread, the call of a raw module that `late_calls` records from within."""

    def __init__(self) -> None:
        self.call: Any = None


late = LateCall()
