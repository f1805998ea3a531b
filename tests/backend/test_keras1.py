"""Keras 1's words for arguments; its results are among the recorded cases."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from torchkeras import backend as K
from torchkeras import config, generations
from torchkeras.backend import keras1

IMAGE, KERNEL = torch.randn(1, 4, 5, 2), torch.randn(2, 2, 2, 3)


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras1, "_told", set())


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (
            lambda: K.conv2d(IMAGE, KERNEL, border_mode="same"),
            lambda: K.conv2d(IMAGE, KERNEL, padding="same"),
            "padding is what Keras 1 called 'border_mode'",
        ),
        (
            lambda: K.conv1d(IMAGE[0], KERNEL[0], stride=2),
            lambda: K.conv1d(IMAGE[0], KERNEL[0], strides=2),
            "strides is what Keras 1 called 'stride'",
        ),
        (
            lambda: K.conv2d(IMAGE, KERNEL, filter_dilation=(2, 2)),
            lambda: K.conv2d(IMAGE, KERNEL, dilation_rate=2),
            "dilation_rate is what Keras 1 called 'filter_dilation'",
        ),
        (
            lambda: K.conv2d(IMAGE.permute(0, 3, 1, 2), KERNEL.permute(3, 2, 0, 1), dim_ordering="th"),
            lambda: K.conv2d(IMAGE.permute(0, 3, 1, 2), KERNEL, data_format="channels_first"),
            "data_format is what Keras 1 called 'dim_ordering'",
        ),
        (lambda: K.pool2d(IMAGE, (2, 2), border_mode="same"), lambda: K.pool2d(IMAGE, (2, 2), padding="same"), "'border_mode'"),
        (lambda: K.spatial_2d_padding(IMAGE, dim_ordering="tf"), lambda: K.spatial_2d_padding(IMAGE), "'dim_ordering'"),
        (
            lambda: K.resize_images(X=IMAGE, height_factor=2, width_factor=2, data_format="channels_last"),
            lambda: K.resize_images(IMAGE, 2, 2, "channels_last"),
            "'X'",
        ),
        (lambda: K.expand_dims(IMAGE, dim=0), lambda: K.expand_dims(IMAGE, 0), "axis is what Keras 1 called 'dim'"),
        (lambda: K.one_hot([1], nb_classes=3), lambda: K.one_hot([1], 3), "num_classes is what Keras 1 called 'nb_classes'"),
        (lambda: K.random_normal((0, 2), std=2.0), lambda: K.random_normal((0, 2), stddev=2.0), "stddev is what Keras 1 called 'std'"),
        (lambda: K.random_uniform((0,), low=0.5), lambda: K.random_uniform((0,), 0.5), "minval is what Keras 1 called 'low'"),
        (lambda: K.lesser(IMAGE, 0), lambda: K.less(IMAGE, 0), "less is what Keras 1 called 'lesser'"),
        (lambda: K.lesser_equal(IMAGE, 0), lambda: K.less_equal(IMAGE, 0), "less_equal is what Keras 1 called 'lesser_equal'"),
        (
            lambda: K.asymmetric_temporal_padding(IMAGE[0], 2, 1),
            lambda: K.temporal_padding(IMAGE[0], (2, 1)),
            "temporal_padding is what Keras 1 called 'asymmetric_temporal_padding'",
        ),
    ],
)
def test_a_word_of_keras_1_is_translated_with_one_warning(old: Callable[[], Any], new: Callable[[], Any], word: str):
    with pytest.warns(DeprecationWarning, match=word):
        found = old()
    torch.testing.assert_close(found, new())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        old()


def test_hints_for_theano_need_no_warning():
    torch.testing.assert_close(K.conv2d(IMAGE, KERNEL, image_shape=None, filter_shape=(3, 2, 2, 2)), K.conv2d(IMAGE, KERNEL))


def test_the_order_of_arguments_is_that_of_the_release():
    target, output = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.25, 0.75]])
    wanted = K.binary_crossentropy(target, output)
    generations.set_keras_version("1.2.2")
    for found in (
        K.binary_crossentropy(output, target),
        K.binary_crossentropy(output, target=target),
        K.binary_crossentropy(target=target, output=output),
    ):
        torch.testing.assert_close(found, wanted)


def test_kernels_have_the_layout_of_theano_only_in_its_order_and_release():
    image, kernel = IMAGE.permute(0, 3, 1, 2), KERNEL.permute(3, 2, 0, 1)
    wanted = K.conv2d(image, KERNEL, data_format="channels_first")
    generations.set_keras_version("1.2.2")
    torch.testing.assert_close(K.conv2d(image, KERNEL, data_format="channels_first"), wanted)
    torch.testing.assert_close(K.conv2d(IMAGE, KERNEL).permute(0, 3, 1, 2), wanted)
    config.set_image_data_format("channels_first")
    torch.testing.assert_close(K.conv2d(image, kernel), wanted)
    torch.testing.assert_close(K.conv2d(image, kernel, (1, 1), "valid", "default"), wanted)


def test_symbolic_calls_in_old_words():
    x = K.placeholder((None, 4, 5, 2))
    with pytest.warns(DeprecationWarning, match="border_mode"):
        y = K.conv2d(x, KERNEL, border_mode="same")
    torch.testing.assert_close(torch.as_tensor(K.function([x], [y])([IMAGE])[0]), K.conv2d(IMAGE, KERNEL, padding="same"))


@pytest.mark.filterwarnings("ignore:K.*Keras 1 called:DeprecationWarning")
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: K.conv2d(IMAGE, KERNEL, padding="same", border_mode="same"), TypeError, r"K\.conv2d got two values for 'padding'"),
        (lambda: K.conv2d(IMAGE, KERNEL, dim_ordering="last"), ValueError, "data_format must be one of .* but got 'last'"),
        (lambda: K.atrous_conv2d(IMAGE, KERNEL, dim_ordering="channels_last"), ValueError, "takes dim_ordering 'tf'"),
        (lambda: K.conv2d(IMAGE, KERNEL, border="same"), TypeError, "border"),
    ],
)
def test_words_that_do_not_go_together(call: Callable[[], Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        call()


def test_too_many_arguments_in_the_order_of_keras_1():
    generations.set_keras_version("1.2.2")
    with pytest.raises(TypeError, match="takes at most 3 arguments by position, but got 4"):
        K.binary_crossentropy(IMAGE, IMAGE, False, None)
