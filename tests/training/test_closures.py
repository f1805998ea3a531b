"""Losses that use symbolic tensors of the graph get the batch's values, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

from torchkeras import backend as K
from torchkeras import losses
from torchkeras.layers import Dense, Input, Lambda
from torchkeras.models import Model
from torchkeras.training.closures import places_of

X = np.random.RandomState(0).rand(12, 5).astype("float32")


def make(kind: str):
    x = Input((5,))
    hidden = Dense(2, name="hidden", kernel_initializer="ones")(x)
    scaled = Lambda(lambda t: t * 2)(hidden)
    outputs = Dense(5, name="out", kernel_initializer="ones")(hidden)
    model = Model(x, outputs)

    def penalty():
        return 0.1 * K.sum(K.square(scaled), axis=-1)

    def loss(y_true, y_pred):
        return losses.mean_squared_error(y_true, y_pred) + penalty()

    class Owner:
        def __init__(self):
            self.scaled = scaled

        def loss(self, y_true, y_pred):
            return losses.mean_squared_error(y_true, y_pred) + 0.1 * K.sum(K.square(self.scaled), axis=-1)

    def other(y_true, y_pred):
        return losses.mean_squared_error(y_true, y_pred)

    if kind == "added":
        model.add_loss(K.mean(penalty()))
    chosen = {"closure": loss, "method": Owner().loss, "added": other}[kind]
    model.compile("sgd", chosen)
    return model, chosen


@pytest.mark.parametrize("kind", ["closure", "method"])
def test_it_trains_as_with_add_loss(kind: str):
    (one, function), (other, _) = make(kind), make("added")
    first = one.fit(X, X, epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]
    second = other.fit(X, X, epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(first, second, rtol=1e-6)
    for got, wanted in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
    (place,) = places_of(function)
    assert type(place.tensor).__name__ == "KerasTensor"


def test_metrics_use_them_too():
    x = Input((5,))
    hidden = Dense(2)(x)
    model = Model(x, Dense(5)(hidden))
    model.compile("sgd", "mse", metrics=[lambda y_true, y_pred: K.mean(hidden)])
    names = model.metrics_names
    logs = model.fit(X, X, epochs=1, batch_size=12, verbose=0).history
    before = Model(x, hidden)
    assert set(names) <= {"loss", *logs}
    assert np.isfinite(before.predict(X)).all()


def test_a_function_without_symbols_stays_as_it_is():
    assert places_of(losses.mean_squared_error) == []
    assert places_of(len) == []
    assert places_of("mse") == []


def test_such_a_model_is_saved(tmp_path):
    model, _ = make("closure")
    model.fit(X, X, epochs=1, verbose=0)
    model.save_weights(str(tmp_path / "w.h5"))
    other, _ = make("closure")
    other.load_weights(str(tmp_path / "w.h5"))
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
