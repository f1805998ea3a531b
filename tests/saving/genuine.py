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
