"""More genuine files, made by corpus/record.py: functions and classes of one's own, models in models, masks, schedules; training goes on."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from torchkeras import layers
from torchkeras.layers.base import Layer
from torchkeras.models import clone_model, load_model
from torchkeras.saving.errors import ConfigError, UnsafeConfigError

FOLDER = Path(__file__).with_name("corpus")
VERSIONS = ("1.2.2", "2.2.4", "2.4.0", "3.15.1")
CASES = [(version, name) for version in VERSIONS for name in json.loads((FOLDER / f"{version}.json").read_text())]

# A bias in front of a normalization has no gradient but rounding errors, which Adadelta's first steps blow up. And Keras 1 moves the statistics of a
# normalization that is called twice in an order that TensorFlow decides, as it happens.
LOOSE = {**{(version, "picture"): 2e-4 for version in VERSIONS}, ("1.2.2", "shared"): 2e-5}


class Scale(Layer):
    """As in record.py, in torch's words."""

    def __init__(self, power: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power = power

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight("factor", (input_shape[-1],), initializer="ones")

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs * self.factor**self.power


def soft_cap(x: torch.Tensor) -> torch.Tensor:
    return 3.0 * torch.tanh(x / 3.0)


def pinball(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    return torch.maximum(0.3 * (y_true - y_pred), 0.7 * (y_pred - y_true)).mean(dim=-1)


def half(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5


OWN = {"Scale": Scale, "soft_cap": soft_cap, "pinball": pinball, "half": half, "halved": half, "twice": lambda x: x * 2 + 1}


def index(version: str, name: str) -> dict[str, str]:
    return json.loads((FOLDER / f"{version}.json").read_text())[name]


def recorded(version: str, name: str, key: str) -> Any:
    with np.load(FOLDER / f"{version}.npz") as arrays:
        return [arrays[one] for one in sorted(arrays.files) if one.startswith(f"{name}/{key}")]


def load(version: str, name: str, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_model(FOLDER / index(version, name)["model"], OWN, **kwargs)


def one_or_all(arrays: list[np.ndarray]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays


def predict(model: Any, version: str, name: str) -> np.ndarray:
    return model.predict(one_or_all(recorded(version, name, "x")))


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_genuine_file_predicts_and_trains_on_as_there(version, name):
    model = load(version, name)
    assert type(model.optimizer).__name__ == index(version, name)["optimizer"]
    np.testing.assert_allclose(predict(model, version, name), recorded(version, name, "before")[0], rtol=1e-5, atol=1e-6)
    x, y = one_or_all(recorded(version, name, "x")), recorded(version, name, "y")[0]
    history = model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    atol = LOOSE.get((version, name), 2e-6)
    np.testing.assert_allclose(history["loss"], recorded(version, name, "loss")[0], rtol=1e-5, atol=atol)
    np.testing.assert_allclose(predict(model, version, name), recorded(version, name, "after")[0], rtol=1e-5, atol=atol)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_weights_alone_load_into_a_model_of_the_same_layers(version, name):
    model = clone_model(load(version, name, compile=False))
    before = predict(model, version, name)
    model.load_weights(FOLDER / index(version, name)["weights"])
    assert np.abs(predict(model, version, name) - before).max() > 1e-3
    np.testing.assert_allclose(predict(model, version, name), recorded(version, name, "before")[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("version", "name"), [case for case in CASES if case[0] != "3.15.1"])
def test_weights_load_by_name(version, name):
    model = clone_model(load(version, name, compile=False))
    model.load_weights(FOLDER / index(version, name)["weights"], by_name=True)
    np.testing.assert_allclose(predict(model, version, name), recorded(version, name, "before")[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_bytecode_needs_the_function_or_trust(version):
    with pytest.raises(UnsafeConfigError, match=r"bytecode of a Lambda.*custom_objects=\{'twice': function\}"):
        load_model(FOLDER / index(version, "bytecode")["model"], {"half": half, "halved": half})
    with pytest.raises(ConfigError, match=r"half|halved"):  # before Keras 3 functions with names were stored as bytecode, too
        load_model(FOLDER / index(version, "bytecode")["model"], {"twice": OWN["twice"]})


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_user_wrote_is_asked_for_by_name(version):
    for missing in ("Scale", "soft_cap", "pinball"):
        given = {name: value for name, value in OWN.items() if name != missing}
        with pytest.raises(ConfigError, match=missing):
            load_model(FOLDER / index(version, "own")["model"], given)
    without = {name: value for name, value in OWN.items() if name != "pinball"}
    assert load_model(FOLDER / index(version, "own")["model"], without, compile=False).get_layer("scale").power == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_nested_model_comes_back_as_one(version):
    model = load(version, "shared")
    inner = model.get_layer("inner")
    assert [type(layer) for layer in inner.layers] == [layers.Dense, layers.BatchNormalization]
    assert not inner.layers[1].trainable
    assert len(inner.inbound_nodes) >= 2
    ours = sum(weight.size for weight in model.get_weights())
    assert ours == sum(weight.size for weight in recorded(version, "shared", "weights"))


def test_the_corpus_is_large_enough():
    """At least 40 files of whole models that go on training, of four releases; every one is loaded by a test."""
    files = [FOLDER / index(*case)["model"] for case in CASES]
    files += [case.folder / case["model_file"] for case in golden("saved", versions=VERSIONS) if case.get("more_fit")]
    assert len({path.read_bytes() for path in files}) == len(files) >= 60
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 2 << 20
