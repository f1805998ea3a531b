"""Weights that a user's code makes in any of Keras' or torch's ways, and those of raw modules, are weights of the layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from torchkeras import backend as K
from torchkeras import constraints, initializers, regularizers
from torchkeras.layers import Dense, Input, Layer
from torchkeras.models import Model, Sequential

X = np.random.default_rng(0).standard_normal((16, 3)).astype("float32")
Y = np.zeros((16, 2), "float32")


class Base(Layer):
    def call(self, x):
        return K.dot(x, self.W) + self.b


class ByName(Base):
    def build(self, input_shape):
        self.W = self.add_weight(name="W", shape=(input_shape[-1], 2), initializer="glorot_uniform", regularizer="l2", trainable=True)
        self.b = self.add_weight("b", shape=(2,), initializer="zeros", constraint="non_neg")


class ByShapeFirst(Base):
    """Keras 1 and 2.0 took the shape first."""

    def build(self, input_shape):
        self.W = self.add_weight((input_shape[-1], 2), initializer="glorot_uniform", name=self.name + "_W", regularizer=regularizers.l2())
        self.b = self.add_weight((2,), "zero", name=f"{self.name}_b", constraint=constraints.NonNeg())


class ByVariables(Base):
    """Variables as attributes, as in tf.keras."""

    def build(self, input_shape):
        self.W = K.variable(initializers.glorot_uniform()((input_shape[-1], 2)), name="W")
        self.b = K.variable(np.zeros(2), constraint=constraints.non_neg())
        super().build(input_shape)


class ByList(Base):
    """Variables listed by hand, as in Keras 1."""

    def build(self, input_shape):
        self.W = K.variable(initializers.glorot_uniform()((input_shape[-1], 2)))
        self.b = K.zeros((2,))
        self.trainable_weights = [self.W, self.b]


class ByHiddenList(Base):
    def build(self, input_shape):
        self.W = K.variable(initializers.glorot_uniform()((input_shape[-1], 2)))
        self.b = K.zeros((2,))
        self._trainable_weights.append(self.W)
        self._trainable_weights += [self.b]


class ByParameters(Base):
    """The way of torch."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.W = nn.Parameter(torch.randn(3, 2))
        self.b = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize("cls", [ByName, ByShapeFirst, ByVariables, ByList, ByHiddenList, ByParameters])
def test_weights_made_in_each_way_train_and_travel(cls, tmp_path):
    model = Sequential([Input((3,)).keras_history[0], cls(name="own")])
    layer = model.layers[0]
    assert [tuple(weight.shape) for weight in layer.trainable_weights] == [(3, 2), (2,)]
    assert [weight.shape for weight in layer.get_weights()] == [(3, 2), (2,)]
    assert layer.non_trainable_weights == []
    assert [name for name, _ in model.named_parameters()] == ["own.W", "own.b"]
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    model.save_weights(tmp_path / "w.h5")
    twin = Sequential([Input((3,)).keras_history[0], cls(name="own")])
    twin.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    layer.trainable = False
    assert model.trainable_weights == []
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    np.testing.assert_equal(model.get_weights(), before)


def test_constraints_of_variables_are_applied():
    model = Sequential([Input((3,)).keras_history[0], ByVariables()])
    model.compile("sgd", "mse")
    model.fit(X, Y - 5, verbose=0)
    assert (model.get_weights()[1] >= 0).all()


def test_lists_say_what_is_trained_and_in_which_order():
    class Mixed(Layer):
        def build(self, input_shape):
            self.mean = K.zeros((3,))
            self.scale = K.ones((3,))
            loose = K.variable(np.ones(3), name="loose")
            self.trainable_weights = [loose, self.scale]
            self.non_trainable_weights = [self.mean]

        def call(self, x):
            return (x - self.mean) * self.scale * self.loose

    model = Sequential([Input((3,)).keras_history[0], Mixed(name="mixed")])
    layer = model.layers[0]
    assert [weight.name for weight in layer.trainable_weights] == ["mixed/loose:0", "mixed/scale:0"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["mixed/mean:0"]
    assert not layer.mean.requires_grad
    model.compile("sgd", "mse")
    model.fit(X, np.zeros_like(X), verbose=0)
    assert (layer.mean == 0).all()
    assert (layer.loose != 1).all()


def test_updates_are_written_when_the_layer_trains():
    class Averaging(Layer):
        def build(self, input_shape):
            self.mean = self.add_weight(name="mean", shape=(input_shape[-1],), initializer="zeros", trainable=False)
            self.count = self.add_variable(name="count", shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            self.add_update([(self.mean, x.mean(0)), (self.count, self.count + 1)], inputs=x)
            self.add_update(lambda: self.count.add_(10))
            return x

    model = Sequential([Input((3,)).keras_history[0], Averaging(), Dense(2)])
    model.compile("sgd", "mse")
    model.predict(X)
    assert model.layers[0].count == 0
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(model.layers[0].get_weights()[0], X.mean(0), rtol=1e-5)
    assert model.layers[0].count == 11


def test_a_wrapper_may_list_the_weights_of_the_layer_inside():
    class Around(Layer):
        def build(self, input_shape):
            self.inner = Dense(2)
            self.inner.build_now(input_shape)
            self.trainable_weights = self.inner.trainable_weights

        def call(self, x):
            return self.inner(x)

    layer = Around()
    layer(torch.zeros(1, 3))
    assert len(layer.weights) == 2
    assert layer.weights[0].parameter is layer.inner.weight


def test_buffers_of_a_users_layer_are_weights_that_are_not_trained():
    class Counting(Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.register_buffer("count", torch.zeros(()))
            self.register_buffer("scratch", torch.zeros(()), persistent=False)

        def call(self, x):
            return x + self.count

    layer = Counting(name="counting")
    assert [weight.name for weight in layer.non_trainable_weights] == ["counting/count:0"]
    layer.set_weights([np.float32(3)])
    assert layer.count == 3


def test_a_weight_that_is_removed_or_replaced_is_no_longer_listed():
    layer = ByParameters()
    assert len(layer.weights) == 2
    layer.W = nn.Parameter(torch.ones(5, 2))
    assert layer.weights[0].shape == (5, 2)
    del layer.b
    assert [weight.shape for weight in layer.get_weights()] == [(5, 2)]


def test_weights_of_raw_modules_are_weights_of_the_model(tmp_path):
    def make():
        x = Input((3,), name="x")
        h = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Dense(4, name="inner"))(x)
        return Model(x, Dense(2, name="out")(h))

    model = make()
    names = [weight.name for weight in model.weights]
    assert names[:6] == [
        "sequential/0/weight:0", "sequential/0/bias:0", "sequential/1/weight:0", "sequential/1/bias:0", "inner/kernel:0", "inner/bias:0"
    ]  # fmt: skip
    assert model.count_params() == sum(weight.size for weight in model.get_weights()) == 12 + 4 + 4 + 4 + 20 + 4 + 4 + 1 + 10
    assert [weight.name for weight in model.non_trainable_weights] == [
        "sequential/1/running_mean:0", "sequential/1/running_var:0", "sequential/1/num_batches_tracked:0"
    ]  # fmt: skip
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    twin = make()
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    model.save_weights(tmp_path / "w.h5")
    other = make()
    other.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


def test_freezing_reaches_raw_modules():
    module = nn.Linear(3, 2)
    model = Sequential([Input((3,)).keras_history[0], module, Dense(2)])
    module.weight.requires_grad_(False)  # by hand
    assert [weight.name for weight in model.trainable_weights] == ["linear/bias:0", "dense/kernel:0", "dense/bias:0"]
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    changed = [(old != new).any() for old, new in zip(before, model.get_weights(), strict=True)]
    assert changed == [True, False, True, True]
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 4


def test_a_generator_trains_through_a_frozen_discriminator_of_raw_modules():
    discriminator = Sequential([nn.Linear(3, 4), nn.ReLU(), Dense(1)], name="discriminator")
    discriminator(torch.zeros(2, 3))
    discriminator.compile("sgd", "mse")
    discriminator.trainable = False
    z = Input((2,))
    generator = Sequential([nn.Linear(2, 3)], name="generator")
    gan = Model(z, discriminator(generator(z)))
    gan.compile("sgd", "mse")
    noise = np.random.default_rng(1).standard_normal((16, 2)).astype("float32")
    for _ in range(2):
        before = [discriminator.get_weights(), generator.get_weights()]
        gan.train_on_batch(noise, np.ones((16, 1)))
        np.testing.assert_equal(discriminator.get_weights(), before[0])
        assert all((old != new).any() for old, new in zip(before[1], generator.get_weights(), strict=True))
        generated = generator.get_weights()
        discriminator.train_on_batch(X, np.ones((16, 1)))
        assert any((old != new).any() for old, new in zip(before[0], discriminator.get_weights(), strict=True))
        np.testing.assert_equal(generator.get_weights(), generated)


@pytest.mark.parametrize("change", [lambda layer: parametrizations.weight_norm(layer), lambda layer: prune.l1_unstructured(layer, "weight", 0.5)])
def test_weights_that_torch_computes_are_shown_and_set_as_they_are(change):
    model = Sequential([Dense(4, input_shape=(3,)), Dense(2)])
    layer = model.layers[0]
    change(layer)
    model(X)
    assert [weight.name for weight in model.weights] == ["dense/kernel:0", "dense/bias:0", "dense_1/kernel:0", "dense_1/bias:0"]
    np.testing.assert_allclose(layer.get_weights()[0], layer.weight.detach().numpy().T)
    again = Sequential.from_config(model.get_config())
    assert [type(one) for one in again.layers] == [Dense, Dense]
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    values = [np.full((3, 4), 0.5, "float32") * np.array([1, 2, 3, 4]), np.zeros(4)]
    layer.set_weights(values)
    mask = layer.weight_mask.numpy().T if hasattr(layer, "weight_mask") else 1
    np.testing.assert_allclose(layer.get_weights()[0], values[0] * mask, rtol=1e-6)
    np.testing.assert_allclose(layer(X).detach().numpy(), X @ (values[0] * mask), rtol=1e-5, atol=1e-6)


def test_a_weight_without_a_way_back_cannot_be_set():
    layer = Dense(2)
    layer(X)
    layer.__dict__["weight"] = layer._parameters.pop("weight") * 2
    with pytest.raises(RuntimeError, match="Weight 'kernel' of layer 'dense' is computed from other tensors: set those"):
        layer.set_weights([np.ones((3, 2)), np.zeros(2)])


def test_parametrized_raw_modules_have_their_weights_and_train():
    linear = nn.Linear(3, 2)
    model = Sequential([Input((3,)).keras_history[0], linear])
    plain = model.get_weights()
    parametrizations.weight_norm(linear)
    assert [weight.shape for weight in model.get_weights()] == [(2, 3), (2,)]
    np.testing.assert_allclose(model.get_weights()[0], plain[0], rtol=1e-6)
    model.compile("sgd", "mse")
    model.fit(X, Y + 1, verbose=0)
    assert (model.get_weights()[0] != plain[0]).any()
    model.set_weights(plain)
    np.testing.assert_allclose(linear.weight.detach(), plain[0], rtol=1e-5)
    assert model.count_params() == 8
    model.trainable = False
    assert model.trainable_weights == []
    model.compile("sgd", "mse")
    before = [parameter.detach().clone() for parameter in linear.parameters()]
    model.fit(X, Y, verbose=0)
    assert all(torch.equal(old, new) for old, new in zip(before, linear.parameters(), strict=True))
