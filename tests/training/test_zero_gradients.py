"""A bias before a BatchNormalization has no gradient: in float64, where rounding noise stays below every epsilon, training equals tf.keras."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.golden_cases import GOLDEN, golden
from tests.models_from_golden import compile_as
from torchkeras import config
from torchkeras.layers import deserialize

RECORDED = np.load(GOLDEN / "cnn_bn_float64.npz")  # by tests/golden/record_cnn_bn.py; Keras 2.2.4's kernel refuses float64


@pytest.mark.parametrize("case", [case for case in golden("training", versions=("2.4.0",)) if case["id"] == "training.cnn_bn.0"], ids=str)
def test_cnn_with_batch_normalization_trains_as_tf_keras_in_float64(case, keras_version):
    config.set_floatx("float64")
    model = deserialize(json.loads(json.dumps(case["model_json"]).replace("float32", "float64")))
    model.set_weights(case.arrays("weights"))
    compile_as(model, case)
    data = {name: case.array(keys[0]) for name, keys in (("x", case["inputs"]), ("y", case["targets"]))}
    data = {name: array.astype("float64") for name, array in data.items()}
    validation = tuple(case.array(case["validation_data"][name][0]).astype("float64") for name in ("x", "y"))
    # tf.keras' fused kernel takes no float64: its moving variance is then the biased one, as ours is for that type
    history = model.fit(**data, validation_data=validation, verbose=0, **case["fit"])
    recorded = json.loads(str(RECORDED["2.4.0/history"]))
    for name, values in recorded.items():
        np.testing.assert_allclose(history.history[name], values, rtol=2e-7, err_msg=name)
    for number, weight in enumerate(model.get_weights()):
        np.testing.assert_allclose(weight, RECORDED[f"2.4.0/w{number}"], atol=2e-7, err_msg=case["weight_names"][number])
    np.testing.assert_allclose(model.predict(data["x"]), RECORDED["2.4.0/outputs"], atol=2e-7)
