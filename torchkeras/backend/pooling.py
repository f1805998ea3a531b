"""K functions of pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.backend.windows import as_tuple, channels_back, channels_to_front, check_padding, pad_unevenly, window_padding
from torchkeras.config import normalize_data_format

_MAXIMA: Final[dict[int, Callable[..., Tensor]]] = {2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGES: Final[dict[int, Callable[..., Tensor]]] = {2: F.avg_pool2d, 3: F.avg_pool3d}


def _pool(x: Any, pool_size: Any, strides: Any, padding: Any, data_format: str | None, pool_mode: str, axes: int, who: str) -> Tensor:
    x = as_tensor(x)
    if x.ndim != axes + 2:
        raise ValueError(f"{who} takes a tensor of {axes + 2} axes, but got the shape {tuple(x.shape)}.")
    if pool_mode not in ("max", "avg"):
        raise ValueError(f"{who} takes pool_mode 'max' or 'avg', but got {pool_mode!r}.")
    data_format = normalize_data_format(data_format)
    padding = check_padding(padding, who)
    window, step = as_tuple(pool_size, axes, who, "pool_size"), as_tuple(strides, axes, who, "strides")
    images = channels_to_front(x, data_format)
    pads = window_padding(images.shape[2:], window, step, (1,) * axes, padding)
    if pool_mode == "max":
        images, even = pad_unevenly(images, pads, -torch.inf)
        return channels_back(_MAXIMA[axes](images, window, step, even), data_format)
    padded, even = pad_unevenly(images, pads)
    pooled = _AVERAGES[axes](padded, window, step, even, count_include_pad=False)
    if padded is not images:
        # padding does not count: undo the division by the whole window
        share = F.pad(images.new_ones((1, 1, *images.shape[2:])), [width for pair in reversed(pads) for width in pair])
        pooled = pooled / _AVERAGES[axes](share, window, step)
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
