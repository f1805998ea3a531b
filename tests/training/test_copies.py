"""A copy of a compiled and trained model trains on by itself."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from torchkeras.layers import BatchNormalization, Dense, Input
from torchkeras.models import Model, Sequential

X, Y = np.random.default_rng(0).random((12, 4)).astype("float32"), np.random.default_rng(1).random((12, 1)).astype("float32")


def _sequential() -> Model:
    return Sequential([Dense(3, activation="tanh", input_shape=(4,), kernel_regularizer="l2"), BatchNormalization(), Dense(1)])


def _functional() -> Model:
    start = Input((4,))
    hidden = Dense(3, activation="tanh", activity_regularizer="l2")(start)
    return Model(start, Dense(1)(hidden + Dense(3)(start)))


@pytest.mark.parametrize("make", [_sequential, _functional])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"])
def test_copy_trains_on_with_the_same_numbers_and_apart(make, duplicate):
    model = make()
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    twin = duplicate(model)
    before = model.get_weights()
    history = twin.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    again = model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    assert history.history == again.history
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
