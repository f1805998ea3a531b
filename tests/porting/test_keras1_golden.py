"""Whole models of Keras 1.2.2, from its own JSON: trainings and summaries."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.golden_cases import Case, golden
from tests.models_from_golden import compile_as, one_or_all
from torchkeras import layers
from torchkeras.layers import keras1
from torchkeras.layers.naming import reset_uids
from torchkeras.models import Model, Sequential, model_from_json

# A bias right before a BatchNormalization has the gradient zero: rounding noise, which the optimizer blows up to whole steps. The places of that
# bias and of the moving mean behind it among the weights; what inference makes of them is the noise's own, too.
NOISE = {"training.cnn_tf.0": (3, 6), "training.cnn_th.0": (3, 6), "training.highway_maxout.0": (7, 10)}


def make_model(case: Case) -> Any:
    reset_uids()
    model = model_from_json(json.dumps(case["model_json"]) if isinstance(case["model_json"], dict) else case["model_json"])
    if case.get("weights"):
        model.set_weights(case.arrays("weights"))
    return model


@pytest.mark.parametrize("case", golden("training", versions=("1.2.2",)), ids=str)
def test_training_gives_the_numbers_of_keras_1(case: Case, keras_version: str):
    model = make_model(case)
    compile_as(model, case)
    x, y = one_or_all(case.arrays("inputs")), one_or_all(case.arrays("targets"))
    first = [one_or_all([array[:4] for array in case.arrays(what)]) for what in ("inputs", "targets")]
    weights = case.arrays("sample_weights") or None
    history = model.fit(x, y, sample_weight=one_or_all(weights) if weights else None, validation_data=tuple(first), verbose=0, **case["fit"])
    assert sorted(history.history) == sorted(case["history"])
    noise = NOISE.get(case["id"], ())
    for name, values in case["history"].items():
        if not noise or not name.startswith("val_"):
            np.testing.assert_allclose(history.history[name], values, rtol=case["history_rtol"], atol=1e-6, err_msg=name)
    for number, (got, wanted) in enumerate(zip(model.get_weights(), case.arrays("final_weights"), strict=True)):
        if number not in noise:
            np.testing.assert_allclose(got, wanted, atol=case["weights_atol"])
    assert model.metrics_names == case["metrics_names"]
    if noise:
        return
    outputs = model.predict(x)
    for got, wanted in zip(outputs if isinstance(outputs, list) else [outputs], case.arrays("outputs"), strict=True):
        np.testing.assert_allclose(got, wanted, atol=case["atol"])
    np.testing.assert_allclose(np.atleast_1d(model.evaluate(x, y, batch_size=4, verbose=0)), case["evaluate"], rtol=1e-4)


def merged_stacks() -> Any:
    left, right, model = Sequential(), Sequential(), Sequential()
    left.add(layers.Dense(4, activation="tanh", input_dim=3))
    right.add(layers.Dense(4, input_dim=2))
    model.add(layers.Merge([left, right], mode="concat"))
    model.add(layers.Dense(2))
    return model


def merged_graph() -> Any:
    a, b, shared = layers.Input((4,), name="a"), layers.Input((4,), name="b"), layers.Dense(3, name="shared")
    merged = keras1.merge([shared(a), shared(b)], mode="mul")
    return Model(input=[a, b], output=[layers.Dense(1, name="o1")(merged), layers.Dense(2, name="o2")(merged)])


# files of Keras 1 are read into layers of today, which have other names than Merge
BY_HAND = {"summary.merge_model.0": merged_stacks, "summary.functional_merge.0": merged_graph}


@pytest.mark.parametrize("case", golden("summary", versions=("1.2.2",)), ids=str)
def test_summary_is_the_text_of_keras_1(case: Case, keras_version: str, capsys):
    model = BY_HAND[case["id"]]() if case["id"] in BY_HAND else make_model(case)
    model.summary()
    assert capsys.readouterr().out.rstrip("\n") == case.text("text_file").rstrip("\n")
