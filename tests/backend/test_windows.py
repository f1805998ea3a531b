"""Convolutions, pools and paddings: what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from torchkeras import backend as K
from torchkeras import config

IMAGE, KERNEL = torch.zeros(1, 4, 5, 2), torch.zeros(2, 2, 2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: K.conv2d(IMAGE[0], KERNEL), r"an input and a kernel of 4 axes each, but got the shapes \(4, 5, 2\)"),
        (lambda: K.conv2d(IMAGE, KERNEL[:, :, :1]), r"2 channels \(channels_last\) for a kernel of shape \(2, 2, 1, 3\), which takes 1"),
        (lambda: K.conv2d(IMAGE, KERNEL, padding="full"), r"conv2d takes for `padding` one of \['valid', 'same'\], but got 'full'"),
        (lambda: K.conv2d(IMAGE, KERNEL, padding="causal"), "but got 'causal'"),
        (lambda: K.conv2d(IMAGE, KERNEL, strides=(2, 2, 2)), r"conv2d takes for `strides` .* a tuple of 2 of them, but got \(2, 2, 2\)"),
        (lambda: K.conv2d(IMAGE, KERNEL, strides=0), "conv2d takes for `strides` a whole number of at least 1 .*, but got 0"),
        (lambda: K.conv2d(IMAGE, KERNEL, strides=2, dilation_rate=2), r"not both, but got strides \(2, 2\) and dilation_rate \(2, 2\)"),
        (lambda: K.conv2d(IMAGE, KERNEL, data_format="last"), "data_format must be one of"),
        (lambda: K.conv2d_transpose(IMAGE, KERNEL, (1, 5, 6, 2)), "which makes 2 channels of 3"),
        (
            lambda: K.conv2d_transpose(IMAGE, KERNEL.mT, (1, 9, 6, 3)),
            r"output_shape \(1, 9, 6, 3\).* has the lengths \[8, 5\], but the input has \[4, 5\]",
        ),
        (lambda: K.pool2d(IMAGE, (2,)), r"pool2d takes for `pool_size` .*, but got \(2,\)"),
        (lambda: K.pool2d(IMAGE, (2, 2), pool_mode="sum"), "pool_mode 'max' or 'avg', but got 'sum'"),
        (lambda: K.pool3d(IMAGE, (2, 2, 2)), r"pool3d takes a tensor of 5 axes, but got the shape \(1, 4, 5, 2\)"),
        (lambda: K.temporal_padding(IMAGE), r"temporal_padding takes a tensor of 3 axes"),
        (lambda: K.temporal_padding(IMAGE[0], (1, 2, 3)), r"takes \(near, far\) as padding, but got \(1, 2, 3\)"),
        (lambda: K.spatial_2d_padding(IMAGE, ((1, 1),)), r"takes 2 pairs \(near, far\) as padding"),
        (lambda: K.resize_images(IMAGE, 2, 2, "tf"), "resize_images takes data_format 'channels_last' or 'channels_first', but got 'tf'"),
        (lambda: K.resize_images(IMAGE, 2, 2, "channels_last", "cubic"), "'nearest' or 'bilinear', but got 'cubic'"),
        (lambda: K.resize_volumes(IMAGE, 2, 2, 2, None), "but got None"),
        (lambda: K.local_conv1d(IMAGE[0], torch.zeros(9, 4, 1), (2,), (1,)), r"\(9,\) places, but an input of shape \(4, 5, 2\) has room for \(4,\)"),
        (lambda: K.local_conv1d(IMAGE[0], torch.zeros(3, 5, 1), (2,), (1,)), "windows of 4 numbers: its axis 1 has to be that"),
        (lambda: K.bias_add(IMAGE, torch.zeros(5, 2)), r"a bias of 1 or 3 axes for the shape \(1, 4, 5, 2\), but got one of shape \(5, 2\)"),
    ],
)
def test_what_does_not_fit_is_named(call: Callable[[], Any], message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_global_data_format_is_the_default():
    x = torch.randn(1, 2, 5, 6)
    config.set_image_data_format("channels_first")
    assert K.conv2d(x, torch.randn(2, 2, 2, 3)).shape == (1, 3, 4, 5)
    assert K.pool2d(x, (2, 2), (2, 2)).shape == (1, 2, 2, 3)
    assert K.spatial_2d_padding(x).shape == (1, 2, 7, 8)
    assert K.bias_add(x, torch.zeros(2)).shape == x.shape


def test_one_number_pads_both_sides():
    x = torch.zeros(1, 2, 3, 1)
    assert K.spatial_2d_padding(x, (1, 2)).shape == (1, 4, 7, 1)
    assert K.temporal_padding(x[..., 0], 2).shape == (1, 6, 3)


def test_the_batch_of_an_output_shape_may_be_open():
    x, kernel = torch.randn(2, 3, 3, 4), torch.randn(2, 2, 5, 4)
    assert K.conv2d_transpose(x, kernel, (None, 4, 4, 5)).shape == (2, 4, 4, 5)
    assert K.conv2d_transpose(x, kernel, (K.shape(x)[0], 6, 6, 5), (2, 2), "same").shape == (2, 6, 6, 5)


def test_channels_last_is_a_view_of_the_kernel_s_own_layout():
    """No copy is made on the way in or out: the input has torch's channels_last layout already, and so has the output."""
    x = torch.randn(2, 8, 8, 16)
    made = K.conv2d(x, torch.randn(3, 3, 16, 32), padding="same")
    assert made.is_contiguous()
    assert K.pool2d(made, (2, 2), (2, 2)).is_contiguous()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pool_mode", ["max", "avg"])
def test_a_volume_may_be_smaller_than_the_window(pool_mode: str, dtype: torch.dtype):
    x = torch.arange(8.0).to(dtype).reshape(1, 2, 2, 2, 1)
    pooled = K.pool3d(x, (3, 3, 3), (2, 2, 2), "same", pool_mode=pool_mode)
    assert pooled.dtype == dtype
    assert pooled.flatten().tolist() == [7.0 if pool_mode == "max" else 3.5]


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_windows_of_one_entry_with_strides_see_every_so_many_entries(padding: str):
    x, kernel = torch.randn(4, 64, 64, 8), torch.randn(1, 1, 8, 16, requires_grad=True)
    made = K.conv2d(x, kernel, (2, 3), padding)
    torch.testing.assert_close(made, x[:, ::2, ::3] @ kernel[0, 0], rtol=1e-4, atol=1e-4)
    (found,) = torch.autograd.grad(made, kernel, torch.ones_like(made))
    torch.testing.assert_close(found[0, 0], x[:, ::2, ::3].sum((0, 1, 2))[:, None].expand(8, 16), rtol=1e-4, atol=1e-3)
