"""Every convolution, padding, cropping and upsampling layer through the harness of all layers."""

from __future__ import annotations

import pytest

from tests.layers.harness import check_dynamic_export, check_layer
from torchkeras import layers

LAST, FIRST = "channels_last", "channels_first"
FORMATS = [(1, LAST), (2, LAST), (3, LAST), (1, FIRST), (2, FIRST)]  # channels-first volumes run on the code of images
SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 3)}
BY_RANK = {rank: {name: getattr(layers, f"{name}{rank}D") for name in ("ZeroPadding", "Cropping", "UpSampling")} for rank in (1, 2, 3)}


def shape(rank: int, data_format: str = LAST, channels: int = 4) -> tuple[int, ...]:
    """A small input."""
    return (2, channels, *SIZES[rank]) if data_format == FIRST else (2, *SIZES[rank], channels)


def space(rank: int, data_format: str = LAST) -> tuple[int, ...]:
    """Its axes that may be unknown: the batch and the space."""
    return (0, *(range(2, rank + 2) if data_format == FIRST else range(1, rank + 1)))


@pytest.mark.parametrize(("rank", "data_format"), FORMATS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 2, "padding": "same", "activation": "tanh"},
        {"kernel_size": 3, "padding": "same", "strides": 2, "use_bias": False},
        {"kernel_size": 2, "dilation_rate": 2, "groups": 2},
    ],
    ids=["even", "strides", "dilation"],
)
def test_convolutions_are_ordinary_layers(rank, data_format, arguments):
    cls = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
    check_dynamic_export(
        check_layer(cls, {"filters": 2, "data_format": data_format, **arguments}, shape(rank, data_format), unknown=space(rank, data_format))
    )


@pytest.mark.parametrize("data_format", [LAST, FIRST])
@pytest.mark.parametrize("cls", [layers.Conv1D, layers.SeparableConv1D])
def test_causal_convolutions_are_ordinary_layers(cls, data_format):
    arguments = {"filters": 2, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "data_format": data_format}
    check_dynamic_export(check_layer(cls, arguments, shape(1, data_format), unknown=space(1, data_format)))


@pytest.mark.parametrize(("rank", "data_format"), FORMATS)
@pytest.mark.parametrize("arguments", [{"padding": "same"}, {"padding": "valid", "output_padding": 1}], ids=["same", "output_padding"])
def test_transposed_convolutions_are_ordinary_layers(rank, data_format, arguments):
    cls = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)[rank - 1]
    arguments = {"filters": 3, "kernel_size": 3, "strides": 2, "data_format": data_format, **arguments}
    check_dynamic_export(check_layer(cls, arguments, shape(rank, data_format), unknown=space(rank, data_format)))


@pytest.mark.parametrize("data_format", [LAST, FIRST])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("arguments", [{"padding": "same", "strides": 2}, {"dilation_rate": 2, "depth_multiplier": 2}], ids=["strides", "multiplier"])
def test_channelwise_convolutions_are_ordinary_layers(rank, data_format, arguments):
    arguments = {"kernel_size": 2, "data_format": data_format, **arguments}
    depthwise = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)[rank - 1]
    separable = (layers.SeparableConv1D, layers.SeparableConv2D)[rank - 1]
    check_dynamic_export(check_layer(depthwise, arguments, shape(rank, data_format), unknown=space(rank, data_format)))
    check_dynamic_export(check_layer(separable, {"filters": 3, **arguments}, shape(rank, data_format), unknown=space(rank, data_format)))


@pytest.mark.parametrize(("rank", "data_format"), FORMATS)
@pytest.mark.parametrize("name", ["ZeroPadding", "Cropping", "UpSampling"])
def test_resizing_layers_are_ordinary_layers(rank, data_format, name):
    if rank == 1:  # steps have no data_format
        if data_format == FIRST:
            return
        check_dynamic_export(check_layer(BY_RANK[1][name], {}, shape(1), unknown=space(1)))
        return
    check_dynamic_export(check_layer(BY_RANK[rank][name], {"data_format": data_format}, shape(rank, data_format), unknown=space(rank, data_format)))


@pytest.mark.parametrize("data_format", [LAST, FIRST])
def test_bilinear_upsampling_is_an_ordinary_layer(data_format):
    arguments = {"size": (2, 3), "interpolation": "bilinear", "data_format": data_format}
    check_dynamic_export(check_layer(layers.UpSampling2D, arguments, shape(2, data_format), unknown=space(2, data_format)))
