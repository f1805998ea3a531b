"""`K.set_learning_phase` rules where nobody gives `training`, as far as the chosen release lets it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import backend as K
from torchkeras.generations import set_keras_version
from torchkeras.layers import Dropout, Input, Lambda, Layer
from torchkeras.models import Model, Sequential

X = torch.ones(64, 8)


class Phase(Layer):
    """Puts out the phase that its code is run in."""

    def call(self, inputs, training=None):
        return inputs * 0 + float(training)


@pytest.fixture(autouse=True)
def _free_phase():
    yield
    K.clear_session()


def drops(output) -> bool:
    return bool((torch.as_tensor(output) == 0).any())


def test_a_fixed_phase_rules_calls_without_training():
    layer = Dropout(0.5)
    model = Sequential([Dropout(0.5, input_shape=(8,))])
    x = Input((8,))
    functional = Model(x, Phase()(x))
    for _ in range(2):  # the second time the layers go the short way
        assert not drops(layer(X))
        assert not drops(model(X))
        assert (functional(X) == 0).all()
    K.set_learning_phase(1)
    assert drops(layer(X))
    assert drops(model(X))
    assert (functional(X) == 1).all()
    assert not drops(layer(X, training=False))
    assert not drops(model(X, training=False))
    K.set_learning_phase(0)
    layer.train()
    assert not drops(layer(X))
    K.clear_session()
    assert drops(layer(X))


@pytest.mark.parametrize(("version", "everywhere"), [("2.2.4", True), ("2.4.0", False)])
@pytest.mark.parametrize("phase", [0, 1])
def test_loops_have_their_own_phase_in_tf_keras(version, everywhere, phase):
    set_keras_version(version)
    seen = []

    def look(x, training):
        seen.append(int(training))
        return x

    model = Sequential([Dropout(0.5, input_shape=(8,)), Lambda(look)])
    model.compile("sgd", "mse")
    K.set_learning_phase(phase)
    seen.clear()
    assert drops(model.predict(X.numpy(), verbose=0)) is (bool(phase) and everywhere)
    assert set(seen) == {phase if everywhere else 0}
    seen.clear()
    loss = model.train_on_batch(X.numpy(), np.ones((64, 8)))
    assert set(seen) == {phase if everywhere else 1}
    assert (loss == 0) is (everywhere and phase == 0)
