"""Zeros around tensors.

`F.pad` fills the whole result with zeros before it copies, and its gradient is a copy. On the CPU both are passes over memory, which take
long beside the convolution that the zeros are for. Here only the edges are filled, and the gradient is a view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

LARGE: Final = 1 << 18  # numbers from which on a pass over memory takes longer than a few operations more

# a torch that does not tell is taken to be inside of a transform
_is_transformed: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)


def pad(x: Tensor, widths: Sequence[int]) -> Tensor:
    """`torch.nn.functional.pad(x, widths)`: zeros on the near and far side of the last axis, then of the one before it, and so on.

    Args:
        x: A tensor; large contiguous ones on the CPU are fast.
        widths: Two numbers for each of the last axes, at least 0.
    """
    if type(x) is not Tensor or torch.compiler.is_compiling() or x.numel() < LARGE or not _is_plain(x):
        return F.pad(x, widths)
    pads = [(x.ndim - 1 - number, widths[2 * number], widths[2 * number + 1]) for number in range(len(widths) // 2)]
    if x.requires_grad and torch.is_grad_enabled():
        return _Padded.apply(x, pads)
    return _padded(x, pads)


def pad_space(x: Tensor, pads: Sequence[tuple[int, int]] | None, channels_first: bool) -> Tensor:
    """The input with zeros on the (near, far) side of its axes of space; `None`: nowhere."""
    if pads is None:
        return x
    flat = [] if channels_first else [0, 0]
    for near, far in reversed(pads):  # torch counts from the last axis
        flat += [near, far]
    return pad(x, flat)


def _is_plain(x: Tensor) -> bool:
    """Whether it may be written in place, and the gradient by hand: what rewrites operations sees `F.pad`."""
    return (
        x.device.type == "cpu"
        and x.is_contiguous()
        and torch._C._get_tracing_state() is None
        and not _is_transformed()
        and getattr(torch.autograd.forward_ad, "_current_level", 0) < 0
    )


def _padded(x: Tensor, pads: Sequence[tuple[int, int, int]]) -> Tensor:
    sizes = list(x.shape)
    for axis, near, far in pads:
        sizes[axis] += near + far
    inside = outputs = x.new_empty(sizes)
    for axis, near, far in pads:
        if near:
            inside.narrow(axis, 0, near).zero_()
        if far:
            inside.narrow(axis, near + x.shape[axis], far).zero_()
        inside = inside.narrow(axis, near, x.shape[axis])
    inside.copy_(x)
    return outputs


class _Padded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pads: Sequence[tuple[int, int, int]]) -> Tensor:
        ctx.pads, ctx.sizes = pads, x.shape
        return _padded(x, pads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (inside,) = grads
        for axis, near, _ in ctx.pads:
            inside = inside.narrow(axis, near, ctx.sizes[axis])
        return inside, None
