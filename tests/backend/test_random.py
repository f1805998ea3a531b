"""Random numbers of K: distributions, seeds, streams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch

from torchkeras import backend as K
from torchkeras import generations

COUNT = 20_000


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (lambda: K.random_normal((COUNT,), 2.0, 3.0), scipy.stats.norm(2, 3)),
        (lambda: K.random_uniform((COUNT,), -1.0, 3.0), scipy.stats.uniform(-1, 4)),
        (lambda: K.truncated_normal((COUNT,), 1.0, 0.5), scipy.stats.truncnorm(-2, 2, 1, 0.5)),
        (lambda: K.random_normal_variable((COUNT,), 2.0, 3.0).value(), scipy.stats.norm(2, 3)),
        (lambda: K.random_uniform_variable((COUNT,), -1.0, 3.0).value(), scipy.stats.uniform(-1, 4)),
    ],
)
def test_numbers_follow_their_distribution(draw: Callable[[], torch.Tensor], distribution: scipy.stats.rv_continuous):
    np.random.seed(0)
    assert scipy.stats.kstest(draw().detach().numpy(), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("draw", [K.random_binomial, K.random_bernoulli])
def test_ones_come_with_their_probability(draw: Callable[..., torch.Tensor]):
    drawn = draw((COUNT,), p=0.3)
    assert set(drawn.tolist()) == {0.0, 1.0}
    assert abs(drawn.mean() - 0.3) < 0.02
    assert draw((10,)).sum() == 0
    assert draw((10,), p=1.0).sum() == 10


def test_whole_numbers_and_half_types():
    whole = K.random_uniform((COUNT,), 2, 5, dtype="int32")
    assert whole.dtype == torch.int32
    assert set(whole.tolist()) == {2, 3, 4}
    for kind in ("float16", "bfloat16", "float64"):
        drawn = K.truncated_normal((100,), dtype=kind)
        assert K.dtype(drawn) == K.dtype(K.random_normal((2,), dtype=kind)) == kind
        assert drawn.abs().max() <= 2


def test_mean_and_deviation_may_be_tensors():
    mean = torch.tensor([[100.0], [-100.0]], requires_grad=True)
    drawn = K.random_normal((2, 50), mean, torch.tensor(0.1))
    assert drawn[0].min() > 99
    assert drawn[1].max() < -99
    assert torch.autograd.grad(drawn.sum(), mean)[0].tolist() == [[50], [50]]


def test_torch_s_seed_fixes_draws_without_a_seed():
    def draw() -> list[float]:
        torch.manual_seed(3)
        return [*K.random_normal((3,)).tolist(), *K.dropout(torch.ones(5), 0.5).tolist()]

    assert draw() == draw()


def test_a_seed_names_a_stream_that_goes_on():
    first, second, other = (K.random_normal((4,), seed=seed) for seed in (1, 1, 2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    K.clear_session()
    assert torch.equal(K.random_normal((4,), seed=1), first)
    state = torch.get_rng_state()
    K.random_uniform((4,), seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeded_variables_are_the_same_each_time():
    assert torch.equal(K.random_normal_variable((3,), 0, 1, seed=5), K.random_normal_variable((3,), 0, 1, seed=5))
    v = K.random_uniform_variable((2, 2), 0, 1, dtype="float64", name="v")
    assert (v.name, v.dtype) == ("v:0", torch.float64)


def test_unseeded_variables_of_keras_2_follow_numpy():
    generations.set_keras_version("2.2.4")
    found = []
    for _ in range(2):
        np.random.seed(4)
        found.append(K.random_normal_variable((3,), 0, 1))
    assert torch.equal(*found)


def test_dropout_scales_what_it_keeps():
    x = torch.ones(100, 100)
    for dropped in (K.dropout(x, 0.25), K.dropout(x, 0.25, seed=1)):
        assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
        assert abs(dropped.mean() - 1) < 0.05
    assert K.dropout(x, 0.0) is x


def test_dropout_shares_one_fate_along_axes_of_the_noise():
    dropped = K.dropout(torch.ones(50, 4, 3), 0.5, noise_shape=(None, 1, 3))
    assert (dropped == dropped[:, :1]).all()
    assert not (dropped == dropped[..., :1]).all()


def test_dropout_wants_floats():
    with pytest.raises(TypeError, match=r"dropout takes floats, but got torch\.int64"):
        K.dropout(torch.ones(2, dtype=torch.int64), 0.5)


def test_looking_for_shapes_draws_no_numbers():
    symbol = K.placeholder((None, 3))
    state = torch.get_rng_state()
    K.dropout(symbol, 0.5, seed=3)
    K.random_normal((K.shape(symbol)[0], 2))
    assert torch.equal(torch.get_rng_state(), state)
    K.clear_session()
    first = K.random_normal((2,), seed=3)
    K.clear_session()
    K.dropout(symbol, 0.5, seed=3)
    assert torch.equal(K.random_normal((2,), seed=3), first)
