"""Windows of any size, stride, padding and order of axes: the exported module follows the layer, whether sizes are known or not."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.exporting.checks import exported
from torchkeras import layers
from torchkeras.layers import Input
from torchkeras.models import Model

KINDS = ("conv", "depthwise", "separable", "transposed", "max", "average")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def make(kind, window, stride, dilation, padding, data_format):
    rest = {"padding": padding, "data_format": data_format}
    if kind in ("max", "average"):
        return {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[kind](window, strides=stride, **rest)
    if max(stride) > 1 or kind == "transposed":
        dilation = 1
    rest |= {"strides": stride, "dilation_rate": dilation}
    if kind == "depthwise":
        return layers.DepthwiseConv2D(window, depth_multiplier=2, activation="softmax", **rest)
    kinds = {"conv": layers.Conv2D, "separable": layers.SeparableConv2D, "transposed": layers.Conv2DTranspose}
    return kinds[kind](3, window, activation="tanh", **rest)


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@QUICK
@given(st.sampled_from(KINDS), pairs, pairs, st.integers(1, 2), st.sampled_from(("same", "valid")), st.booleans(), st.booleans(), pairs)
def test_windows_over_images(kind, window, stride, dilation, padding, first, known, more):
    height, width = 7 + more[0], 7 + more[1]
    data_format = "channels_first" if first else "channels_last"
    sizes = (height, width) if known else (None, None)
    x = Input((2, *sizes) if first else (*sizes, 2))
    y = make(kind, window, stride, dilation, padding, data_format)(x)
    y = layers.Activation("relu")(layers.UpSampling2D(2, data_format=data_format)(y))
    exported(Model(x, y), torch.rand(2, *((2, height, width) if first else (height, width, 2))))


lengths = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(9, 12))


@QUICK
@given(st.sampled_from(("same", "valid", "causal")), lengths, st.booleans(), st.booleans())
def test_windows_over_steps(padding, sizes, known, grouped):
    window, stride, dilation, steps = sizes
    x = Input((steps if known else None, 4))
    y = layers.Conv1D(4, window, strides=stride, dilation_rate=dilation if stride == 1 else 1, padding=padding, groups=2 if grouped else 1)(x)
    y = layers.BatchNormalization()(layers.AveragePooling1D(2, strides=stride, padding="same")(layers.SpatialDropout1D(0.5)(y)))
    exported(Model(x, layers.concatenate([y, layers.LeakyReLU()(y)])), torch.rand(3, steps, 4))
