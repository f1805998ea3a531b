"""`layer.build(shape)` called by hand makes the weights that the layer's calls then use, as in Keras."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import layers
from torchkeras.layers import Dense, Input, Layer
from torchkeras.models import Model

SHAPES = {
    "Dense": (lambda **k: Dense(2, **k), (None, 3)),
    "LSTM": (lambda **k: layers.LSTM(2, **k), (None, 4, 3)),
    "Bidirectional": (lambda **k: layers.Bidirectional(layers.GRU(2), **k), (None, 4, 3)),
    "TimeDistributed": (lambda **k: layers.TimeDistributed(Dense(2), **k), (None, 4, 3)),
    "Conv2D": (lambda **k: layers.Conv2D(2, 2, **k), (None, 4, 4, 3)),
    "BatchNormalization": (lambda **k: layers.BatchNormalization(**k), (None, 3)),
    "Embedding": (lambda **k: layers.Embedding(5, 2, **k), (None, 3)),
    "Flatten": (lambda **k: layers.Flatten(**k), (None, 3, 2)),
}


@pytest.mark.parametrize("which", SHAPES)
def test_a_call_uses_the_weights_that_build_made(which):
    make, shape = SHAPES[which]
    layer = make()
    layer.build(shape)
    assert layer.built
    values = [np.full(weight.shape, 0.5, "float32") for weight in layer.get_weights()]
    layer.set_weights(values)
    layer(torch.ones(2, *shape[1:], dtype=torch.int64 if which == "Embedding" else torch.float32))
    for found, value in zip(layer.get_weights(), values, strict=True):
        np.testing.assert_array_equal(found, value)


def test_initial_values_are_put_in():
    values = [np.ones((3, 2), "float32"), np.zeros(2, "float32")]
    layer = Dense(2, weights=values)
    layer.build((None, 3))
    np.testing.assert_array_equal(layer.get_weights()[0], values[0])


class Outer(Layer):
    """Builds one sublayer by hand; the other one builds itself."""

    def build(self, input_shape):
        self.first = Dense(2, name="first")
        self.first.build(input_shape)
        self.second = Dense(4, name="second")
        super().build(input_shape)

    def call(self, inputs):
        return self.second(self.first(inputs))


def test_a_layer_may_build_its_sublayers():
    """tf.keras 2.4.0 lists four weights."""
    x = Input((3,))
    model = Model(x, Outer()(x))
    assert [weight.shape for weight in model.get_weights()] == [(3, 2), (2,), (2, 4), (4,)]
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 4)))
    assert not any(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


class Wider(Dense):
    """Makes one more weight after the inherited ones."""

    def build(self, input_shape):
        super().build(input_shape)
        self.scale = self.add_weight("scale", (1,), initializer="ones")

    def call(self, inputs):
        return super().call(inputs) * self.scale


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_class_that_adds_weights_has_them_once(by_hand):
    layer = Wider(2, weights=None if by_hand else [np.ones((3, 2)), np.zeros(2), np.full(1, 5.0)])
    if by_hand:
        layer.build((None, 3))
    found = layer(torch.ones(1, 3))
    assert [tuple(weight.shape) for weight in layer.weights] == [(3, 2), (2,), (1,)]
    if not by_hand:
        assert found.tolist() == [[15.0, 15.0]]


def test_a_failed_build_can_be_tried_again():
    dense = Dense(2)
    with pytest.raises((ValueError, TypeError), match="Dense"):
        dense.build((None, None))
    assert not dense.built
    dense.build((None, 3))
    assert dense.built and len(dense.get_weights()) == 2
