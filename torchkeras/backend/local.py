"""K functions of locally connected layers: convolutions whose kernel is another one at each place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.config import normalize_data_format


def _local(inputs: Any, kernel: Any, kernel_size: Any, strides: Any, output_shape: tuple[int, ...], data_format: str | None, who: str) -> Tensor:
    kernel = as_tensor(kernel, like=inputs if isinstance(inputs, Tensor) else None)
    x = as_tensor(inputs, like=kernel)
    axes, first = len(output_shape), normalize_data_format(data_format) == "channels_first"
    windows = x if first else x.movedim(-1, 1)
    for axis, (size, step) in enumerate(zip(kernel_size, strides, strict=True), 2):
        windows = windows.unfold(axis, size, step)
    for axis, length in enumerate(output_shape, 2):
        if windows.shape[axis] < length:
            raise ValueError(
                f"{who} got a kernel for {tuple(output_shape)} places, but an input of shape {tuple(x.shape)} "
                f"has room for {tuple(windows.shape[2 : 2 + axes])}."
            )
        windows = windows.narrow(axis, 0, length)
    # now (batch, channels, *places, *window); the features of a place are (channels, *window), or (*window, channels)
    batch, places, window = windows.shape[0], tuple(range(2, 2 + axes)), tuple(range(2 + axes, 2 + 2 * axes))
    features = windows.permute(*places, 0, *((1, *window) if first else (*window, 1))).reshape(kernel.shape[0], batch, -1)
    if features.shape[2] != kernel.shape[1]:
        raise ValueError(f"{who} got a kernel of shape {tuple(kernel.shape)} for windows of {features.shape[2]} numbers: its axis 1 has to be that.")
    made = torch.bmm(features, kernel).reshape(*output_shape, batch, kernel.shape[2])
    order = (axes, axes + 1, *range(axes)) if first else (axes, *range(axes), axes + 1)
    return made.permute(order)


@recorded
def local_conv1d(inputs: Any, kernel: Any, kernel_size: Any, strides: Any, data_format: str | None = None) -> Tensor:
    """Convolution over time with a kernel for each step.

    Args:
        inputs: (batch, steps, channels), or channels first.
        kernel: (places, window * channels, channels out).
        kernel_size: (window,).
        strides: (steps from window to window,).
        data_format: Where the channels are; `None`: the global setting.

    Raises:
        ValueError: a kernel that does not fit the input.
    """
    kernel = as_tensor(kernel)
    return _local(inputs, kernel, kernel_size, strides, (kernel.shape[0],), data_format, "local_conv1d")


@recorded
def local_conv2d(inputs: Any, kernel: Any, kernel_size: Any, strides: Any, output_shape: Any, data_format: str | None = None) -> Tensor:
    """Convolution over images with a kernel for each place.

    Args:
        inputs: (batch, rows, columns, channels), or channels first.
        kernel: (places, window * channels, channels out).
        kernel_size: (rows, columns) of a window.
        strides: (rows, columns) from window to window.
        output_shape: (rows, columns) of the result.
        data_format: Where the channels are; `None`: the global setting.

    Raises:
        ValueError: a kernel that does not fit the input.
    """
    return _local(inputs, kernel, kernel_size, strides, tuple(output_shape), data_format, "local_conv2d")
