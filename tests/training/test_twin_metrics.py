"""A metric that an output has with weights and without is computed once a batch, and gives both values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchkeras import layers, metrics, models

SAMPLES, BATCH = 20, 6
RANDOM = np.random.RandomState(0)
X, Y = RANDOM.standard_normal((SAMPLES, 4)).astype("float32"), RANDOM.randint(0, 3, (SAMPLES, 1))
WEIGHTS = RANDOM.uniform(0, 2, SAMPLES).astype("float32")


def compiled(plain: list[Any], weighted: list[Any]) -> Any:
    """A classifier with metrics."""
    net = models.Sequential([layers.Dense(3, activation="softmax", input_shape=(4,))])
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=plain, weighted_metrics=weighted)
    return net


def test_both_values_are_those_of_each_alone():
    names = ["accuracy", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy"]
    net = compiled(names, [*reversed(names), metrics.SparseCategoricalAccuracy(name="own")])
    found = net.evaluate(X, Y, batch_size=BATCH, sample_weight=WEIGHTS, verbose=0)
    predicted = net.predict(X)
    right, entropy = predicted.argmax(1) == Y[:, 0], -np.log(predicted[np.arange(SAMPLES), Y[:, 0]])
    mean = [np.average(values) for values in (right, entropy)]
    weighted = [np.average(values, weights=WEIGHTS) for values in (right, entropy)]
    expected = [(entropy * WEIGHTS).mean(), *mean, 1, 1, *reversed(weighted), weighted[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def calls_of(fit: dict[str, Any], seen: list[int]) -> int:
    """How often a metric function ran in an epoch."""

    def share(y_true: Tensor, y_pred: Tensor) -> Tensor:
        seen.append(len(y_pred))
        return y_pred[:, 0]

    net = compiled([share], [share])
    net.predict(X)
    seen.clear()
    history = net.fit(X, Y, batch_size=BATCH, verbose=0, shuffle=False, **fit).history
    assert sum(np.isfinite(values[-1]) for values in history.values()) == 3
    return len(seen)


@pytest.mark.parametrize(("weights", "times"), [(WEIGHTS, 1), (None, 2)])
def test_the_function_runs_once_a_batch_where_there_are_weights(weights, times):
    assert calls_of({"sample_weight": weights}, []) == times * -(-SAMPLES // BATCH)


@pytest.mark.parametrize(
    "other",
    [
        metrics.MeanMetricWrapper(metrics.categorical_accuracy),
        metrics.MeanMetricWrapper(metrics.top_k_categorical_accuracy, k=2),
        metrics.CategoricalAccuracy(),
        metrics.AUC(),
        "accuracy",
    ],
    ids=["function", "argument", "class", "kind", "name"],
)
def test_other_metrics_are_no_twins(other):
    metric = metrics.MeanMetricWrapper(metrics.top_k_categorical_accuracy, k=3)
    assert metric.is_twin_of(metrics.MeanMetricWrapper(metrics.top_k_categorical_accuracy, k=3))
    assert not metric.is_twin_of(other)


def test_masked_steps_count_in_neither():
    net = models.Sequential([layers.Masking(input_shape=(3, 2)), layers.LSTM(2, return_sequences=True), layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"], sample_weight_mode="temporal")
    x, y = torch.ones(4, 3, 2), torch.arange(12.0).reshape(4, 3, 1)
    x[:, 2] = 0
    weights = torch.rand(4, 3) + 0.5
    values = net.evaluate(x, y, sample_weight=weights, verbose=0)
    errors = np.abs(net.predict(x) - y.numpy())[:, :2, 0]
    np.testing.assert_allclose(values[1:], [errors.mean(), np.average(errors, weights=weights[:, :2].numpy())], rtol=1e-5)
