"""Where the windows of convolutions and pools lie: what they pad, and which part of it a kernel of torch pads by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from torch.compiler import is_compiling

from torchkeras.shapes import same_padding

Pads = list[tuple[int, int]]  # one (near side, far side) for each axis of the space
P = ParamSpec("P")
R = TypeVar("R")


def once_for_each_size(function: Callable[P, R]) -> Callable[P, R]:
    """A function of sizes that remembers its answers, save those for sizes that are symbols of a compiler or tracer."""
    remembered = functools.lru_cache(function)

    @functools.wraps(function)
    def answer(*args: P.args, **kwargs: P.kwargs) -> R:
        if is_compiling():
            return function(*args, **kwargs)
        try:
            return remembered(*args, **kwargs)  # type: ignore[arg-type]
        except TypeError:  # symbols have no hash
            return function(*args, **kwargs)

    return answer


def window_pads(sizes: Sequence[int], padding: str, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Pads:
    """What "valid", "same" or "causal" adds on the two sides of each axis of an input of these sizes."""
    if padding == "valid":
        return [(0, 0)] * len(window)
    if padding == "causal":
        return [((size - 1) * rate, 0) for size, rate in zip(window, dilation, strict=True)]
    return [same_padding(*axis) for axis in zip(sizes, window, strides, dilation, strict=True)]


def divide_pads(pads: Pads) -> tuple[tuple[int, ...], Pads | None]:
    """What a kernel can pad by itself, the same on both sides, and what is left for `padding.pad_space` (`None`: nothing)."""
    inside = tuple(min(pad) for pad in pads)
    rest = [(near - both, far - both) for (near, far), both in zip(pads, inside, strict=True)]
    return inside, rest if any(map(any, rest)) else None


@once_for_each_size
def divided_pads(
    sizes: tuple[int, ...], padding: str, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], Pads | None]:
    """`divide_pads(window_pads(...))`."""
    return divide_pads(window_pads(sizes, padding, window, strides, dilation))


@once_for_each_size
def pads_of_pool(sizes: tuple[int, ...], window: tuple[int, ...], strides: tuple[int, ...]) -> tuple[list[int], list[bool]]:
    """For a pool with "same": what to pad on both sides, and on which axes the first output is then too many.

    TensorFlow pads the far side one more where the sum is odd. With a stride, the kernel's `ceil_mode` lets the last window reach out
    so far. Without one, the near side gets that one more too, which makes one output too many, at the beginning.
    """
    pads = [same_padding(*axis) for axis in zip(sizes, window, strides, strict=True)]
    drop = [far > near and stride == 1 for (near, far), stride in zip(pads, strides, strict=True)]
    return [far if surplus else near for (near, far), surplus in zip(pads, drop, strict=True)], drop
