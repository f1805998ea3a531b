"""The whole training step on a pretend accelerator: no wait for the device, no tensor left on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.pretend import on_device, pretending
from torchkeras import generations
from torchkeras.layers import LSTM, BatchNormalization, Dense, Dropout, Embedding, Input
from torchkeras.layers.weights import KerasWeight
from torchkeras.models import Model, Sequential
from torchkeras.optimizers import Adam


def mlp() -> Any:
    model = Sequential([Dense(5, activation="relu", input_shape=(4,), kernel_regularizer="l2"), Dense(3, activation="softmax")])
    return model, {"optimizer": "adam", "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}


def normalized() -> Any:
    model = Sequential([Dense(5, input_shape=(4,), kernel_constraint="max_norm"), BatchNormalization(), Dropout(0.5), Dense(3, activation="softmax")])
    return model, {"optimizer": Adam(clipnorm=1.0), "metrics": ["accuracy"]}


def several() -> Any:
    inputs = Input((4,))
    model = Model(inputs, [Dense(3, activation="softmax", name="a", activity_regularizer="l1")(inputs), Dense(3, name="b")(inputs)])
    return model, {"optimizer": "rmsprop", "metrics": ["accuracy", "mse"], "loss_weights": [1.0, 0.3]}


def recurrent() -> Any:
    model = Sequential([Embedding(10, 3, input_length=4), LSTM(5), Dense(3, activation="softmax")])
    return model, {"optimizer": "sgd", "metrics": ["accuracy"]}


@pytest.fixture(params=["2.2.4", "2.4.0"])
def release(request: pytest.FixtureRequest) -> Iterator[str]:
    generations.set_keras_version(request.param)
    yield request.param


@pytest.mark.parametrize("build", [mlp, normalized, several, recurrent])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_training_step_stays_on_the_device(build: Any, weighted: bool, release: str, monkeypatch: pytest.MonkeyPatch):
    # a view of a weight in Keras' layout is of another tensor class, which tensors without values cannot be
    views = staticmethod(lambda layer, spec: SimpleNamespace(parameter=layer._stored(spec), spec=spec, path=spec.path))
    made, arguments = build()
    monkeypatch.setattr(KerasWeight, "of", views)
    with pretending() as device:
        model = on_device(made, device)
        model.compile(loss="sparse_categorical_crossentropy", **arguments)
        ids = {"device": device, "dtype": torch.int64}
        x = torch.zeros(6, 4, **ids) if build is recurrent else torch.randn(6, 4, device=device)
        y = torch.zeros(6, 1, **ids)
        weight = torch.ones(6, device=device) if weighted else None
        batch = (x, [y, y], [weight, None] if weighted else None) if build is several else (x, y, weight)
        compiled = model._ready(batch, "fit")
        model.train()
        step = model._train_step()
        for _ in range(2):
            output = step(None, batch)
        assert output["loss"].device == device
        assert all(value.device == device for value in compiled.batch_values().values())
        assert all(value.device == device for value in compiled.values().values())
        assert [name for name in compiled.log_names() if name.endswith(("loss", "acc", "accuracy"))]
        model.train(False)
        with torch.no_grad():
            assert model._test_step()(None, batch)["loss"].device == device
