"""Pools as Keras pads them, by the kernels of torch, which pad both sides alike. Padding is never the greatest and does not count in averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.ops.windows import pads_of_pool


def pool_same(image: Tensor, window: tuple[int, ...], strides: tuple[int, ...], reduce: Callable[..., Tensor], first: int = 2) -> Tensor:
    """Pool with "same".

    Args:
        image: Its axes of space are those from `first` on.
        window, strides: Of these axes.
        reduce: Called with image, window, strides, and the padding of both sides; its kernel has `ceil_mode`.
        first: The first axis of space.
    """
    near, drop = pads_of_pool(image.shape[first:], window, strides)
    outputs = reduce(image, window, strides, near)
    for axis, surplus in enumerate(drop, start=first):
        if surplus:
            outputs = outputs.narrow(axis, 1, outputs.shape[axis] - 1)
    return outputs


def max_pool(image: Tensor, window: tuple[int, ...], strides: tuple[int, ...], padding: Any = 0, ceil: bool = False) -> Tensor:
    """The greatest entry of windows of (batch, channels, rows, columns), or of volumes."""
    function = torch.max_pool2d if len(window) == 2 else torch.max_pool3d
    return function(image, window, strides, padding, 1, ceil)


def average_pool(image: Tensor, window: tuple[int, ...], strides: tuple[int, ...], padding: Any = 0, ceil: bool = False) -> Tensor:
    """The average of windows of (batch, channels, *space)."""
    if len(window) < 3:
        return (F.avg_pool2d if len(window) == 2 else F.avg_pool1d)(image, window, strides, padding, ceil, False)
    if _knows_volume(image, window, ceil):
        return F.avg_pool3d(image, window, strides, padding, ceil, False)
    return average_by_planes(image, window, strides, padding, ceil)


def average_by_planes(image: Tensor, window: tuple[int, ...], strides: tuple[int, ...], padding: Any = 0, ceil: bool = False) -> Tensor:
    """`average_pool` of volumes: the average of averages, since the number of entries in a window is a product over the axes."""
    near, rows, columns = padding or (0, 0, 0)
    batch, depth = image.shape[0], image.shape[2]
    planes = average_pool(image.transpose(1, 2).flatten(0, 1), window[1:], strides[1:], (rows, columns), ceil)
    pixels = planes.unflatten(0, (batch, depth)).transpose(1, 2).flatten(3)  # (batch, channels, depth, rows * columns)
    return average_pool(pixels, (window[0], 1), (strides[0], 1), (near, 0), ceil).unflatten(3, planes.shape[2:])


def _knows_volume(image: Tensor, window: tuple[int, ...], padded: bool) -> bool:
    """Whether torch's kernel takes this volume: it knows no half precision on the CPU, nor a padded one smaller than the window."""
    if image.dtype in (torch.bfloat16, torch.float16) and image.is_cpu:
        return False
    return not padded or all(size >= reach for size, reach in zip(image.shape[2:], window, strict=True))
