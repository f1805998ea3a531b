"""Whether `nn.Module.__call__` would do more than call `forward`: its two Python frames cost as much as a small layer's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.compiler import is_dynamo_compiling
from torch.jit import _trace
from torch.nn.modules import module as _module

_UNKNOWN = {"a torch that keeps its hooks elsewhere": None}  # true: then every call goes by nn.Module
_known = hasattr(nn.Module, "_compiled_call_impl")

# hooks for all modules: torch fills and empties these very tables
_all_forward: Mapping[Any, Any] = getattr(_module, "_global_forward_hooks", _UNKNOWN) if _known else _UNKNOWN
_all_forward_pre: Mapping[Any, Any] = getattr(_module, "_global_forward_pre_hooks", _UNKNOWN)
_all_backward: Mapping[Any, Any] = getattr(_module, "_global_backward_hooks", _UNKNOWN)
_all_backward_pre: Mapping[Any, Any] = getattr(_module, "_global_backward_pre_hooks", _UNKNOWN)


class _Unknown:
    """For a torch that keeps these flags elsewhere: all are up."""

    _is_compiling_flag = _is_profiler_enabled = True
    _trace_module_map = True


def _flags(place: Any, name: str) -> Any:
    return place if hasattr(place, name) else _Unknown


# read in Python: to ask torch's C++ costs as much as all else here
_compiler = _flags(torch.compiler, "_is_compiling_flag")
_tracer = _flags(_trace, "_trace_module_map")  # nn.Module.__call__ tells it the module's name
_profiler = _flags(torch.autograd.profiler, "_is_profiler_enabled")  # tells modules by the frame of nn.Module.__call__


def is_unhooked(state: Mapping[str, Any]) -> bool:
    """Whether a call of the module with this `__dict__` is a call of its `forward`: no hooks, nothing that is compiled, traced or profiled."""
    return not (
        is_dynamo_compiling()
        or _compiler._is_compiling_flag
        or state["_forward_hooks"]
        or state["_forward_pre_hooks"]
        or state["_backward_hooks"]
        or state["_backward_pre_hooks"]
        or _all_forward
        or _all_forward_pre
        or _all_backward
        or _all_backward_pre
        or "_compiled_call_impl" in state
        or _tracer._trace_module_map is not None
        or _profiler._is_profiler_enabled
    )
