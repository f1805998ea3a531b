"""Evaluation and prediction compute small batches together where nobody sees it, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events

from torchkeras import layers, models, set_keras_version
from torchkeras.callbacks import Callback, LambdaCallback
from torchkeras.training import loops, merging

SAMPLES, BATCH = 50, 8


def data(shape: tuple[int, ...] = (6,)) -> tuple[Any, Any]:
    """Noise and class ids."""
    random = np.random.RandomState(0)
    return random.standard_normal((SAMPLES, *shape)).astype("float32"), random.randint(0, 3, SAMPLES)


def compiled(*stack: Any, metrics: Any = ("accuracy",), loss: Any = "sparse_categorical_crossentropy") -> Any:
    """A classifier."""
    net = models.Sequential([*stack, layers.Dense(3, activation="softmax")])
    net.compile("sgd", loss, metrics=list(metrics))
    return net


class Sizes:
    """Rows of each forward pass of a model's last layer."""

    def __init__(self, net: Any) -> None:
        self.seen: list[int] = []
        net.layers[-1].register_forward_hook(lambda layer, inputs, output: self.seen.append(len(output)))

    def largest(self, call: Any) -> int:
        """The most rows that were computed at once."""
        self.seen.clear()
        call()
        assert sum(self.seen) == SAMPLES
        return max(self.seen)


STACKS = {
    "dense": ((6,), lambda: [layers.Dense(5, activation="relu", input_shape=(6,)), layers.BatchNormalization(), layers.Dropout(0.5)]),
    "lstm": ((4, 6), lambda: [layers.LSTM(5, return_sequences=True, input_shape=(4, 6)), layers.Bidirectional(layers.GRU(3))]),
    "pictures": ((6, 6, 2), lambda: [layers.Conv2D(3, 3, padding="same", input_shape=(6, 6, 2)), layers.MaxPooling2D(), layers.Flatten()]),
}


@pytest.mark.parametrize("name", STACKS)
def test_the_results_are_those_of_the_batches(monkeypatch, name):
    shape, stack = STACKS[name]
    net = compiled(*stack())
    x, y = data(shape)
    net.fit(x, y, batch_size=BATCH, verbose=0)
    sizes = Sizes(net)
    predicted, values = net.predict(x, batch_size=BATCH), net.evaluate(x, y, batch_size=BATCH, verbose=0)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == SAMPLES
    assert sizes.largest(lambda: net.evaluate(x, y, batch_size=BATCH, verbose=0)) == SAMPLES
    monkeypatch.setattr(merging, "ROOM", 0)
    monkeypatch.setattr(merging, "STEPPING_ROOM", 0)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == BATCH
    np.testing.assert_allclose(predicted, net.predict(x, batch_size=BATCH), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(values, net.evaluate(x, y, batch_size=BATCH, verbose=0), rtol=1e-6)


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("cell", [layers.LSTM, layers.GRU])
def test_masked_steps_of_any_number_are_computed_together(monkeypatch, cell, sequences):
    """The model does not say how many steps there are; the data do."""
    words = layers.Embedding(9, 4, mask_zero=True)
    net = models.Sequential([words, layers.Bidirectional(cell(5, return_sequences=sequences)), layers.Dense(3, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    random = np.random.RandomState(0)
    x = random.randint(0, 9, (SAMPLES, 12)) * (np.arange(12) < random.randint(0, 13, (SAMPLES, 1)))
    y = random.randint(0, 3, (SAMPLES, 12, 1) if sequences else SAMPLES)
    predicted, values = net.predict(x, batch_size=BATCH), net.evaluate(x, y, batch_size=BATCH, verbose=0)
    sizes = Sizes(net)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == SAMPLES
    assert sizes.largest(lambda: net.evaluate(x, y, batch_size=BATCH, verbose=0)) == SAMPLES
    monkeypatch.setattr(merging, "STEPPING_ROOM", 3 * BATCH * 4 * 12 * 10)  # three batches of both directions, all steps
    monkeypatch.setattr(merging, "ROOM", 0)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == (3 * BATCH if sequences else SAMPLES)
    monkeypatch.setattr(merging, "STEPPING_ROOM", 0)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == BATCH
    np.testing.assert_allclose(predicted, net.predict(x, batch_size=BATCH), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values, net.evaluate(x, y, batch_size=BATCH, verbose=0), rtol=1e-5)


def test_large_rows_stay_in_their_batches(monkeypatch):
    monkeypatch.setattr(merging, "ROOM", 4 * 6 * 3 * BATCH)  # three batches of the widest value
    net, (x, _) = compiled(layers.Dense(5, input_shape=(6,))), data()
    assert Sizes(net).largest(lambda: net.predict(x, batch_size=BATCH)) == 3 * BATCH


class Own(layers.Dense):
    """A layer of the user's own."""


UNMERGED = {
    "lambda": lambda: [layers.Lambda(lambda x: x - x.mean(0), input_shape=(6,))],
    "own": lambda: [Own(3, input_shape=(6,))],
    "noise_of_the_activity": lambda: [layers.Dense(3, activity_regularizer="l2", input_shape=(6,))],
    "raw": lambda: [layers.Dense(4, input_shape=(6,)), torch.nn.Linear(4, 4)],
}


@pytest.mark.parametrize("name", UNMERGED)
def test_layers_that_may_mix_rows_see_the_batches(name):
    net, (x, y) = compiled(*UNMERGED[name]()), data()
    net.predict(x)
    sizes = Sizes(net)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == BATCH
    assert sizes.largest(lambda: net.evaluate(x, y, batch_size=BATCH, verbose=0)) == BATCH


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("keras_version", ["2.2.4", "2.4.0"])
def test_under_masks_rows_are_as_they_are_alone(monkeypatch, keras_version, sequences, bidirectional):
    set_keras_version(keras_version)
    random = np.random.RandomState(1)
    x = random.randint(1, 9, (SAMPLES, 7)) * (random.rand(SAMPLES, 7) < np.linspace(0, 1, SAMPLES)[:, None])  # the first row is all masked
    y = random.randint(0, 3, (SAMPLES, 7, 1) if sequences else SAMPLES)
    recurrent = layers.GRU(5, return_sequences=sequences)
    recurrent = layers.Bidirectional(recurrent) if bidirectional else recurrent
    net = models.Sequential([layers.Embedding(9, 4, mask_zero=True, input_length=7), recurrent, layers.Dense(3, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    sizes = Sizes(net)
    predicted, values = net.predict(x, batch_size=BATCH), net.evaluate(x, y, batch_size=BATCH, verbose=0)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == SAMPLES
    by_valid_steps = keras_version == "2.2.4"  # whose loss is divided by those of each batch
    assert sizes.largest(lambda: net.evaluate(x, y, batch_size=BATCH, verbose=0)) == (BATCH if by_valid_steps else SAMPLES)
    monkeypatch.setattr(merging, "merged", lambda model, batches, *rest: batches)
    monkeypatch.setattr(loops, "merged", merging.merged)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == BATCH
    np.testing.assert_allclose(predicted, net.predict(x, batch_size=BATCH), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(values, net.evaluate(x, y, batch_size=BATCH, verbose=0), rtol=1e-6)


def test_states_see_the_batches():
    x, _ = data((4, 6))
    stateful = models.Sequential([layers.LSTM(3, stateful=True, batch_input_shape=(10, 4, 6)), layers.Dense(3)])
    assert Sizes(stateful).largest(lambda: stateful.predict(x, batch_size=10)) == 10


def test_recurrent_layers_take_more_rows(monkeypatch):
    monkeypatch.setattr(merging, "ROOM", 0)
    monkeypatch.setattr(merging, "STEPPING_ROWS", 3 * BATCH)
    x, _ = data((4, 6))
    net = models.Sequential([layers.LSTM(3, input_shape=(4, 6)), layers.Dense(3)])
    assert Sizes(net).largest(lambda: net.predict(x, batch_size=BATCH)) == 3 * BATCH


class Looks(Callback):
    """Looks at each batch."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """A hook."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """A hook."""


def test_who_looks_at_batches_sees_those_that_were_asked_for(capsys):
    net, (x, y) = compiled(layers.Dense(5, input_shape=(6,))), data()
    net.predict(x)
    sizes = Sizes(net)
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH, callbacks=[Looks()])) == BATCH
    assert sizes.largest(lambda: net.evaluate(x, y, batch_size=BATCH, verbose=0, callbacks=[Looks()])) == BATCH
    assert sizes.largest(lambda: net.evaluate(x, y, batch_size=BATCH, verbose=1)) == BATCH  # the bar
    with net.predictor.add_event_handler(Events.ITERATION_COMPLETED, lambda: None):
        assert sizes.largest(lambda: net.predict(x, batch_size=BATCH)) == BATCH
    assert sizes.largest(lambda: net.predict(x, batch_size=BATCH, callbacks=[LambdaCallback()])) == SAMPLES


def test_values_that_are_no_means_see_the_batches():
    x, y = data()

    for net in (
        compiled(layers.Dense(5, input_shape=(6,)), metrics=[lambda y, y_pred: y_pred.max()]),
        compiled(layers.Dense(5, input_shape=(6,)), loss=lambda y, y_pred: y_pred.max()),
    ):
        net.predict(x)
        assert Sizes(net).largest(lambda net=net: net.evaluate(x, y, batch_size=BATCH, verbose=0)) == BATCH


WEIGHTS = {"none_is_0": np.linspace(0.5, 2, SAMPLES), "some_are_0": np.linspace(-1, 3, SAMPLES).clip(0)}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("release", ["2.2.4", "2.4.0"])
def test_weighted_batches_are_put_together_where_no_share_of_weights_divides_them(monkeypatch, release, weights):
    set_keras_version(release)
    net = models.Sequential([layers.Dense(5, input_shape=(6,)), layers.Dense(3, activation="softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy", "sparse_categorical_crossentropy"])
    (x, y), sizes = data(), Sizes(net)

    def evaluate() -> Any:
        return net.evaluate(x, y, batch_size=BATCH, verbose=0, sample_weight=WEIGHTS[weights])

    together = release == "2.4.0" or weights == "none_is_0"
    assert sizes.largest(evaluate) == (SAMPLES if together else BATCH)
    values = evaluate()
    assert values[1] != pytest.approx(values[2])  # the weights count
    monkeypatch.setattr(merging, "ROOM", 0)
    assert sizes.largest(evaluate) == BATCH
    np.testing.assert_allclose(values, evaluate(), rtol=1e-6)


@pytest.mark.parametrize("release", ["2.2.4", "2.4.0"])
def test_weights_of_steps_and_of_one_output_alone_are_put_together(monkeypatch, release):
    set_keras_version(release)
    inputs = layers.Input((4, 6))
    steps = layers.LSTM(3, return_sequences=True)(inputs)
    net = models.Model(inputs, [layers.Dense(2, name="first")(steps), layers.Dense(1, name="last")(layers.GlobalAveragePooling1D()(steps))])
    net.compile("sgd", ["mse", "mae"], loss_weights=[0.5, 2], metrics={"last": "mse"}, sample_weight_mode={"first": "temporal"})
    random = np.random.RandomState(1)
    x, y = data((4, 6))[0], [random.standard_normal((SAMPLES, 4, 2)), random.standard_normal((SAMPLES, 1))]
    weights = {"first": random.uniform(0.5, 2, (SAMPLES, 4))}
    sizes = Sizes(net)

    def evaluate() -> Any:
        return net.evaluate(x, y, batch_size=BATCH, verbose=0, sample_weight=weights)

    assert sizes.largest(evaluate) == SAMPLES
    values = evaluate()
    monkeypatch.setattr(merging, "ROOM", 0)
    monkeypatch.setattr(merging, "STEPPING_ROOM", 0)
    assert sizes.largest(evaluate) == BATCH
    np.testing.assert_allclose(values, evaluate(), rtol=1e-6)


def test_validation_counts_the_same():
    net, (x, y) = compiled(layers.Dense(5, input_shape=(6,))), data()
    history = net.fit(x, y, batch_size=BATCH, epochs=2, validation_data=(x, y), verbose=0).history
    np.testing.assert_allclose([history["val_loss"][-1], history["val_accuracy"][-1]], net.evaluate(x, y, verbose=0), rtol=1e-6)
