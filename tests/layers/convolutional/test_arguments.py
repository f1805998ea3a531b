"""Bad arguments and bad inputs of convolutions: a clear error that says what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import config, generations, layers

CONVOLUTIONS = [layers.Conv1D, layers.Conv2D, layers.Conv3D]
TRANSPOSED = [layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose]
SEPARABLE = [layers.SeparableConv1D, layers.SeparableConv2D]
DEPTHWISE = [layers.DepthwiseConv1D, layers.DepthwiseConv2D]
WITH_FILTERS = [*CONVOLUTIONS, *TRANSPOSED, *SEPARABLE]


def steps(rank: int, length: int = 5, channels: int = 4) -> torch.Tensor:
    return torch.zeros(2, *(length,) * rank, channels)


@pytest.mark.parametrize("cls", WITH_FILTERS)
@pytest.mark.parametrize("filters", [0, -1, 2.5, "many", None])
def test_filters_must_be_a_number_above_zero(cls, filters):
    with pytest.raises((ValueError, TypeError), match=f"filters.*{filters}"):
        cls(filters, 3)


@pytest.mark.parametrize("cls", [layers.Conv2D, layers.Conv2DTranspose, layers.SeparableConv2D])
def test_whole_floats_are_numbers(cls):
    assert cls(4.0, (3.0, 3)).get_config()["kernel_size"] == (3, 3)


@pytest.mark.parametrize("cls", WITH_FILTERS)
@pytest.mark.parametrize("value", [0, (3, 0, 3, 3), "3", None, (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("argument", ["kernel_size", "strides", "dilation_rate"])
def test_sizes_must_be_numbers_above_zero(cls, argument, value):
    with pytest.raises(ValueError, match=rf"{cls.__name__} '\w+' takes for `{argument}` a whole number of at least 1"):
        cls(**{"filters": 2, "kernel_size": 3, argument: value})


@pytest.mark.parametrize("cls", WITH_FILTERS)
def test_padding_must_be_known(cls):
    with pytest.raises(ValueError, match=r"`padding` one of \['valid', 'same'.*got 'full'"):
        cls(2, 3, padding="full")
    if cls not in (layers.Conv1D, layers.SeparableConv1D):
        with pytest.raises(ValueError, match=r"`padding` one of \['valid', 'same'\], but got 'causal'"):
            cls(2, 3, padding="causal")
    assert cls(2, 3, padding="SAME").padding == "same"


@pytest.mark.parametrize("cls", [*WITH_FILTERS, layers.UpSampling2D, layers.ZeroPadding3D, layers.Cropping2D])
def test_data_format_must_be_known(cls):
    arguments = {"filters": 2, "kernel_size": 3} if cls in WITH_FILTERS else {}
    with pytest.raises(ValueError, match=rf"{cls.__name__} '\w+': data_format must be one of .* but got 'NHWC'"):
        cls(data_format="NHWC", **arguments)


@pytest.mark.parametrize("cls", WITH_FILTERS)
def test_strides_and_dilation_exclude_each_other(cls):
    with pytest.raises(ValueError, match=r"strides=\(2.* together with dilation_rate=\(3"):
        cls(2, 3, strides=2, dilation_rate=3)


def test_depthwise_arguments_are_checked():
    for cls in DEPTHWISE:
        with pytest.raises(ValueError, match=r"strides=.* together with dilation_rate"):
            cls(3, strides=2, dilation_rate=2)
        with pytest.raises(ValueError, match="`depth_multiplier` a whole number of at least 1, but got 0"):
            cls(3, depth_multiplier=0)


def test_groups_must_divide():
    with pytest.raises(ValueError, match="divides filters=3, but got 2"):
        layers.Conv2D(3, 3, groups=2)
    with pytest.raises(ValueError, match="groups=2, which 3 channels do not allow"):
        layers.Conv2D(4, 3, groups=2)(steps(2, channels=3))
    with pytest.raises(ValueError, match=r"whole number that divides filters=4, but got 'relu'.*by name"):  # the order of Keras 2.2.4
        layers.Conv2D(4, 3, 1, "same", None, 1, "relu")
    for cls in [*TRANSPOSED, *SEPARABLE]:
        with pytest.raises(ValueError, match="leave groups at 1, but got 2"):
            cls(4, 3, groups=2)
        assert cls(4, 3, groups=1).groups == 1  # as tf.keras writes it into configs


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_window_larger_than_the_input_is_refused(rank):
    with pytest.raises(ValueError, match="to have at least 5 entries, found 4"):
        CONVOLUTIONS[rank - 1](2, 5)(steps(rank, 4))
    layer = CONVOLUTIONS[rank - 1](2, 3, dilation_rate=2)
    layer(steps(rank, 5))
    for _ in range(2):  # the first call leaves the door, the next go straight to the kernel
        with pytest.raises(ValueError, match="to have at least 5 entries, found 4"):
            layer(steps(rank, 4))
        layer(steps(rank, 6))
    with pytest.raises(ValueError, match="at least 5 entries, found 4"):
        CONVOLUTIONS[rank - 1](2, 5)(layers.Input((4,) * rank + (3,)))
    CONVOLUTIONS[rank - 1](2, 5, padding="same")(steps(rank, 4))


@pytest.mark.parametrize("cls", [*WITH_FILTERS, *DEPTHWISE])
def test_the_rank_must_fit(cls):
    layer = cls(*((2, 3) if cls in WITH_FILTERS else (3,)))
    few = "expected min_ndim" if cls in CONVOLUTIONS else "expected ndim"
    with pytest.raises(ValueError, match=f"{few}={layer.rank + 2}, found ndim={layer.rank + 1}"):
        layer(torch.zeros((2,) * (layer.rank + 1)))
    layer(steps(layer.rank))
    with pytest.raises(ValueError, match=f"{few}={layer.rank + 2}, found ndim={layer.rank + 1}"):
        layer(torch.zeros((2,) * (layer.rank + 1)))


@pytest.mark.parametrize("cls", [*WITH_FILTERS, *DEPTHWISE])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_the_number_of_channels_must_not_change(cls, data_format):
    layer = cls(*((2, 3) if cls in WITH_FILTERS else (3,)), data_format=data_format)
    axis = -1 if data_format == "channels_last" else -1 - layer.rank
    layer(steps(layer.rank, channels=4).movedim(-1, axis))
    layer(steps(layer.rank, channels=4).movedim(-1, axis))
    with pytest.raises(ValueError, match=f"expected axis {axis} of input shape to have value 4, found 8.*use a new layer"):
        layer(steps(layer.rank, channels=8).movedim(-1, axis))


def test_the_number_of_channels_must_be_known():
    for layer in (layers.Conv2D(2, 3), layers.Conv2DTranspose(2, 3), layers.SeparableConv2D(2, 3), layers.DepthwiseConv2D(3)):
        with pytest.raises(ValueError, match=r"needs the size of the channel axis.*\(None, 8, 8, None\)"):
            layer(layers.Input((8, 8, None)))


@pytest.mark.parametrize("cls", WITH_FILTERS)
def test_initial_weights_must_have_the_right_shapes(cls):
    layer = cls(2, 3, weights=[np.zeros((1, 1))] * 3)
    with pytest.raises(ValueError, match="set_weights got"):
        layer(steps(layer.rank))


def test_output_padding_must_stay_below_strides():
    for cls in TRANSPOSED:
        with pytest.raises(ValueError, match=r"output_padding below strides=\(2.*got \(2"):
            cls(2, 3, strides=2, output_padding=2)
        with pytest.raises(ValueError, match="`output_padding` a whole number of at least 0"):
            cls(2, 3, strides=2, output_padding=-1)


@pytest.mark.parametrize("argument", ["initializer", "regularizer", "constraint"])
def test_unused_kernel_arguments_are_named(argument):
    value = {"initializer": "zeros", "regularizer": "l2", "constraint": "non_neg"}[argument]
    for cls, instead in ((layers.SeparableConv1D, "pointwise"), (layers.DepthwiseConv2D, "depthwise")):
        arguments = {"kernel_size": 3, f"kernel_{argument}": value, **({"filters": 2} if instead == "pointwise" else {})}
        with pytest.warns(UserWarning, match=rf"does nothing with kernel_{argument}.*{instead}_{argument}"):
            cls(**arguments)


def test_unknown_arguments_are_refused_with_the_nearest_name():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'dilation'.*dilation_rate"):
        layers.Conv2D(2, 3, dilation=2)


def test_the_global_data_format_is_followed():
    config.set_image_data_format("channels_first")
    assert layers.Conv2D(2, 3).data_format == "channels_first"
    assert layers.Conv1D(2, 3).data_format == "channels_last"
    assert layers.SeparableConv1D(2, 3).data_format == "channels_first"
    with generations.using_keras_version("2.2.4"):
        assert layers.SeparableConv1D(2, 3).data_format == "channels_last"


def test_configs_say_what_the_release_says():
    for version, groups in (("2.2.4", False), ("2.4.0", True)):
        with generations.using_keras_version(version):
            assert ("groups" in layers.Conv2D(2, 3).get_config()) == groups
            assert ("kernel_initializer" in layers.SeparableConv2D(2, 3).get_config()) == groups
            assert layers.Conv2D(2, 3, groups=2).get_config()["groups"] == 2  # never lost
            assert layers.Conv3DTranspose(2, 3, dilation_rate=2).get_config()["dilation_rate"] == (2, 2, 2)


@pytest.mark.parametrize("cls", [layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D])
@pytest.mark.parametrize("padding", [-1, "1", (1, 2, 3, 4), ((1, 2, 3),) * 3, None])
def test_zero_padding_must_have_a_known_form(cls, padding):
    with pytest.raises(ValueError, match=rf"{cls.__name__} '\w+' takes for `padding` a whole number of at least 0"):
        cls(padding)


@pytest.mark.parametrize("cls", [layers.Cropping1D, layers.Cropping2D, layers.Cropping3D])
@pytest.mark.parametrize("cropping", [-1, "1", (1, 2, 3, 4), ((1, 2, 3),) * 3, None])
def test_cropping_must_have_a_known_form(cls, cropping):
    with pytest.raises(ValueError, match=rf"{cls.__name__} '\w+' takes for `cropping` a whole number of at least 0"):
        cls(cropping)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_cropping_must_leave_something(rank):
    layer = (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)[rank - 1](2)
    assert layer(steps(rank, 5)).shape == (2, *(1,) * rank, 4)
    for _ in range(2):
        for length in (4, 2):
            with pytest.raises(ValueError, match=rf"cuts 2 and 2 entries off axis .*\(2, {length}"):
                layer(steps(rank, length))


@pytest.mark.parametrize("cls", [layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D])
@pytest.mark.parametrize("size", [0, "2", 1.5, (1, 2, 3, 4)])
def test_upsampling_needs_whole_factors(cls, size):
    with pytest.raises(ValueError, match=rf"{cls.__name__} '\w+' takes for `size` a whole number of at least 1"):
        cls(size)


def test_interpolation_must_be_known():
    with pytest.raises(ValueError, match=r"`interpolation` one of \['nearest', 'bilinear'\], but got 'cubic'"):
        layers.UpSampling2D(interpolation="cubic")
