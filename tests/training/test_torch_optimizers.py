"""Optimizers and schedulers of torch in compile(), made before or after the weights."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from torchkeras.layers import Dense
from torchkeras.models import Model, Sequential

X = np.random.default_rng(0).standard_normal((16, 3)).astype("float32")
Y = np.random.default_rng(1).standard_normal((16, 2)).astype("float32")


def moved(model, **options):
    """Which weights one epoch changes."""
    model.build((None, 3))
    before = model.get_weights()
    model.fit(X, Y, verbose=0, **options)
    return [bool((old != new).any()) for old, new in zip(before, model.get_weights(), strict=True)]


def net():
    return Sequential([Dense(4, activation="tanh", input_shape=(3,)), Dense(2)])


MADE = {
    "class": lambda model: torch.optim.AdamW,
    "partial": lambda model: functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "function": lambda model: lambda parameters: torch.optim.RMSprop(parameters, lr=0.1),
    "instance": lambda model: torch.optim.Adam(model.parameters(), lr=0.1),
    "groups": lambda model: torch.optim.SGD([{"params": layer.parameters(), "lr": lr} for layer, lr in zip(model.layers, (0.1, 1.0), strict=True)]),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_every_way_to_name_an_optimizer(make):
    model = net()
    model.compile(make(model), "mse")
    assert moved(model) == [True] * 4


def test_an_optimizer_of_some_weights_trains_those():
    model = net()
    model.compile(torch.optim.SGD(model.layers[1].parameters(), lr=0.1), "mse")
    assert moved(model) == [False, False, True, True]


def test_an_optimizer_of_another_model_is_refused():
    model = net()
    model.compile(torch.optim.SGD(net().parameters(), lr=0.1), "mse")
    with pytest.raises(ValueError, match=r"The SGD given to compile\(\) holds no parameter of model 'sequential', so it would train nothing"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("scheduled", [False, True])
def test_weights_made_after_the_optimizer_join_it(scheduled):
    model = Sequential([nn.Linear(3, 4), Dense(2)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # those of the Dense are still to come
    model.compile(optimizer, "mse", lr_scheduler=lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch) if scheduled else None)
    assert moved(model, epochs=2) == [True] * 4
    assert optimizer.param_groups[0]["lr"] == (0.025 if scheduled else 0.1)


def test_weights_left_out_of_an_early_optimizer_stay_out():
    model = Sequential([nn.Linear(3, 4), nn.Linear(4, 4), Dense(2)])
    model.compile(torch.optim.SGD(model.layers[0].parameters(), lr=0.1), "mse")
    assert moved(model) == [True, True, False, False, False, False]


SCHEDULES = {
    "step": (lambda optimizer: lr_scheduler.StepLR(optimizer, 1, 0.5), 0.1 * 0.5**3),
    "cosine": (lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 6), 0.05),
    "batch": (lambda optimizer: (lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=12), "batch"), 0.05),
    "sequence": (
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.ConstantLR(optimizer, 1.0), lr_scheduler.ExponentialLR(optimizer, 0.5)], milestones=[1]
        ),
        0.1 * 0.5**2,
    ),
}


@pytest.mark.parametrize(("make", "expected"), SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("early", [True, False], ids=["object", "function"])
def test_schedulers_of_torch(make, expected, early):
    model = Model(nn.Linear(3, 2))
    if early:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model.compile(optimizer, "mse", lr_scheduler=make(optimizer))
    else:
        if isinstance(make(torch.optim.SGD(model.parameters())), tuple):
            schedule = (lambda optimizer: make(optimizer)[0], "batch")
        else:
            schedule = make
        model.compile(functools.partial(torch.optim.SGD, lr=0.1), "mse", lr_scheduler=schedule)
    model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(expected, rel=1e-6)


def test_an_optimizer_that_computes_the_loss_anew_is_refused():
    model = net()
    for optimizer in (torch.optim.LBFGS, torch.optim.LBFGS(model.parameters())):
        model.compile(optimizer, "mse")
        with pytest.raises(ValueError, match=r"LBFGS computes the loss several times in a step, which fit\(\) does not offer. Write train_step"):
            model.fit(X, Y, verbose=0)


def test_a_step_of_ones_own_may_compute_the_loss_anew():
    class Closed(Sequential):
        def train_step(self, data):
            x, y = data

            def closure():
                self.optimizer.zero_grad()
                loss = nn.functional.mse_loss(self(x, training=True), y)
                loss.backward()
                return loss

            return {"loss": self.optimizer.step(closure)}

    model = Closed([Dense(2, input_shape=(3,))])
    model.compile(torch.optim.LBFGS(model.parameters(), lr=0.5))
    losses = model.fit(X, Y, batch_size=16, epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0]


def test_a_scheduler_among_the_callbacks_is_told_where_to_go():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.compile(optimizer, "mse")
    with pytest.raises(TypeError, match=r"A scheduler of torch goes to compile\(optimizer, ..., lr_scheduler=scheduler\)"):
        model.fit(X, Y, callbacks=[lr_scheduler.StepLR(optimizer, 1)], verbose=0)
