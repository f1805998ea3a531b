"""Hyper-parameters: spellings, orders and defaults of the releases, reading, setting, configs."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras import backend as K
from torchkeras import config, optimizers
from torchkeras.generations import using_keras_version
from torchkeras.optimizers import schedules


def bound(optimizer, gradient=1.0):
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.full((1,), gradient)
    return optimizer.bind([parameter])


def test_both_spellings_of_the_rate_are_one():
    for optimizer in (optimizers.Adam(lr=0.5), optimizers.Adam(learning_rate=0.5), optimizers.Adam(0.5)):
        assert optimizer.lr == optimizer.learning_rate == 0.5
    with pytest.raises(TypeError, match="SGD got both lr and learning_rate"):
        optimizers.SGD(lr=0.1, learning_rate=0.1)
    with pytest.raises(TypeError, match="SGD got both lr and learning_rate"):
        optimizers.SGD(0.1, lr=0.1)


@pytest.mark.parametrize("version", ["1.2.2", "2.2.4"])
def test_positions_are_those_of_the_release(version):
    with using_keras_version(version):
        sgd = optimizers.SGD(0.1, 0.9, 0.01, True)
        assert (sgd.lr, sgd.momentum, sgd.decay, sgd.nesterov) == (0.1, 0.9, 0.01, True)
        rmsprop = optimizers.RMSprop(0.1, 0.8, 1e-3, 0.5)
        assert (rmsprop.rho, rmsprop.epsilon, rmsprop.decay) == (0.8, 1e-3, 0.5)
        assert optimizers.Adagrad(0.1, 1e-3).epsilon == 1e-3
        assert optimizers.Nadam(0.1, 0.8, 0.9, 1e-3, 0.01).schedule_decay == 0.01
        with pytest.raises(TypeError, match="SGD takes at most 4 positional arguments"):
            optimizers.SGD(0.1, 0.9, 0.01, True, "name")
        with pytest.raises(TypeError, match=r"got the arguments \['momentum'\] both by position and by name"):
            optimizers.SGD(0.1, 0.9, momentum=0.5)
    sgd = optimizers.SGD(0.1, 0.9, True, "mine")
    assert (sgd.lr, sgd.momentum, sgd.nesterov, sgd.name) == (0.1, 0.9, True, "mine")
    assert optimizers.RMSprop(0.1, 0.8, 0.5).momentum == 0.5
    assert optimizers.Adagrad(0.1, 0.7).initial_accumulator_value == 0.7


def test_defaults_are_those_of_the_release():
    rates = {"SGD": (0.01, 0.01), "Adagrad": (0.01, 0.001), "Adadelta": (1.0, 0.001), "Adamax": (0.002, 0.001), "Nadam": (0.002, 0.001)}
    for name, (keras2, tf_keras) in rates.items():
        assert getattr(optimizers, name)().lr == tf_keras
        with using_keras_version("2.2.4"):
            assert getattr(optimizers, name)().lr == keras2
    config.set_epsilon(1e-4)
    assert optimizers.Adam().epsilon == 1e-7
    assert optimizers.Adam(epsilon=None).epsilon == optimizers.Adam(epsilon=0).epsilon == 1e-4
    with using_keras_version("2.2.4"):
        assert optimizers.Adam().epsilon == 1e-4
        assert optimizers.Adam(epsilon=0).epsilon == 0
    with using_keras_version("1.2.2"):
        assert optimizers.Adam().epsilon == 1e-8
        assert "amsgrad" not in optimizers.Adam().get_config()
        assert optimizers.Adam(amsgrad=True).get_config()["amsgrad"]


def test_an_optimizer_keeps_the_release_it_was_made_under():
    with using_keras_version("2.2.4"):
        optimizer = optimizers.Adam(clipnorm=1.0)
    assert optimizer.clipping.norm_of_all
    assert "lr" in optimizer.get_config()


@pytest.mark.parametrize("make_bound", [False, True], ids=["record", "bound"])
def test_a_rate_reads_and_sets_as_attribute_and_variable(make_bound):
    optimizer = optimizers.SGD(0.5, momentum=0.25)
    if make_bound:
        bound(optimizer)
    assert isinstance(optimizer.lr, float)
    assert optimizer.lr * 2 == 1.0
    optimizer.lr = 0.25
    assert optimizer.learning_rate == 0.25
    assert optimizer.lr.assign(0.125) == 0.125
    assert optimizer.lr == 0.125
    assert optimizer.lr.numpy() == np.float32(0.125)
    assert type(optimizer.lr.numpy()) is np.float32
    assert type(optimizer.lr.value()) is type(optimizer.lr.read_value()) is float
    K.set_value(optimizer.lr, np.float32(0.5))
    K.set_value(optimizer.momentum, 0.75)
    assert (K.get_value(optimizer.lr), K.get_value(optimizer.momentum)) == (0.5, 0.75)
    optimizer.iterations.assign(7)
    assert K.get_value(optimizer.iterations) == optimizer.iterations.numpy() == optimizer.iterations.value() == 7
    if make_bound:
        assert {key: optimizer.param_groups[0][key] for key in ("lr", "momentum", "iterations")} == {"lr": 0.5, "momentum": 0.75, "iterations": 7}
        assert type(optimizer.param_groups[0]["lr"]) is float


def test_a_hyper_parameter_leaves_as_a_plain_number():
    optimizer = optimizers.Adam(0.5)
    for copied in (copy.deepcopy(optimizer.lr), pickle.loads(pickle.dumps(optimizer.lr))):
        assert type(copied) is float
    for copied in (copy.deepcopy(optimizer.iterations), pickle.loads(pickle.dumps(optimizer.iterations))):
        assert type(copied) is int
    assert json.dumps(optimizer.lr) == "0.5"


def test_setting_reaches_every_group_and_the_next_step():
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = optimizers.SGD(0.5).bind([{"params": [a]}, {"params": [b], "lr": 0.25}])
    a.grad, b.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (-0.5, -0.25)
    optimizer.lr = 1.0
    optimizer.step()
    assert (a.item(), b.item()) == (-1.5, -1.25)


def test_momentum_and_amsgrad_can_be_switched_on_later():
    sgd = bound(optimizers.SGD(0.5))
    sgd.step()
    sgd.momentum = 0.5
    for _ in range(2):
        sgd.step()
    assert sgd.param_groups[0]["params"][0].item() == -0.5 - 0.5 - 0.75
    for optimizer, name, value in (
        (optimizers.Adam(), "amsgrad", True),
        (optimizers.RMSprop(), "momentum", 0.5),
        (optimizers.RMSprop(), "centered", True),
    ):
        bound(optimizer).step()
        before = len(optimizer.weights)
        setattr(optimizer, name, value)
        optimizer.step()
        assert len(optimizer.weights) == before + 1


def test_decay_divides_the_rate_by_the_updates():
    optimizer = bound(optimizers.SGD(1.0, decay=1.0))
    for _ in range(3):
        optimizer.step()
    torch.testing.assert_close(optimizer.param_groups[0]["params"][0].item(), -(1 + 1 / 2 + 1 / 3))
    assert optimizer.lr == 1.0


def test_a_schedule_sets_the_rate_of_each_update():
    schedule = schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25])
    optimizer = bound(optimizers.SGD(schedule))
    assert optimizer.lr is schedule
    rates = []
    for _ in range(3):
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 0.5, 0.25]
    assert optimizer.param_groups[0]["params"][0].item() == -1.75
    again = optimizers.SGD.from_config(json.loads(json.dumps(optimizer.get_config())))
    assert isinstance(again.lr, schedules.PiecewiseConstantDecay)
    optimizer.lr = 0.5
    assert optimizer.lr == 0.5
    optimizer.step()
    assert optimizer.param_groups[0]["params"][0].item() == -2.25


def test_a_function_gives_the_rate_at_each_update():
    rates = iter([1.0, 0.5, 0.25])
    current = [1.0]
    optimizer = bound(optimizers.SGD(lambda: current[0]))
    for current[0] in rates:
        optimizer.step()
    assert optimizer.param_groups[0]["params"][0].item() == -1.75
    assert optimizer.get_config()["learning_rate"] == 0.25


def test_a_schedule_of_ones_own_is_found_by_name():
    class Halving(schedules.LearningRateSchedule):
        def __call__(self, step):
            return torch.tensor(0.5**step)

        def get_config(self):
            return {}

    optimizer = bound(optimizers.SGD(Halving()))
    for _ in range(3):
        optimizer.step()
    assert optimizer.param_groups[0]["params"][0].item() == -1.75
    again = optimizers.SGD.from_config(optimizer.get_config(), custom_objects={"Halving": Halving})
    assert isinstance(again.lr, Halving)


def test_configs_round_trip_across_releases():
    with using_keras_version("2.2.4"):
        old = [optimizers.Adam(0.5, clipnorm=1.0).get_config(), optimizers.Nadam(0.5, schedule_decay=0.01).get_config()]
        assert old[1]["schedule_decay"] == 0.01
        assert optimizers.RMSprop(momentum=0.5).get_config()["momentum"] == 0.5
        assert "momentum" not in optimizers.RMSprop().get_config()
    assert optimizers.Adam.from_config(old[0]).get_config()["learning_rate"] == 0.5
    new = optimizers.Nadam.from_config(old[1])
    assert new.schedule_decay == 0.01
    assert new.get_config()["decay"] == np.float32(0.01)
    assert optimizers.Nadam.from_config(new.get_config()).schedule_decay == np.float32(0.01)
    with using_keras_version("2.2.4"):
        assert optimizers.Nadam.from_config(new.get_config()).schedule_decay == np.float32(0.01)


def test_repr_shows_the_config():
    assert repr(optimizers.SGD(0.5)) == "SGD(learning_rate=0.5, decay=0.0, momentum=0.0, nesterov=False)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.Adam(-1.0), ValueError, "Adam takes a learning_rate of at least 0, but got -1.0"),
        (lambda: optimizers.Adam(float("nan")), ValueError, "Adam takes a learning_rate of at least 0, but got nan"),
        (lambda: optimizers.Adam(decay=-0.5), ValueError, "Adam takes a decay of at least 0, but got -0.5"),
        (lambda: optimizers.Adam(clipnorm=-1), ValueError, "Adam takes a clipnorm of at least 0, but got -1"),
        (lambda: optimizers.Adam(beta1=0.9), TypeError, "Adam got an unexpected keyword argument 'beta1'. Did you mean 'beta_1'"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "SGD takes a momentum between 0 and 1, but got 1.5"),
        (lambda: optimizers.RMSprop(momentum=-0.5), ValueError, "RMSprop takes a momentum between 0 and 1, but got -0.5"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), ValueError, "Adagrad takes a initial_accumulator_value of at least 0, but got -1"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), ValueError, "Ftrl takes a learning_rate_power of at most 0, but got 0.5"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1), ValueError, "Ftrl takes a l1_regularization_strength of at least 0, but got -1"),
        (lambda: optimizers.Nadam(schedules.CosineDecay(0.1, 5)), ValueError, "Nadam does not take a LearningRateSchedule"),
    ],
)
def test_bad_hyper_parameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_nadam_refuses_decay_where_keras_does():
    with using_keras_version("2.2.4"), pytest.raises(TypeError, match="Nadam takes no decay"):
        optimizers.Nadam(decay=0.1)


def test_a_subclass_without_update_says_so():
    class Mine(optimizers.Optimizer):
        def __init__(self, learning_rate=0.1, **kwargs):
            super().__init__("Mine", learning_rate, {}, **kwargs)

    with pytest.raises(NotImplementedError, match="Mine must define update"):
        bound(Mine()).step()


def test_an_optimizer_of_ones_own_needs_only_update():
    class SignDescent(optimizers.Optimizer):
        slots = {"last": "last"}

        def __init__(self, learning_rate=0.1, **kwargs):
            super().__init__("SignDescent", learning_rate, {}, **kwargs)

        def update(self, bucket, grads, iteration):
            for parameter, gradient, last in zip(bucket.params, grads, bucket.states["last"], strict=True):
                parameter.sub_(gradient.sign(), alpha=self.rate(bucket, iteration))
                last.copy_(gradient)

    optimizer = bound(SignDescent(0.5, decay=1.0), gradient=3.0)
    for _ in range(2):
        optimizer.step()
    assert optimizer.param_groups[0]["params"][0].item() == -0.75
    assert optimizer.get_weights() == [2, 3.0]
    assert SignDescent.from_config({"learning_rate": 0.25}).lr == 0.25
