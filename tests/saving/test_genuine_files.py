"""Files of genuine Keras 1.2.2, 2.2.4 and tf.keras 2.4.0: predictions, weights, optimizer, and training that goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.golden_cases import golden
from tests.saving.genuine import CASES, HDF5_VERSIONS, NOISE, close, fit_more, inputs, load, predictions
from torchkeras import generations
from torchkeras.layers.naming import reset_uids
from torchkeras.models import load_model, model_from_config, model_from_json


@pytest.fixture(params=["the file's", "the default"])
def release(request, case) -> None:
    """A file keeps the meanings of its release, whichever the program has chosen."""
    if request.param == "the file's":
        generations.set_keras_version(case.version)


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_genuine_file_predicts_and_trains_on_as_there(case):
    model = load(case)
    close(predictions(model, case), case.arrays("outputs"), case["atol"])
    close(model.get_weights(), case.arrays("weights"), 0)

    history = fit_more(model, case)
    assert list(history) == list(case["more_history"])
    for name, values in case["more_history"].items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, atol=case["more_atol"])
    noise = NOISE.get(str(case), set())
    final = case.arrays("more_final_weights")
    listed = [weight for layer in model.layers for weight in layer.weights]
    kept = [(ours, there) for weight, ours, there in zip(listed, model.get_weights(), final, strict=True) if weight.name not in noise]
    close(*zip(*kept, strict=True), case["more_atol"])
    if noise:
        assert noise < {weight.name for weight in model.weights}
        model.set_weights(final)  # the predictions hang on the noise: compare them with that of the recording
    close(predictions(model, case), case.arrays("more_outputs"), case["more_atol"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_optimizer_comes_back_with_its_state(case, keras_version):
    optimizer = load(case).optimizer
    assert type(optimizer).__name__ == case["optimizer_class"]
    config = optimizer.get_config()
    expected = dict(case["optimizer_config"])
    assert config.get("name") == expected.pop("name", None)
    assert {name: config[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    stored = case.arrays("optimizer_weights")
    if case.version != "1.2.2":
        close(optimizer.get_weights(), stored, 0)
    else:  # Keras 1 sorts the states by the names of its weights, of which it has more: the same numbers, elsewhere
        found = np.concatenate([np.ravel(value) for value in optimizer.get_weights()]).astype(np.float32)
        assert np.isin(np.concatenate([np.ravel(value) for value in stored]), found).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_alone_load_into_a_model_of_the_json(case, keras_version):
    model = model_from_json((case.folder / case["json_file"]).read_text())
    before = model.get_weights()
    model.load_weights(case.folder / case["weights_file"])
    assert not all(np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))
    close(predictions(model, case), case.arrays("outputs"), case["atol"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_load_by_name(case, keras_version):
    model = load(case, compile=False)
    model.set_weights([np.zeros_like(value) for value in model.get_weights()])
    model.load_weights(case.folder / case["weights_file"], by_name=True)
    close(predictions(model, case), case.arrays("outputs"), case["atol"])


@pytest.mark.parametrize("case", golden("saved"), ids=str)
def test_json_is_written_as_there(case, keras_version):
    text = (case.folder / case["json_file"]).read_text()
    reset_uids()
    assert json.loads(model_from_json(text).to_json()) == json.loads(text)


@pytest.mark.parametrize("case", golden("training") + golden("summary"), ids=str)
def test_configs_of_recorded_models_come_back_unchanged(case, keras_version):
    config = case["model_json"]
    made = model_from_config(config)
    assert json.loads(made.to_json())["config"] == config["config"]


@pytest.mark.parametrize("case", golden("saved", versions=HDF5_VERSIONS), ids=str)
def test_a_loaded_model_survives_another_save(case, tmp_path):
    model = load(case)
    model.save(tmp_path / "again.h5")
    again = load_model(tmp_path / "again.h5")
    close(predictions(again, case), case.arrays("outputs"), case["atol"])
    close(again.get_weights(), model.get_weights(), 0)
    close(again.optimizer.get_weights(), model.optimizer.get_weights(), 0)
    assert fit_more(again, case) == fit_more(model, case)
    close(again.get_weights(), model.get_weights(), 0)


def test_without_compiling_nothing_is_compiled():
    case = CASES[0]
    model = load(case, compile=False)
    with pytest.raises(RuntimeError, match="You must compile your model"):
        model.evaluate(inputs(case), case.arrays("targets")[0])
