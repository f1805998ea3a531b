"""Seeding, and the draws that initial values are made of."""

from __future__ import annotations

import random as python_random

import numpy as np
import pytest
import torch
from scipy import stats

from torchkeras import config, generations, random

SIZE = 100_000
# the seeds are fixed, so a test fails or passes for good; a sound generator fails at one seed in a thousand
SIGNIFICANCE = 1e-3


def draw_everywhere():
    return python_random.random(), np.random.rand(), torch.rand(1).item()


def test_set_random_seed_fixes_python_numpy_and_torch():
    random.set_random_seed(7)
    first = draw_everywhere()
    random.set_random_seed(np.int64(7))
    assert draw_everywhere() == first
    random.set_random_seed(8)
    assert all(a != b for a, b in zip(draw_everywhere(), first, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_set_random_seed_fixes_cuda():
    random.set_random_seed(7)
    first = torch.rand(3, device="cuda")
    random.set_random_seed(7)
    assert torch.equal(torch.rand(3, device="cuda"), first)


def test_set_random_seed_rejects_what_numpy_cannot_take():
    with pytest.raises(ValueError, match=r"from 0 to 4294967295, but got -1"):
        random.set_random_seed(-1)
    with pytest.raises(TypeError, match=r"whole number, but got 1\.5"):
        random.set_random_seed(1.5)


@pytest.mark.parametrize(
    ("drawn", "law"),
    [
        (lambda g: random.uniform((SIZE,), -0.3, 0.7, None, g), stats.uniform(-0.3, 1.0)),
        (lambda g: random.normal((SIZE,), 0.1, 0.2, None, g), stats.norm(0.1, 0.2)),
        (lambda g: random.truncated_normal((SIZE,), 1.0, 0.5, None, g), stats.truncnorm(-2, 2, 1.0, 0.5)),
    ],
    ids=["uniform", "normal", "truncated_normal"],
)
def test_draws_follow_their_distribution(drawn, law):
    values = drawn(torch.Generator().manual_seed(3)).double().numpy()
    assert stats.kstest(values, law.cdf).pvalue > SIGNIFICANCE


def test_truncated_std_is_scipys():
    assert stats.truncnorm.std(-2, 2) == pytest.approx(random.TRUNCATED_STD, rel=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_truncated_normal_stays_within_two_sigma(dtype):
    values = random.truncated_normal((SIZE,), 0.0, 0.25, dtype)
    assert values.dtype == getattr(torch, dtype)
    assert values.abs().max() <= 0.5


def test_uniform_draws_whole_numbers_for_an_integer_dtype():
    values = random.uniform((1000,), -2, 3, torch.int64)
    assert values.unique().tolist() == [-2, -1, 0, 1, 2]


def test_normal_needs_a_float_dtype():
    with pytest.raises(ValueError, match=r"needs a float dtype, .*but got torch\.int32"):
        random.normal((2,), 0.0, 1.0, torch.int32)


def test_dtypes_are_read_from_names_numpy_and_floatx():
    assert random.as_dtype("bfloat16") is torch.bfloat16
    assert random.as_dtype(np.float64) is torch.float64
    config.set_floatx("float64")
    assert random.as_dtype(None) is torch.float64
    with pytest.raises(ValueError, match="'float31' is not the name of a dtype"):
        random.as_dtype("float31")


def test_a_seeded_generator_is_private():
    before = torch.get_rng_state()
    first = torch.rand(3, generator=random.generator(5))
    assert torch.equal(torch.rand(3, generator=random.generator(5)), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("version", "source"), [("1.2.2", "numpy"), ("2.2.4", "numpy"), ("2.4.0", "torch")])
def test_the_release_says_which_seed_fixes_unseeded_draws(version, source):
    generations.set_keras_version(version)
    seed = {"numpy": np.random.seed, "torch": torch.manual_seed}[source]
    seed(11)
    first = random.normal((4,), 0.0, 1.0, generator=random.generator())
    seed(11)
    assert torch.equal(random.normal((4,), 0.0, 1.0, generator=random.generator()), first)


def test_draws_come_to_the_cpu_whatever_the_default_device():
    torch.set_default_device("meta")
    try:
        assert random.uniform((2,), 0, 1, "float16").device.type == "cpu"
    finally:
        torch.set_default_device(None)
