"""What models add to the loss and the logs by themselves: add_loss, add_metric, regularizers, metrics as attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import backend as K
from torchkeras import generations, losses, metrics
from torchkeras.layers import Dense, Input, Layer
from torchkeras.models import Model, Sequential

X = np.random.default_rng(0).random((10, 4)).astype("float32")


class Reporting(Layer):
    """Adds the mean square of its input to the loss, and its mean to the logs."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(inputs.square().mean())
        self.add_metric(inputs, name="mean_input")
        return inputs


def test_a_loss_of_symbolic_tensors_is_trained_without_targets():
    inputs = Input((4,))
    outputs = Dense(2, use_bias=False, name="d")(inputs)
    model = Model(inputs, outputs)
    model.add_loss(K.mean(K.square(outputs)))
    model.add_metric(K.mean(outputs), name="mean_output")
    model.compile("sgd")
    kernel = model.get_weights()[0]
    made = X @ kernel
    history = model.fit(X, batch_size=10, verbose=0).history
    assert history["loss"] == pytest.approx([np.square(made).mean()], rel=1e-5)
    assert history["mean_output"] == pytest.approx([made.mean()], rel=1e-5)
    step = 0.01 * X.T @ (2 * made / made.size)
    np.testing.assert_allclose(model.get_weights()[0], kernel - step, rtol=1e-5, atol=1e-7)
    assert model.metrics_names == ["loss", "mean_output"]
    assert model.predict(X).shape == (10, 2)


def test_what_a_layer_adds_in_its_call_counts_once_a_batch():
    model = Sequential([Reporting(input_shape=(4,)), Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    history = model.fit(X, np.zeros((10, 1)), batch_size=5, epochs=2, verbose=0, shuffle=False).history
    assert history["loss"] == pytest.approx([np.square(X).mean()] * 2, rel=1e-5)
    assert history["mean_input"] == pytest.approx([X.mean()] * 2, rel=1e-5)
    assert len(model.losses) == 1


def test_a_subclassed_model_forgets_the_losses_of_earlier_calls():
    class Sub(Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(1)

        def call(self, inputs: Any) -> Any:
            self.add_loss(torch.ones(()))
            return self.dense(inputs)

    model = Sub()
    for _ in range(3):
        model(X)
    assert [float(loss) for loss in model.losses] == [1.0]


def test_a_vector_of_losses_is_summed_for_the_gradient_and_averaged_for_the_logs():
    inputs = Input((4,))
    outputs = Dense(1, use_bias=False, kernel_initializer="zeros")(inputs)
    model = Model(inputs, outputs)
    model.add_loss(outputs)  # the gradient of each sample is its input
    model.compile("sgd")
    history = model.fit(X, batch_size=10, verbose=0).history
    assert history["loss"] == [0.0]
    np.testing.assert_allclose(model.get_weights()[0][:, 0], -0.01 * X.sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize(("version", "factor"), [("2.2.4", 10), ("2.4.0", 1)])
def test_activity_regularizers_count_by_batch_or_by_sample(version: str, factor: int):
    generations.set_keras_version(version)
    model = Sequential([Dense(2, input_shape=(4,), activity_regularizer="l1", kernel_initializer="ones")])
    model.compile("sgd", "mse")
    made = np.repeat(X.sum(axis=1, keepdims=True), 2, axis=1)
    expected = 0.01 * np.abs(made).sum() / 10 * factor
    assert model.evaluate(X, made, batch_size=10, verbose=0) == pytest.approx(expected, rel=1e-4)


def test_weight_regularizers_are_in_the_loss_of_training_and_evaluation():
    model = Sequential([Dense(1, input_shape=(4,), kernel_initializer="ones", kernel_regularizer="l2")])
    model.compile("sgd", "mse")
    y = X.sum(axis=1, keepdims=True)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(0.04, rel=1e-5)
    assert model.train_on_batch(X, y) == pytest.approx(0.04, rel=1e-5)


def test_metrics_kept_as_attributes_are_in_the_logs_and_start_anew_each_epoch():
    class Sub(Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(1)
            self.seen = metrics.Sum(name="seen")

        def call(self, inputs: Any) -> Any:
            self.seen.update_state(torch.ones(inputs.shape[0]))
            return self.dense(inputs)

    model = Sub()
    model.compile("sgd", "mse")
    history = model.fit(X, X[:, :1], epochs=2, verbose=0).history
    assert history["seen"] == [10.0, 10.0]
    assert [type(layer).__name__ for layer in model.layers] == ["Dense"]
    assert [metric.name for metric in model.metrics] == ["loss", "seen"]


class Adding(Layer):
    """Adds the mean of its input to the loss."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(inputs.mean())
        return inputs


SHARED = {
    "layer": Adding,
    "model": lambda: Sequential([Adding(input_shape=(4,))]),
    "regularized": lambda: Dense(4, kernel_initializer="identity", activity_regularizer=lambda x: x.mean() * len(x)),
    "regularized model": lambda: Sequential([Dense(4, kernel_initializer="identity", activity_regularizer=lambda x: x.mean() * len(x))]),
}


@pytest.mark.parametrize("make", SHARED.values(), ids=SHARED)
def test_each_call_of_a_shared_layer_adds_its_loss(make: Any):
    shared, left, right = make(), Input((4,)), Input((4,))
    model = Model([left, right], shared(left) - shared(right))
    model.compile("sgd", "mse")
    expected = np.square(X - X[::-1]).mean() + 2 * X.mean()
    data = [X, X[::-1].copy()]
    assert model.evaluate(data, np.zeros((10, 4)), verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(data, np.zeros((10, 4))) == pytest.approx(expected, rel=1e-5)
    assert model.fit(data, np.zeros((10, 4)), verbose=0, shuffle=False).history["loss"][0] > 0
    for _ in range(2):
        model([torch.from_numpy(part) for part in data])
    assert len(model.losses) == 2


def test_a_graph_that_torch_compiles_adds_losses():
    torch._dynamo.reset()
    shared, left, right = Adding(), Input((4,)), Input((4,))
    model = Model([left, right], shared(left) - shared(right))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    data = [torch.from_numpy(X), torch.from_numpy(X).flip(0)]
    for _ in range(2):
        torch.testing.assert_close(compiled(data), data[0] - data[1])
        assert [float(loss) for loss in model.losses] == pytest.approx([X.mean()] * 2, rel=1e-5)
    torch._dynamo.reset()


def test_a_chain_may_call_a_layer_that_adds_a_loss_twice():
    shared, inputs = Adding(), Input((4,))
    model = Model(inputs, shared(shared(inputs)))
    model.compile("sgd", "mse")
    assert model.evaluate(X, X, verbose=0) == pytest.approx(2 * X.mean(), rel=1e-5)


def test_a_loop_of_ones_own_finds_the_losses_of_the_last_call():
    class Outer(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Adding()

        def call(self, inputs: Any) -> Any:
            return self.inner(self.inner(inputs))

    for layer, count in ((Adding(), 1), (Outer(), 2), (Dense(1, activity_regularizer="l2"), 1)):
        for _ in range(3):
            layer(X)
            assert len(layer.losses) == count
    module = torch.nn.Sequential(Adding(), Adding())
    model = Model(module)
    model.compile("sgd", "mse")
    for _ in range(2):
        assert model.evaluate(X, X, verbose=0) == pytest.approx(2 * X.mean(), rel=1e-5)


class Endpoint(Layer):
    """Loss and metric objects inside a layer, called on its inputs."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = losses.BinaryCrossentropy(from_logits=True)
        self.accuracy = metrics.BinaryAccuracy()

    def call(self, targets: Any, logits: Any) -> Any:
        self.add_loss(self.loss(targets, logits))
        self.add_metric(self.accuracy(targets, logits), name="accuracy")
        return torch.sigmoid(logits)


def test_a_metric_object_that_a_layer_calls_is_reported_by_itself():
    inputs, targets = Input((4,), name="inputs"), Input((3,), name="targets")
    model = Model([inputs, targets], Endpoint()(targets, Dense(3, kernel_initializer="ones")(inputs)))
    model.compile("sgd")
    y = (np.arange(30).reshape(10, 3) % 4 == 0).astype("float32")
    history = model.fit({"inputs": X, "targets": y}, batch_size=3, epochs=2, verbose=0).history
    # every logit is positive; tf.keras calls it by the object's name, too
    assert history["binary_accuracy"] == pytest.approx([y.mean()] * 2, rel=1e-5)
    assert list(history) == ["loss", "binary_accuracy"]
    layer = Endpoint()
    layer(torch.ones(2, 2), torch.ones(2, 2))
    assert layer.metrics == [layer.accuracy]
    assert float(layer.losses[0]) == pytest.approx(np.log1p(np.exp(-1)), rel=1e-5)
