"""Files of genuine Keras 3.15.1: `.keras`, `.weights.h5`, legacy `.h5` and JSON."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from tests.golden_cases import golden
from tests.saving.genuine import close, fit_more, predictions
from torchkeras import Sequential, layers
from torchkeras.models import load_model, model_from_json

CASES = golden("saved", versions=("3.15.1",))


def load(case, file="model_file", **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_model(case.folder / case[file], **kwargs)


@pytest.mark.parametrize("file", ["model_file", "legacy_h5_file"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_file_of_keras_3_predicts_as_there(case, file):
    model = load(case, file)
    close(predictions(model, case), case.arrays("outputs"), case["atol"])
    assert {tuple(weight.shape) for weight in model.weights} == {value.shape for value in case.arrays("weights")}
    for value in case.arrays("weights"):
        assert any(np.array_equal(value, own) for own in model.get_weights())


@pytest.mark.parametrize("file", ["model_file", "legacy_h5_file"])
@pytest.mark.parametrize("case", [case for case in CASES if case.get("more_fit")], ids=str)
def test_training_goes_on_as_there(case, file):
    model = load(case, file)
    assert int(model.optimizer.iterations) == int(case.arrays("optimizer_weights")[0])
    history = fit_more(model, case)
    for name, values in case["more_history"].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, atol=case["more_atol"])
    close(predictions(model, case), case.arrays("more_outputs"), case["more_atol"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_optimizer_has_the_states_of_the_file(case):
    optimizer = load(case).optimizer
    assert type(optimizer).__name__ == case["optimizer_class"]
    own = [np.asarray(value) for value in optimizer.get_weights()]
    for name, value in zip(case["optimizer_weight_names"], case.arrays("optimizer_weights"), strict=True):
        if not name.endswith("learning_rate"):
            assert any(value.shape == one.shape and np.allclose(value, one, rtol=1e-6, atol=0) for one in own), name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_files_load_into_a_model_of_the_json(case):
    model = model_from_json((case.folder / case["json_file"]).read_text())
    model.load_weights(case.folder / case["weights_file"])
    close(predictions(model, case), case.arrays("outputs"), case["atol"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_archives_give_their_weights_alone(case):
    model = load(case, compile=False)
    expected = model.get_weights()
    model.set_weights([np.zeros_like(value) for value in expected])
    model.load_weights(case.folder / case["model_file"])
    close(model.get_weights(), expected, 0)


def test_weights_of_another_model_are_refused_and_nothing_is_written():
    cases = {str(case).split(".")[-2]: case for case in CASES}
    model = load(cases["mlp"])
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"weights.h5': weight 'dense.*' of layer 'dense' has the shape \(5, 6\), but the file has one of shape \(3, 1\)"
    ):
        model.load_weights(cases["lstm_stack"].folder / cases["lstm_stack"]["weights_file"])
    close(model.get_weights(), before, 0)
    with pytest.raises(ValueError, match="names no layers: load it with by_name=False"):
        model.load_weights(cases["mlp"].folder / cases["mlp"]["weights_file"], by_name=True)


def test_weights_that_the_model_has_no_place_for_are_refused():
    case = next(case for case in CASES if "nested" in str(case))
    model = Sequential([layers.Dense(4, input_shape=(5,))])
    with pytest.raises(ValueError, match=r"has weights for 'dense_1', 'functional', 'p_re_lu', which model 'sequential' has no layers for"):
        model.load_weights(case.folder / case["weights_file"])
    model.load_weights(case.folder / case["weights_file"], skip_mismatch=True)
    close(model.get_weights(), case.arrays("weights")[:2], 0)


def test_what_only_keras_3_has_is_refused_where_it_means_something():
    config = json.loads((CASES[0].folder / CASES[0]["json_file"]).read_text())
    config["config"]["layers"][1]["config"]["lora_rank"] = 4
    with pytest.raises(ValueError, match="was made with lora_rank=4, which only Keras 3 has"):
        model_from_json(json.dumps(config))


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("case", [case for case in CASES if case.get("more_fit")], ids=str)
def test_a_model_that_is_saved_again_keeps_the_rules_of_keras_3(case, ending, tmp_path):
    load(case).save(tmp_path / f"again.{ending}")
    model = load_model(tmp_path / f"again.{ending}")
    close(predictions(model, case), case.arrays("outputs"), case["atol"])
    history = fit_more(model, case)
    for name, values in case["more_history"].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, atol=1e-6)
    close(predictions(model, case), case.arrays("more_outputs"), 2e-6)
