"""Schedules beyond the golden cases: the cosines, configs, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchkeras import optimizers
from torchkeras.optimizers import schedules

STEPS = [0, 1, 3, 5, 9, 10, 14, 15, 25, 40]
# What tf.keras.experimental of tf.keras 2.4.0 (TensorFlow 2.3.1, float32) gave at STEPS.
KERAS = [
    (schedules.CosineDecay(0.1, 10), [0.1, 0.097552828, 0.079389267, 0.049999997, 0.002447176, 0.0, 0.0, 0.0, 0.0, 0.0]),
    (
        schedules.CosineDecay(0.1, 10, alpha=0.2),
        [0.1, 0.098042265, 0.083511412, 0.059999999, 0.021957742, 0.020000001, 0.020000001, 0.020000001, 0.020000001, 0.020000001],
    ),
    (
        schedules.CosineDecayRestarts(0.1, 5),
        [0.1, 0.090450846, 0.034549143, 0.1, 0.065450855, 0.049999997, 0.002447176, 0.1, 0.049999997, 0.096193977],
    ),
    (
        schedules.CosineDecayRestarts(0.1, 4, t_mul=1.0, m_mul=0.5, alpha=0.1),
        [0.1, 0.086819813, 0.023180196, 0.048409905, 0.029204953, 0.02125, 0.015625, 0.011647525, 0.01120031, 0.010087891],
    ),
    (
        schedules.CosineDecayRestarts(0.1, 3, t_mul=1.5, m_mul=0.8),
        [0.1, 0.075000003, 0.080000006, 0.04694593, 0.056513425, 0.044674557, 0.00021637346, 0.050509956, 0.040789086, 0.032738194],
    ),
    (
        schedules.LinearCosineDecay(0.1, 20),
        [0.1001, 0.094515197, 0.080467783, 0.064116508, 0.031901952, 0.025099998, 0.0062832222, 0.0037611653, 0.0001, 0.0001],
    ),
    (
        schedules.LinearCosineDecay(0.1, 20, num_periods=2, alpha=0.1, beta=0.01),
        [0.111, 0.095973387, 0.033821683, 0.001, 0.059793055, 0.061000001, 0.0048196623, 0.001, 0.011, 0.011],
    ),
    (
        schedules.NoisyLinearCosineDecay(0.1, 20, initial_variance=0.0),
        [0.1001, 0.094515197, 0.080467783, 0.064116508, 0.031901952, 0.025099998, 0.0062832222, 0.0037611653, 0.0001, 0.0001],
    ),
]


@pytest.mark.parametrize(("schedule", "expected"), KERAS, ids=lambda value: type(value).__name__)
def test_cosines_are_keras(schedule, expected):
    np.testing.assert_allclose([schedule(step) for step in STEPS], expected, rtol=1e-5, atol=1e-7)
    again = schedules.deserialize(schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()
    assert [again(step) for step in STEPS] == [schedule(step) for step in STEPS]


def test_noise_has_the_variance_that_was_asked_for():
    schedule = schedules.NoisyLinearCosineDecay(1.0, 10**6, initial_variance=4.0, variance_decay=1.0, beta=0.0)
    at_start = np.array([schedule(0) for _ in range(4000)])
    later = np.array([schedule(3) for _ in range(4000)])
    assert abs(at_start.std() - 2.0) < 0.1
    assert abs(later.std() - 1.0) < 0.05
    assert abs(later.mean() - 1.0) < 0.1


@given(length=st.integers(1, 50), factor=st.floats(1.0, 3.0), step=st.integers(0, 10**5))
def test_restarts_stay_within_their_bounds(length, factor, step):
    assert 0 <= schedules.CosineDecayRestarts(1.0, length, t_mul=factor)(step) <= 1


def test_a_polynomial_ends_where_it_should():
    schedule = schedules.PolynomialDecay(1.0, 10, end_learning_rate=0.1, power=2.0)
    assert (schedule(0), schedule(10), schedule(1000)) == (1.0, 0.1, 0.1)
    assert schedules.PolynomialDecay(1.0, 10, 0.1, cycle=True)(15) == pytest.approx(0.1 + 0.9 * (1 - 15 / 20))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay takes a decay_steps above 0, but got 0"),
        (lambda: schedules.CosineDecay(0.1, -1), "CosineDecay takes a decay_steps above 0, but got -1"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0.5), "takes a t_mul of at least 1, but got 0.5"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1]), "2 boundaries and 1 values"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), r"increasing boundaries, but got \[2, 1\]"),
        (
            lambda: schedules.deserialize({"class_name": "CosinDecay", "config": {}}),
            "Unknown learning rate schedule: 'CosinDecay'. Did you mean 'CosineDecay'",
        ),
    ],
)
def test_bad_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_base_says_what_to_define():
    with pytest.raises(NotImplementedError, match="must define __call__"):
        schedules.LearningRateSchedule()(0)
    with pytest.raises(NotImplementedError, match="must define get_config"):
        optimizers.SGD.get_config(_with(schedules.LearningRateSchedule))


def _with(base):
    class Constant(base):
        def __call__(self, step):
            return 0.1

    return optimizers.SGD(Constant())
