"""A pretend accelerator: tensors without values on a device that is not the CPU, on any machine.

Inside `pretending()` a hidden `.item()` or `bool(tensor)` raises DataDependentOutputException, and a tensor that was left
on the CPU raises FakeTensorDeviceMismatchError. Backward works too.

    with pretending() as device:
        layer = on_device(layer, device)
        layer(torch.randn(2, 3, device=device)).sum().backward()

It rests on private functions of torch, so it belongs to tests alone.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration

NAME = "pretend"
M = TypeVar("M", bound=nn.Module)


class _Module(backend_registration._DummyBackendModule):
    # not available: `torch.accelerator` goes on to say what the machine really has

    def is_available(self) -> bool:
        return False


class _Hooks(torch._C._acc.PrivateUse1Hooks):  # type: ignore[name-defined, misc]
    def is_available(self) -> bool:
        return False

    def has_primary_context(self, dev_id: int) -> bool:
        return True

    def is_built(self) -> bool:
        return True


# when this file is imported, since autograd counts the devices once, at the first backward pass
if torch._C._get_privateuse1_backend_name() != NAME:
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module(), hook=_Hooks())
DEVICE = torch.device(NAME, 0)


@contextlib.contextmanager
def pretending() -> Iterator[torch.device]:
    """Run code on tensors without values; yields the device to put them on. Real tensors are refused."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield DEVICE


def on_device(module: M, device: torch.device) -> M:
    """A copy of a module whose parameters and buffers are on the pretend device; call it inside `pretending()`."""
    with torch.utils._python_dispatch._disable_current_modes():
        copied = copy.deepcopy(module)
    for part in copied.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(_like(parameter, device), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _like(buffer, device)
    return copied


def _like(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    return torch.empty_strided(tuple(tensor.shape), tensor.stride(), dtype=tensor.dtype, device=device)
