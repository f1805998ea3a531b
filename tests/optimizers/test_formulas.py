"""Each rule against a plain reading of its formula in float64."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchkeras import optimizers

STEPS = 6
rates = st.floats(1e-4, 1.0)
fractions = st.floats(0.0, 0.99)
seeds = st.integers(0, 2**16)


def run(optimizer, seed, dtype=torch.float64):
    """The parameter after some steps, and what it started with and met: start, gradients."""
    generator = np.random.RandomState(seed)
    start, gradients = generator.randn(3, 2), generator.randn(STEPS, 3, 2)
    parameter = nn.Parameter(torch.tensor(start, dtype=dtype))
    optimizer.bind([parameter])
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
    return parameter.detach().numpy(), start.copy(), gradients


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(rate=rates, momentum=fractions, nesterov=st.booleans(), decay=st.floats(0, 1), seed=seeds)
def test_sgd(rate, momentum, nesterov, decay, seed):
    found, w, gradients = run(optimizers.SGD(rate, momentum, nesterov, decay=decay), seed)
    v = np.zeros_like(w)
    for t, g in enumerate(gradients):
        now = rate / (1 + decay * t)
        v = momentum * v - now * g
        w = w + (momentum * v - now * g if nesterov and momentum else v)
    assert_equal(found, w)


@settings(max_examples=25, deadline=None)
@given(rate=rates, beta_1=fractions, beta_2=fractions, epsilon=st.floats(1e-8, 1e-2), amsgrad=st.booleans(), decay=st.floats(0, 1), seed=seeds)
def test_adam(rate, beta_1, beta_2, epsilon, amsgrad, decay, seed):
    found, w, gradients = run(optimizers.Adam(rate, beta_1, beta_2, epsilon, amsgrad, decay=decay), seed)
    m, v, largest = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        now = rate / (1 + decay * (t - 1)) * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        largest = np.maximum(largest, v)
        w = w - now * m / (np.sqrt(largest if amsgrad else v) + epsilon)
    assert_equal(found, w)


@settings(max_examples=25, deadline=None)
@given(rate=rates, rho=st.floats(0.0, 0.99), epsilon=st.floats(1e-4, 1e-2), momentum=fractions, centered=st.booleans(), seed=seeds)
def test_rmsprop(rate, rho, epsilon, momentum, centered, seed):
    found, w, gradients = run(optimizers.RMSprop(rate, rho, momentum, epsilon, centered), seed)
    a, mean, change = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for g in gradients:
        a = rho * a + (1 - rho) * g**2
        mean = rho * mean + (1 - rho) * g
        spread = a - mean**2 if centered else a
        if momentum:
            change = momentum * change + rate * g / np.sqrt(spread + epsilon)
            w = w - change
        else:
            w = w - rate * g / (np.sqrt(np.maximum(spread, 0)) + epsilon)
    # Centred with rho 0, the spread is rounding alone, of either sign
    if not (centered and rho < 1e-2):
        np.testing.assert_allclose(found, w, rtol=1e-6, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(rate=rates, start=st.floats(0, 1), epsilon=st.floats(1e-8, 1e-2), seed=seeds)
def test_adagrad(rate, start, epsilon, seed):
    found, w, gradients = run(optimizers.Adagrad(rate, start, epsilon), seed)
    a = np.full_like(w, start)
    for g in gradients:
        a = a + g**2
        w = w - rate * g / (np.sqrt(a) + epsilon)
    assert_equal(found, w)


@settings(max_examples=25, deadline=None)
@given(rate=rates, rho=fractions, epsilon=st.floats(1e-8, 1e-2), seed=seeds)
def test_adadelta(rate, rho, epsilon, seed):
    found, w, gradients = run(optimizers.Adadelta(rate, rho, epsilon), seed)
    a, d = np.zeros_like(w), np.zeros_like(w)
    for g in gradients:
        a = rho * a + (1 - rho) * g**2
        step = g * np.sqrt(d + epsilon) / np.sqrt(a + epsilon)
        w = w - rate * step
        d = rho * d + (1 - rho) * step**2
    assert_equal(found, w)


@settings(max_examples=25, deadline=None)
@given(rate=rates, beta_1=fractions, beta_2=fractions, epsilon=st.floats(1e-8, 1e-2), seed=seeds)
def test_adamax(rate, beta_1, beta_2, epsilon, seed):
    found, w, gradients = run(optimizers.Adamax(rate, beta_1, beta_2, epsilon), seed)
    m, u = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        u = np.maximum(beta_2 * u, np.abs(g))
        w = w - rate / (1 - beta_1**t) * m / (u + epsilon)
    assert_equal(found, w)


@settings(max_examples=25, deadline=None)
@given(rate=rates, beta_1=fractions, beta_2=fractions, epsilon=st.floats(1e-8, 1e-2), schedule_decay=st.floats(0, 0.1), seed=seeds)
def test_nadam(rate, beta_1, beta_2, epsilon, schedule_decay, seed):
    found, w, gradients = run(optimizers.Nadam(rate, beta_1, beta_2, epsilon, schedule_decay=schedule_decay), seed)
    m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
    for t, g in enumerate(gradients, start=1):
        now, following = (beta_1 * (1 - 0.5 * 0.96 ** (step * schedule_decay)) for step in (t, t + 1))
        product *= now
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        ahead = (1 - now) * g / (1 - product) + following * m / (1 - product * following)
        w = w - rate * ahead / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    assert_equal(found, w)


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(0.01, 1.0),
    power=st.floats(-1.0, 0.0),
    start=st.floats(0.01, 1),
    l1=st.floats(0, 1),
    l2=st.floats(0, 1),
    l2s=st.floats(0, 1),
    seed=seeds,
)
def test_ftrl(rate, power, start, l1, l2, l2s, seed):
    found, w, gradients = run(optimizers.Ftrl(rate, power, start, l1, l2, l2_shrinkage_regularization_strength=l2s), seed)
    n, z = np.full_like(w, start), np.zeros_like(w)
    for g in gradients:
        grown = n + g**2
        z = z + g + 2 * l2s * w - (grown**-power - n**-power) / rate * w
        n = grown
        w = np.where(np.abs(z) > l1, (np.sign(z) * l1 - z) / (n**-power / rate + 2 * l2), 0.0)
    assert_equal(found, w)


def test_torch_agrees_where_the_rules_are_one():
    for ours, theirs in (
        (optimizers.SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (optimizers.SGD(0.1, momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True)),
        (optimizers.RMSprop(0.01), lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.9, eps=1e-7)),
        (optimizers.Adagrad(0.1), lambda p: torch.optim.Adagrad(p, 0.1, initial_accumulator_value=0.1, eps=1e-7)),
        (optimizers.Adadelta(1.0), lambda p: torch.optim.Adadelta(p, 1.0, rho=0.95, eps=1e-7)),
        (optimizers.Adam(0.01, epsilon=1e-30), lambda p: torch.optim.Adam(p, 0.01, eps=1e-30)),
    ):
        found, start, gradients = run(ours, 5)
        parameter = nn.Parameter(torch.tensor(start))
        optimizer = theirs([parameter])
        for gradient in gradients:
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
        np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-6, atol=1e-8)
