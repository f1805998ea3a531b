"""K functions that pad and enlarge sequences, images and volumes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.config import DATA_FORMATS, normalize_data_format
from torchkeras.generations import choose
from torchkeras.ops.padding import pad


def _pairs(padding: Any, count: int, who: str) -> list[tuple[int, int]]:
    """(near, far) for each of `count` axes, from pairs, or from numbers for both sides.

    Raises:
        ValueError: another number of them.
    """
    given = [padding] if count == 1 and (isinstance(padding, int) or not isinstance(padding[0], (list, tuple))) else list(padding)
    pairs = [(side, side) if isinstance(side, int) else tuple(side) for side in given]
    if len(pairs) != count or any(len(pair) != 2 for pair in pairs):
        wanted = "(near, far)" if count == 1 else f"{count} pairs (near, far)"
        raise ValueError(f"{who} takes {wanted} as padding, but got {padding!r}.")
    return pairs


def _pad(x: Any, pairs: list[tuple[int, int]], first_axis: int, who: str) -> Tensor:
    """Zeros around the axes from `first_axis` on."""
    x = as_tensor(x)
    if x.ndim != len(pairs) + 2:
        raise ValueError(f"{who} takes a tensor of {len(pairs) + 2} axes, but got the shape {tuple(x.shape)}.")
    widths = [0, 0] * (x.ndim - first_axis - len(pairs))
    return pad(x, widths + [width for pair in reversed(pairs) for width in pair])


@recorded
def temporal_padding(x: Any, padding: Any = (1, 1)) -> Tensor:
    """Zeros before and after each sequence.

    Args:
        x: A tensor (batch, steps, channels).
        padding: (steps before, steps after), or one number for both.

    Raises:
        ValueError: a padding of another form, or another number of axes.
    """
    return _pad(x, _pairs(padding, 1, "temporal_padding"), 1, "temporal_padding")


@keras1_spelling
@recorded
def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Tensor:
    """Zeros around images.

    Args:
        x: A tensor of four axes.
        padding: ((top, bottom), (left, right)), or one number for each axis.
        data_format: Where the channels are; `None`: the global setting.

    Raises:
        ValueError: a padding of another form, or another number of axes.
    """
    first = 1 if normalize_data_format(data_format) == "channels_last" else 2
    return _pad(x, _pairs(padding, 2, "spatial_2d_padding"), first, "spatial_2d_padding")


@keras1_spelling
@recorded
def spatial_3d_padding(x: Any, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None) -> Tensor:
    """Zeros around volumes.

    Args:
        x: A tensor of five axes.
        padding: One pair (near, far) or one number for each axis.
        data_format: Where the channels are; `None`: the global setting.

    Raises:
        ValueError: a padding of another form, or another number of axes.
    """
    first = 1 if normalize_data_format(data_format) == "channels_last" else 2
    return _pad(x, _pairs(padding, 3, "spatial_3d_padding"), first, "spatial_3d_padding")


def _check_format(data_format: Any, who: str) -> str:
    if data_format not in DATA_FORMATS:
        raise ValueError(f"{who} takes data_format 'channels_last' or 'channels_first', but got {data_format!r}.")
    return data_format


@keras1_spelling
@recorded
def resize_images(x: Any, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest") -> Tensor:
    """Images enlarged by whole factors.

    Args:
        x: A tensor of four axes.
        height_factor: How many times as high; a fraction is cut off.
        width_factor: How many times as wide; a fraction is cut off.
        data_format: Where the channels are.
        interpolation: "nearest" or "bilinear". The latter takes pixels as areas with the value at their centres in
            tf.keras; in Keras 1 and 2 as points, the first ones of both images on each other.

    Raises:
        ValueError: an unknown data format or interpolation.
    """
    first = 1 if _check_format(data_format, "resize_images") == "channels_last" else 2
    x = as_tensor(x)
    factors = int(height_factor), int(width_factor)
    if interpolation == "nearest":
        return _repeat(x, factors, first)
    if interpolation != "bilinear":
        raise ValueError(f"resize_images takes interpolation 'nearest' or 'bilinear', but got {interpolation!r}.")
    if choose("upsampling.half_pixel"):
        images = x.permute(0, 3, 1, 2) if first == 1 else x
        sizes = [images.shape[2] * factors[0], images.shape[3] * factors[1]]
        images = F.interpolate(images, size=sizes, mode="bilinear", align_corners=False)
        return images.permute(0, 2, 3, 1) if first == 1 else images
    for axis, factor in enumerate(factors, first):
        x = _blend(x, factor, axis)
    return x


@keras1_spelling
@recorded
def resize_volumes(x: Any, depth_factor: int, height_factor: int, width_factor: int, data_format: str) -> Tensor:
    """Volumes enlarged by whole factors, each element repeated.

    Args:
        x: A tensor of five axes.
        depth_factor: How many times as deep.
        height_factor: How many times as high.
        width_factor: How many times as wide.
        data_format: Where the channels are.

    Raises:
        ValueError: an unknown data format.
    """
    first = 1 if _check_format(data_format, "resize_volumes") == "channels_last" else 2
    return _repeat(as_tensor(x), (depth_factor, height_factor, width_factor), first)


def _repeat(x: Tensor, factors: tuple[int, ...], first: int) -> Tensor:
    for axis, factor in enumerate(factors, first):
        if factor != 1:
            x = x.repeat_interleave(factor, dim=axis)
    return x


def _blend(x: Tensor, factor: int, axis: int) -> Tensor:
    """Linear between neighbours, from each element to the next; the last one stays."""
    following = torch.cat([x.narrow(axis, 1, x.shape[axis] - 1), x.narrow(axis, x.shape[axis] - 1, 1)], axis)
    share = torch.arange(factor, device=x.device, dtype=x.dtype) / factor
    share = share.repeat(x.shape[axis]).view(*[1] * axis, -1, *[1] * (x.ndim - axis - 1))
    return torch.lerp(x.repeat_interleave(factor, dim=axis), following.repeat_interleave(factor, dim=axis), share)
