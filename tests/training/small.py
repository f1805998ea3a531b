"""Small models and data of the tests of fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchkeras import utils
from torchkeras.layers import Dense, Input
from torchkeras.models import Model, Sequential

RNG = np.random.default_rng(0)
X, Y = RNG.random((20, 4)).astype("float32"), RNG.integers(0, 3, 20)


def make(**kwargs: Any) -> Model:
    utils.set_random_seed(0)
    model = Sequential([Dense(5, activation="relu", input_shape=(4,)), Dense(3, activation="softmax", name="p")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **kwargs)
    return model


def two_outputs(**kwargs: Any) -> Model:
    utils.set_random_seed(0)
    inputs = Input((4,), name="in")
    model = Model(inputs, [Dense(1, name="a")(inputs), Dense(2, name="b")(inputs)])
    model.compile("sgd", "mse", **kwargs)
    return model


TARGETS = [X[:, :1], X[:, :2]]


def same(got: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert list(got) == list(expected)
    for name, values in expected.items():
        assert got[name] == pytest.approx(values, rel=1e-5), name


def equal(one: Model, other: Model) -> None:
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)
