"""K functions that Keras 1 had under names of their own, with their signatures there.

Source: `keras.backend.tensorflow_backend` (Keras 1.2.2).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.backend import elementwise
from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.convolution import conv2d, conv2d_transpose
from torchkeras.backend.keras1 import DIM_ORDERINGS, kernel_from_theano, tell
from torchkeras.backend.padding import spatial_2d_padding, temporal_padding
from torchkeras.config import image_data_format


def _data_format(dim_ordering: str, who: str) -> str:
    """Where the channels are, in today's words.

    Raises:
        ValueError: neither "th" nor "tf" nor "default".
    """
    if dim_ordering not in DIM_ORDERINGS:
        raise ValueError(f"{who} takes dim_ordering 'tf' (channels last), 'th' (channels first) or 'default', but got {dim_ordering!r}.")
    return DIM_ORDERINGS[dim_ordering] or image_data_format()


def lesser(x: Any, y: Any) -> Tensor:
    """Whether `x < y`, element by element: `less` since Keras 2."""
    tell("lesser", "lesser", "less")
    return elementwise.less(x, y)


def lesser_equal(x: Any, y: Any) -> Tensor:
    """Whether `x <= y`, element by element: `less_equal` since Keras 2."""
    tell("lesser_equal", "lesser_equal", "less_equal")
    return elementwise.less_equal(x, y)


def asymmetric_temporal_padding(x: Any, left_pad: int = 1, right_pad: int = 1) -> Tensor:
    """Zeros before and after each sequence: `temporal_padding` since Keras 2.

    Args:
        x: (batch, steps, channels).
        left_pad: Steps before.
        right_pad: Steps after.
    """
    tell("asymmetric_temporal_padding", "asymmetric_temporal_padding", "temporal_padding")
    return temporal_padding(x, (left_pad, right_pad))


def asymmetric_spatial_2d_padding(
    x: Any, top_pad: int = 1, bottom_pad: int = 1, left_pad: int = 1, right_pad: int = 1, dim_ordering: str = "default"
) -> Tensor:
    """Zeros around images: `spatial_2d_padding` since Keras 2.

    Args:
        x: A tensor of four axes.
        top_pad: Rows above.
        bottom_pad: Rows below.
        left_pad: Columns before.
        right_pad: Columns after.
        dim_ordering: "tf" (channels last), "th" (channels first) or "default".

    Raises:
        ValueError: an unknown dim_ordering.
    """
    tell("asymmetric_spatial_2d_padding", "asymmetric_spatial_2d_padding", "spatial_2d_padding")
    data_format = _data_format(dim_ordering, "asymmetric_spatial_2d_padding")
    return spatial_2d_padding(x, ((top_pad, bottom_pad), (left_pad, right_pad)), data_format=data_format)


def atrous_conv2d(
    x: Any, kernel: Any, rate: int = 1, border_mode: str = "valid", dim_ordering: str = "default", image_shape: Any = None, filter_shape: Any = None
) -> Tensor:
    """Dilated convolution over images: `conv2d` with a `dilation_rate` since Keras 2.

    Args:
        x: A tensor of four axes.
        kernel: (rows, columns, channels in, channels out) for "tf", (channels out, channels in, rows, columns) for "th".
        rate: Distance of the pixels in a window.
        border_mode: "valid" or "same".
        dim_ordering: "tf" (channels last), "th" (channels first) or "default".
        image_shape, filter_shape: Hints for Theano: torch sees the shapes.

    Raises:
        ValueError: an unknown dim_ordering or border_mode.
    """
    tell("atrous_conv2d", "atrous_conv2d", "conv2d with dilation_rate")
    data_format = _data_format(dim_ordering, "atrous_conv2d")
    if data_format == "channels_first":
        kernel = kernel_from_theano(kernel)
    return conv2d(x, kernel, padding=border_mode, data_format=data_format, dilation_rate=(rate, rate))


@recorded
def deconv2d(
    x: Any,
    kernel: Any,
    output_shape: Any,
    strides: Any = (1, 1),
    border_mode: str = "valid",
    dim_ordering: str = "default",
    image_shape: Any = None,
    filter_shape: Any = None,
) -> Tensor:
    """Transposed convolution over images: `conv2d_transpose` since Keras 2.

    Args:
        x: A tensor of four axes.
        kernel: (rows, columns, channels in, channels out) for "tf", (channels out, channels in, rows, columns) for "th".
        output_shape: Shape of the result.
        strides: Distance of the windows in the result.
        border_mode: "valid" or "same".
        dim_ordering: "tf" (channels last), "th" (channels first) or "default".
        image_shape, filter_shape: Hints for Theano: torch sees the shapes.

    Raises:
        ValueError: an unknown dim_ordering or border_mode.
    """
    tell("deconv2d", "deconv2d", "conv2d_transpose")
    data_format = _data_format(dim_ordering, "deconv2d")
    kernel = kernel_from_theano(kernel) if data_format == "channels_first" else as_tensor(kernel)
    return conv2d_transpose(x, kernel.transpose(2, 3), output_shape, strides, border_mode, data_format)
