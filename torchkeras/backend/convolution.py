"""K functions of convolutions, in Keras' layouts.

Kernels are (*window, channels in, channels out); a transposed convolution has the last two in the other order. Inputs have the
channels where `data_format` says (`None`: the global setting). "same" pads the far side more, as TensorFlow does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch.nn.functional as F
from torch import Tensor

from torchkeras.backend.conversion import as_size, as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.backend.windows import channels_back, channels_to_front, check_strides
from torchkeras.config import normalize_data_format
from torchkeras.layers.spatial import choice, whole_numbers
from torchkeras.ops.padding import pad_space
from torchkeras.ops.windows import divided_pads, window_pads
from torchkeras.shapes import conv_output_length

_CONVOLUTIONS: Final[dict[int, Callable[..., Tensor]]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: Final[dict[int, Callable[..., Tensor]]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def _operands(x: Any, kernel: Any, who: str, axes: int) -> tuple[Tensor, Tensor]:
    kernel = as_tensor(kernel, like=x if isinstance(x, Tensor) else None)
    x = as_tensor(x, like=kernel)
    if x.ndim != axes + 2 or kernel.ndim != axes + 2:
        raise ValueError(f"{who} takes an input and a kernel of {axes + 2} axes each, but got the shapes {tuple(x.shape)} and {tuple(kernel.shape)}.")
    return x, kernel


def _convolve(
    x: Any, kernel: Any, strides: Any, padding: Any, data_format: str | None, dilation_rate: Any, axes: int, who: str, *, depthwise: bool = False
) -> Tensor:
    x, kernel = _operands(x, kernel, who, axes)
    data_format = normalize_data_format(data_format)
    padding = choice(padding, ("valid", "same", "causal") if who == "conv1d" else ("valid", "same"), "padding", who)
    step, dilation = whole_numbers(strides, axes, "strides", who), whole_numbers(dilation_rate, axes, "dilation_rate", who)
    check_strides(step, dilation, who)
    images = channels_to_front(x, data_format)
    if images.shape[1] != kernel.shape[-2]:
        raise ValueError(
            f"{who} got an input with {images.shape[1]} channels ({data_format}) for a kernel of shape {tuple(kernel.shape)}, "
            f"which takes {kernel.shape[-2]}."
        )
    if max(kernel.shape[:-2]) == 1 and max(step) > 1:
        # what such windows see: the gradient of torch's kernel with strides writes out of its memory where channels are few (torch 2.13)
        seen: tuple[Any, ...] = (..., *(slice(None, None, stride) for stride in step))
        x, step = channels_back(images[seen], data_format), (1,) * axes
    pads, rest = divided_pads(images.shape[2:], padding, kernel.shape[:-2], step, dilation)
    images = channels_to_front(pad_space(x, rest, data_format == "channels_first"), data_format)
    groups = 1
    if depthwise:
        groups = kernel.shape[-2]
        kernel = kernel.permute(axes, axes + 1, *range(axes)).flatten(0, 1).unsqueeze(1)
    else:
        kernel = kernel.permute(axes + 1, axes, *range(axes))
    return channels_back(_CONVOLUTIONS[axes](images, kernel, None, step, pads, dilation, groups), data_format)


@keras1_spelling
@recorded
def conv1d(x: Any, kernel: Any, strides: int = 1, padding: str = "valid", data_format: str | None = None, dilation_rate: int = 1) -> Tensor:
    """Convolution over time.

    Args:
        x: (batch, steps, channels).
        kernel: (window, channels in, channels out).
        strides: Steps from window to window.
        padding: "valid", "same" or "causal" (no step sees a later one).
        data_format: Where the channels are.
        dilation_rate: Distance of the steps in a window.

    Raises:
        ValueError: arguments that do not go together.
    """
    return _convolve(x, kernel, strides, padding, data_format, dilation_rate, 1, "conv1d")


@keras1_spelling
@recorded
def conv2d(x: Any, kernel: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None, dilation_rate: Any = (1, 1)) -> Tensor:
    """Convolution over images.

    Args:
        x: (batch, rows, columns, channels), or channels first.
        kernel: (rows, columns, channels in, channels out).
        strides: Distance of the windows.
        padding: "valid" or "same".
        data_format: Where the channels are.
        dilation_rate: Distance of the pixels in a window.

    Raises:
        ValueError: arguments that do not go together.
    """
    return _convolve(x, kernel, strides, padding, data_format, dilation_rate, 2, "conv2d")


@keras1_spelling
@recorded
def conv3d(
    x: Any, kernel: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None, dilation_rate: Any = (1, 1, 1)
) -> Tensor:
    """Convolution over volumes; arguments as in `conv2d`, with one axis more."""
    return _convolve(x, kernel, strides, padding, data_format, dilation_rate, 3, "conv3d")


@recorded
def depthwise_conv2d(
    x: Any, depthwise_kernel: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None, dilation_rate: Any = (1, 1)
) -> Tensor:
    """Convolution of each channel by itself.

    Args:
        x: (batch, rows, columns, channels), or channels first.
        depthwise_kernel: (rows, columns, channels, multiplier): so many results of each channel, one after the other.
        strides: Distance of the windows.
        padding: "valid" or "same".
        data_format: Where the channels are.
        dilation_rate: Distance of the pixels in a window.

    Raises:
        ValueError: arguments that do not go together.
    """
    return _convolve(x, depthwise_kernel, strides, padding, data_format, dilation_rate, 2, "depthwise_conv2d", depthwise=True)


def _separable(
    x: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any, axes: int, who: str
) -> Tensor:
    deep = _convolve(x, depthwise_kernel, strides, padding, data_format, dilation_rate, axes, who, depthwise=True)
    return _convolve(deep, pointwise_kernel, 1, "valid", data_format, 1, axes, who)


@recorded
def separable_conv1d(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:
    """Convolution over time of each channel by itself, then a mixture of the channels.

    Args:
        x: (batch, steps, channels).
        depthwise_kernel: (window, channels, multiplier).
        pointwise_kernel: (1, channels * multiplier, channels out).
        strides: Steps from window to window.
        padding: "valid" or "same".
        data_format: Where the channels are.
        dilation_rate: Distance of the steps in a window.

    Raises:
        ValueError: arguments that do not go together.
    """
    return _separable(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate, 1, "separable_conv1d")


@keras1_spelling
@recorded
def separable_conv2d(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Tensor:
    """Convolution over images of each channel by itself, then a mixture of the channels.

    Args:
        x: (batch, rows, columns, channels), or channels first.
        depthwise_kernel: (rows, columns, channels, multiplier).
        pointwise_kernel: (1, 1, channels * multiplier, channels out).
        strides: Distance of the windows.
        padding: "valid" or "same".
        data_format: Where the channels are.
        dilation_rate: Distance of the pixels in a window.

    Raises:
        ValueError: arguments that do not go together.
    """
    return _separable(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate, 2, "separable_conv2d")


def _transposed(
    x: Any, kernel: Any, output_shape: Any, strides: Any, padding: Any, data_format: str | None, dilation_rate: Any, axes: int, who: str
) -> Tensor:
    """The gradient of a convolution that would turn something of `output_shape` into something of the shape of `x`."""
    x, kernel = _operands(x, kernel, who, axes)
    data_format = normalize_data_format(data_format)
    padding = choice(padding, ("valid", "same"), "padding", who)
    step, dilation = whole_numbers(strides, axes, "strides", who), whole_numbers(dilation_rate, axes, "dilation_rate", who)
    check_strides(step, dilation, who)
    spatial = output_shape[2:] if data_format == "channels_first" else output_shape[1:-1]
    wanted = [as_size(dim) for dim in spatial]
    images = channels_to_front(x, data_format)
    channels = output_shape[1] if data_format == "channels_first" else output_shape[-1]
    if images.shape[1] != kernel.shape[-1] or (channels is not None and as_size(channels) != kernel.shape[-2]):
        raise ValueError(
            f"{who} got an input with {images.shape[1]} channels ({data_format}) and the output_shape {tuple(output_shape)} for a kernel of shape "
            f"{tuple(kernel.shape)}, which makes {kernel.shape[-2]} channels of {kernel.shape[-1]}."
        )
    window = kernel.shape[:-2]
    back = [conv_output_length(*each) for each in zip(wanted, window, (padding,) * axes, step, dilation, strict=True)]
    if back != list(images.shape[2:]):
        raise ValueError(
            f"{who} cannot give the output_shape {tuple(output_shape)}: a convolution ({padding!r}, strides {step}) of it has the lengths {back}, "
            f"but the input has {list(images.shape[2:])}."
        )
    near = [pair[0] for pair in window_pads(wanted, padding, window, step, dilation)]
    bare = [
        (length - 1) * s - 2 * p + (size - 1) * d + 1 for length, s, p, size, d in zip(images.shape[2:], step, near, window, dilation, strict=True)
    ]
    extra = [max(length - own, 0) for length, own in zip(wanted, bare, strict=True)]
    kernel = kernel.permute(axes + 1, axes, *range(axes))
    made = _TRANSPOSED[axes](images, kernel, None, step, tuple(near), tuple(extra), 1, dilation)
    for axis, length in enumerate(wanted, 2):
        made = made.narrow(axis, 0, length)  # uneven "same" padding: the kernel pads both sides alike, so one element is too many
    return channels_back(made, data_format)


@recorded
def conv2d_transpose(
    x: Any,
    kernel: Any,
    output_shape: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Tensor:
    """Transposed convolution over images.

    Args:
        x: (batch, rows, columns, channels), or channels first.
        kernel: (rows, columns, channels out, channels in).
        output_shape: Shape of the result, with the batch axis (which may be `None`).
        strides: Distance of the windows in the result.
        padding: "valid" or "same".
        data_format: Where the channels are.
        dilation_rate: Distance of the pixels in a window.

    Raises:
        ValueError: arguments that do not go together.
    """
    return _transposed(x, kernel, output_shape, strides, padding, data_format, dilation_rate, 2, "conv2d_transpose")


@recorded
def conv3d_transpose(
    x: Any, kernel: Any, output_shape: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None
) -> Tensor:
    """Transposed convolution over volumes; arguments as in `conv2d_transpose`, with one axis more."""
    return _transposed(x, kernel, output_shape, strides, padding, data_format, 1, 3, "conv3d_transpose")
