"""Weights of genuine tf.keras, of layers of the user's own that hold layers: read in order and by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.saving.sublayers.programs import make, values
from torchkeras import Input, layers
from torchkeras.models import Model, Sequential

FOLDER = Path(__file__).with_name("sublayers")
FOUND = json.loads((FOLDER / "2.4.0.json").read_text())
X = np.linspace(-1, 1, 12).reshape(3, 4).astype("float32")


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("name", FOUND)
def test_a_genuine_file_is_read(name, by_name):
    model = make(layers, Model, Sequential, Input)[name]
    model.load_weights(FOLDER / f"2.4.0-{name}.h5", by_name=by_name)
    for found, expected in zip(model.get_weights(), values(model), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(model.predict(X), FOUND[name]["outputs"], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", FOUND)
def test_names_end_as_there(name):
    """tf.keras writes the names of the layers around a layer before its own; here they are told by the group of the file alone."""
    model = make(layers, Model, Sequential, Input)[name]
    theirs = FOUND[name]["names"]
    if name != "by_hand":  # what is built by hand has there the name of the layer that builds it
        assert [weight.name for weight in model.weights] == [there[-len(weight.name) :] for weight, there in zip(model.weights, theirs, strict=True)]


@pytest.mark.parametrize("name", FOUND)
def test_a_file_goes_round(name, tmp_path):
    model = make(layers, Model, Sequential, Input)[name]
    model.set_weights(values(model))
    expected = model.get_weights()
    model.save_weights(tmp_path / "file.h5")
    for by_name in (False, True):
        model.set_weights([0 * weight for weight in expected])
        model.load_weights(tmp_path / "file.h5", by_name=by_name)
        for found, wanted in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
