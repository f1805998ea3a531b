"""K functions of pooling."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.backend.windows import channels_back, channels_to_front
from torchkeras.config import normalize_data_format
from torchkeras.layers.spatial import choice, whole_numbers
from torchkeras.ops.pooling import average_pool, max_pool, pool_same

_KERNELS: Final[dict[str, Callable[..., Tensor]]] = {"max": max_pool, "avg": average_pool}


def _pool(x: Any, pool_size: Any, strides: Any, padding: Any, data_format: str | None, pool_mode: str, axes: int, who: str) -> Tensor:
    x = as_tensor(x)
    if x.ndim != axes + 2:
        raise ValueError(f"{who} takes a tensor of {axes + 2} axes, but got the shape {tuple(x.shape)}.")
    if pool_mode not in _KERNELS:
        raise ValueError(f"{who} takes pool_mode 'max' or 'avg', but got {pool_mode!r}.")
    data_format = normalize_data_format(data_format)
    kernel = functools.partial(_KERNELS[pool_mode], ceil=choice(padding, ("valid", "same"), "padding", who) == "same")
    window, step = whole_numbers(pool_size, axes, "pool_size", who), whole_numbers(strides, axes, "strides", who)
    images = channels_to_front(x, data_format)
    pooled = pool_same(images, window, step, kernel) if kernel.keywords["ceil"] else kernel(images, window, step)
    return channels_back(pooled, data_format)


@keras1_spelling
@recorded
def pool2d(x: Any, pool_size: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None, pool_mode: str = "max") -> Tensor:
    """Greatest element or average of windows of images.

    Args:
        x: (batch, rows, columns, channels), or channels first.
        pool_size: Size of a window.
        strides: Distance of the windows.
        padding: "valid" or "same"; padding does not count in averages.
        data_format: Where the channels are; `None`: the global setting.
        pool_mode: "max" or "avg".

    Raises:
        ValueError: an unknown padding or mode, or another number of axes.
    """
    return _pool(x, pool_size, strides, padding, data_format, pool_mode, 2, "pool2d")


@keras1_spelling
@recorded
def pool3d(
    x: Any, pool_size: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None, pool_mode: str = "max"
) -> Tensor:
    """Greatest element or average of windows of volumes; arguments as in `pool2d`, with one axis more."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode, 3, "pool3d")
