"""What models add to the loss and the logs by themselves: add_loss, add_metric, regularizers, metrics as attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import backend as K
from torchkeras import generations, metrics
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
