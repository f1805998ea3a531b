"""Noise: its moments, its generators, its silence in inference."""

import math

import pytest
import torch

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras.generations import set_keras_version
from torchkeras.layers import AlphaDropout, GaussianDropout, GaussianNoise

LAYERS = [(GaussianNoise, {"stddev": 0.5}), (GaussianDropout, {"rate": 0.2}), (AlphaDropout, {"rate": 0.2})]


@pytest.mark.parametrize("case", golden("layer", "GaussianNoise", "GaussianDropout", "AlphaDropout"), ids=str)
def test_noise_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize(("cls", "kwargs"), [*LAYERS, (AlphaDropout, {"rate": 0.2, "noise_shape": (None, 1, 4)})])
def test_noise_stands_the_harness(cls, kwargs):
    check_layer(cls, kwargs, (2, 3, 4), unknown=(0, 1), random=True, masked=True)


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize(("cls", "kwargs"), LAYERS)
def test_moments_are_right(cls, kwargs, seed):
    torch.manual_seed(1)
    x = torch.randn(200_000)[:, None] + (0 if cls is AlphaDropout else 2)
    y = cls(**kwargs, seed=seed)(x, training=True)
    if cls is AlphaDropout:  # for standard normal inputs, mean and variance stay
        wanted_mean, wanted_std = 0.0, 1.0
    elif cls is GaussianNoise:
        wanted_mean, wanted_std = 2.0, math.sqrt(1 + 0.5**2)
    else:  # x (1 + e): variance of a product of independents
        wanted_mean, wanted_std = 2.0, math.sqrt(1 + (1 + 4) * 0.2 / 0.8)
    assert abs(float(y.mean()) - wanted_mean) < 0.02
    assert abs(float(y.std()) - wanted_std) < 0.02


@pytest.mark.parametrize("kwargs", [{"seed": 3}, {"noise_shape": (2000,), "seed": None}, {}])
def test_alpha_dropout_has_two_fates(kwargs):
    x = torch.full((2000,), 0.7)
    layer = AlphaDropout(0.25, **kwargs)
    y = layer(x, training=True)
    floor, rate = -1.7580993408473766, 0.25
    a = ((1 - rate) * (1 + rate * floor**2)) ** -0.5
    kept, dropped = a * 0.7 - a * floor * rate, a * floor - a * floor * rate
    fates = y.unique()
    torch.testing.assert_close(fates, torch.tensor([dropped, kept]), rtol=1e-5, atol=1e-5)
    assert abs(float((y < 0).double().mean()) - rate) < 0.05


@pytest.mark.parametrize(("cls", "kwargs"), LAYERS)
def test_seeds_fix_the_noise_and_inference_has_none(cls, kwargs):
    x = torch.randn(3, 40)
    assert cls(**kwargs)(x) is x
    one, two = cls(**kwargs, seed=7), cls(**kwargs, seed=7)
    y = one(x, training=True)
    torch.testing.assert_close(two(x, training=True), y)
    assert not torch.equal(one(x, training=True), y)
    assert one.get_config()["seed"] == 7
    assert "seed" not in cls(**kwargs).get_config()
    assert cls.from_config(one.get_config()).seed == 7


def test_rates_at_the_edges():
    x = torch.ones(2, 3)
    for cls in (GaussianDropout, AlphaDropout):
        for rate in (0.0, 1.0):
            assert cls(rate)(x, training=True) is x
        with pytest.raises(ValueError, match=rf"{cls.__name__} 'n' needs a rate of at least 0 and at most 1.*got 1\.5"):
            cls(1.5, name="n")
    set_keras_version("2.2.4")
    assert GaussianDropout(7).rate == 1.0


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"GaussianNoise 'n' needs a stddev of at least 0, but got -1"):
        GaussianNoise(-1, name="n")
    with pytest.raises(ValueError, match=r"AlphaDropout 'n' has the noise_shape \(1,\) of 1 axes"):
        AlphaDropout(0.5, noise_shape=(1,), name="n")(torch.ones(2, 3), training=True)
