"""Files that genuine Keras wrote, with what it predicted and how it went on training."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tests.golden_cases import Case, golden
from tests.models_from_golden import one_or_all
from torchkeras.models import load_model

HDF5_VERSIONS = ("1.2.2", "2.2.4", "2.4.0")
CASES = golden("saved", versions=HDF5_VERSIONS)

# A bias in front of a BatchNormalization has no gradient but rounding errors, which RMSprop and Adamax blow up to whole steps: these weights
# and the moving means that follow them are noise of the machine that trained. Layer -> the BatchNormalization behind it.
NOISE = {
    "1.2.2-saved.cnn_tf.0": {"convolution2d_2/bias:0", "batchnormalization_1/moving_mean:0"},
    "1.2.2-saved.cnn_th.0": {"convolution2d_2/bias:0", "batchnormalization_1/moving_mean:0"},
    "1.2.2-saved.highway_maxout.0": {"maxoutdense_1/bias:0", "batchnormalization_1/moving_mean:0"},
}


def load(case: Case, **kwargs: Any) -> Any:
    """The case's model; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_model(case.folder / case["model_file"], **kwargs)


def inputs(case: Case) -> Any:
    return one_or_all(case.arrays("inputs"))


def predictions(model: Any, case: Case) -> list[np.ndarray]:
    found = model.predict(inputs(case))
    return found if isinstance(found, list) else [found]


def fit_more(model: Any, case: Case) -> dict[str, list[float]]:
    """Train on as the recording did."""
    arguments = {"epochs" if name == "nb_epoch" else name: value for name, value in case["more_fit"].items()}
    return model.fit(inputs(case), one_or_all(case.arrays("targets")), verbose=0, **arguments).history


def close(found: Any, expected: Any, atol: float) -> None:
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=atol)


def in_todays_form(case: Case, model: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Weights as a release lists them, in the order of `model.weights`; only Keras 1 has another form."""
    if case.version != "1.2.2":
        return arrays
    found: dict[str, np.ndarray] = {}
    arrays = list(arrays)
    for layer in sorted_as_recorded(model):
        for name, value in from_keras1(layer, arrays):
            found[name] = value
    assert not arrays
    return [found[weight.name] for weight in model.weights]


def sorted_as_recorded(model: Any) -> list[Any]:
    """The layers in the order of Keras 1: the merged models of the one case that has some come one after the other, as they do here."""
    return [layer for layer in model.layers if layer.weights]


def from_keras1(layer: Any, arrays: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Take a layer's weights off the front of a list of Keras 1's; written apart from the library's own way to do it."""
    kind = type(layer).__name__
    if kind == "Bidirectional":
        return [pair for side in (layer.forward_layer, layer.backward_layer) for pair in from_keras1(side, arrays)]
    if kind in ("LSTM", "GRU"):
        gates = {"LSTM": "icfo", "GRU": "zrh"}[kind]
        parts = {(what, gate): arrays.pop(0) for gate in gates for what in "WUb"}
        order = {"LSTM": "ifco", "GRU": "zrh"}[kind]
        joined = [np.concatenate([parts[what, gate] for gate in order], axis=-1) for what in "WUb"]
        return list(zip([weight.name for weight in layer.weights], joined, strict=True))
    taken = [arrays.pop(0) for _ in layer.weights]
    if kind == "Conv2D" and layer.data_format == "channels_first":
        taken[0] = np.moveaxis(taken[0], (0, 1), (3, 2))
    if kind == "Conv1D":
        taken[0] = taken[0].squeeze(1)
    return list(zip([weight.name for weight in layer.weights], taken, strict=True))
