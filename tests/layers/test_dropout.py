"""Dropout: what is dropped, by which numbers, and where it refuses."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras.generations import set_keras_version
from torchkeras.layers import Dropout, Input, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D


@pytest.mark.parametrize("case", golden("layer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), ids=str)
def test_dropout_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize(
    ("cls", "kwargs", "shape"),
    [
        (Dropout, {"rate": 0.4}, (2, 3, 4)),
        (Dropout, {"rate": 0.4, "noise_shape": (None, 1, None)}, (2, 3, 4)),
        (SpatialDropout1D, {"rate": 0.4}, (2, 3, 4)),
        (SpatialDropout2D, {"rate": 0.4}, (2, 3, 4, 2)),
        (SpatialDropout2D, {"rate": 0.4, "data_format": "channels_first"}, (2, 3, 4, 2)),
        (SpatialDropout3D, {"rate": 0.4, "data_format": "channels_first"}, (2, 3, 2, 2, 2)),
    ],
)
def test_dropout_stands_the_harness(cls, kwargs, shape):
    check_layer(cls, kwargs, shape, unknown=(0, 1), random=True)


def test_dropout_with_a_seed_stands_the_harness():
    # a private generator lives on a real device
    check_layer(Dropout, {"rate": 0.4, "seed": 3}, (2, 3), random=True, skip=["device"])


@given(rate=st.floats(0.05, 0.9), seed=st.none() | st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_dropout_keeps_the_right_fraction_and_scales_it(rate, seed):
    torch.manual_seed(0)
    x = torch.ones(20_000)
    y = Dropout(rate, seed=seed)(x[:, None], training=True)[:, 0]
    kept = y != 0
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - rate)))
    sigma = math.sqrt(rate * (1 - rate) / len(x))
    assert abs(float(kept.double().mean()) - (1 - rate)) < 5 * sigma


def test_dropout_does_nothing_in_inference_and_at_rate_zero():
    x = torch.randn(3, 4)
    assert Dropout(0.5)(x) is x
    assert Dropout(0.0)(x, training=True) is x
    assert Dropout(0.5).train()(x, training=False) is x
    assert not torch.equal(Dropout(0.5).train()(x), x)


def test_noise_shape_shares_the_fate_along_axes_of_one():
    x = torch.ones(6, 5, 7)
    y = Dropout(0.5, noise_shape=(None, 1, 7))(x, training=True)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[:1].expand_as(y), y)


@pytest.mark.parametrize(
    ("layer", "shape", "shared"),
    [
        (SpatialDropout1D(0.5), (8, 5, 6), (1,)),
        (SpatialDropout2D(0.5), (8, 3, 4, 6), (1, 2)),
        (SpatialDropout2D(0.5, "channels_first"), (8, 6, 3, 4), (2, 3)),
        (SpatialDropout3D(0.5), (8, 2, 3, 4, 6), (1, 2, 3)),
        (SpatialDropout3D(0.5, data_format="channels_first", seed=1), (8, 6, 2, 3, 4), (2, 3, 4)),
    ],
)
def test_spatial_dropout_drops_whole_feature_maps(layer, shape, shared):
    y = layer(torch.ones(shape), training=True)
    means = y.mean(dim=shared)
    assert set(means.flatten().tolist()) == {0.0, 2.0}
    assert means.shape == (8, 6)


def test_the_same_seed_draws_the_same_numbers_whatever_else_is_drawn():
    x = torch.ones(4, 50)
    first, second = Dropout(0.5, seed=7), Dropout(0.5, seed=7)
    torch.manual_seed(1)
    one = first(x, training=True)
    torch.manual_seed(2)
    torch.testing.assert_close(second(x, training=True), one)
    again = first(x, training=True)
    assert not torch.equal(again, one)  # the sequence goes on
    torch.testing.assert_close(copy.deepcopy(second)(x, training=True), again)


def test_without_a_seed_torch_decides():
    x, layer = torch.ones(4, 50), Dropout(0.5)
    torch.manual_seed(3)
    one = layer(x, training=True)
    torch.manual_seed(3)
    torch.testing.assert_close(layer(x, training=True), one)


def test_torch_compile_takes_dropout_in_training_in_one_graph():
    torch._dynamo.reset()
    layer, x = Dropout(0.5).train(), torch.ones(4, 50)
    layer(x)
    y = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    assert set(y.flatten().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_tf_keras_refuses_a_rate_out_of_range(rate):
    with pytest.raises(ValueError, match=f"Dropout 'd' needs a rate of at least 0 and below 1.*got {rate}"):
        Dropout(rate, name="d")


def test_keras_2_clips_the_rate_and_one_drops_nothing():
    set_keras_version("2.2.4")
    x = torch.ones(3, 4)
    assert Dropout(-1).rate == 0.0
    assert Dropout(7).rate == 1.0
    assert Dropout(1.0)(x, training=True) is x


def test_bad_arguments_of_dropout():
    with pytest.raises(ValueError, match="Dropout 'd' needs a rate from 0 to 1, but got 'half'"):
        Dropout("half", name="d")
    with pytest.raises(ValueError, match=r"Dropout 'd' has the noise_shape \(None, 1\) of 2 axes.*\(2, 3, 4\)"):
        Dropout(0.5, noise_shape=(None, 1), name="d")(torch.ones(2, 3, 4), training=True)
    with pytest.raises(ValueError, match=r"SpatialDropout2D 's'.*channels_last.*but got 'middle'"):
        SpatialDropout2D(0.5, data_format="middle", name="s")
    with pytest.raises(ValueError, match=r"SpatialDropout1D 's' drops whole feature maps.*\(1, 2, 3\)"):
        SpatialDropout1D(0.5, noise_shape=(1, 2, 3), name="s")
    with pytest.raises(ValueError, match=r"'s'.*expected ndim=4, found ndim=3"):
        SpatialDropout2D(0.5, name="s")(Input((3, 4)))
