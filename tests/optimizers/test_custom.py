"""Optimizers of users: subclasses of Keras' and of torch's, found again by their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import optimizers
from torchkeras.layers import Dense
from torchkeras.models import Sequential, load_model
from torchkeras.utils import custom_object_scope

X = np.random.default_rng(0).standard_normal((16, 3)).astype("float32")
Y = np.random.default_rng(1).standard_normal((16, 2)).astype("float32")


class SignDescent(optimizers.Optimizer):
    """Steps of one size: `w -= rate sign(g)`."""

    config_keys = ("decay",)

    def __init__(self, learning_rate=0.01, name="SignDescent", **kwargs):
        super().__init__(name, learning_rate, **kwargs)

    def update(self, bucket, grads, iteration):
        torch._foreach_add_(bucket.params, [gradient.sign() for gradient in grads], alpha=-self.rate(bucket, iteration))


class Halving(optimizers.SGD):
    """SGD whose rate its own argument divides."""

    def __init__(self, learning_rate=0.1, parts=2, **kwargs):
        super().__init__(learning_rate / parts, **kwargs)
        self.parts = parts

    def get_config(self):
        return {**super().get_config(), "learning_rate": float(self.lr) * self.parts, "parts": self.parts}


class Plain(torch.optim.Optimizer):
    """The way of torch."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                param.add_(param.grad, alpha=-group["lr"])


def one_step(optimizer):
    """How the kernel moves in one step, and its gradient."""
    model = Sequential([Dense(2, input_shape=(3,), use_bias=False)])
    before = model.get_weights()[0]
    model.compile(optimizer, "mse")
    model.fit(X, Y, batch_size=16, verbose=0)
    return model, model.get_weights()[0] - before, X.T @ (2 * (X @ before - Y)) / Y.size


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        (SignDescent(0.5), lambda g: -0.5 * np.sign(g)),
        (Halving(0.1, parts=4), lambda g: -0.025 * g),
        (Plain, lambda g: -0.1 * g),
        (lambda parameters: Plain(parameters, 0.3), lambda g: -0.3 * g),
    ],
    ids=["update", "subclass", "class of torch", "function"],
)
def test_the_rule_of_an_own_optimizer(optimizer, rule):
    _, change, gradient = one_step(optimizer)
    np.testing.assert_allclose(change, rule(gradient), rtol=1e-4, atol=1e-6)


def test_own_optimizers_come_back_from_files(tmp_path):
    for optimizer, objects in ((SignDescent(0.5), {"SignDescent": SignDescent}), (Halving(0.1, parts=4), {"Halving": Halving})):
        model, *_ = one_step(optimizer)
        model.save(tmp_path / "m.h5")
        again = load_model(tmp_path / "m.h5", custom_objects=objects)
        assert type(again.optimizer) is type(optimizer)
        assert again.optimizer.get_config() == model.optimizer.get_config()
        assert again.optimizer.iterations == 1
        with custom_object_scope(objects):
            assert type(optimizers.get(type(optimizer).__name__)) is type(optimizer)
        with pytest.raises(ValueError, match=f"Unknown optimizer: '{type(optimizer).__name__}'"):
            load_model(tmp_path / "m.h5")


@pytest.mark.parametrize("method", ["get_updates", "_resource_apply_dense"])
def test_an_optimizer_of_tensorflows_graph_says_what_to_write(method):
    cls = type("Old", (optimizers.Optimizer,), {method: lambda self, *args: []})
    with pytest.raises(TypeError, match=rf"Old writes {method}, which makes operations of TensorFlow's graph.* Override update\(self, bucket, grads"):
        cls(lr=0.1)
