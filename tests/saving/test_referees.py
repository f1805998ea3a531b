"""Files written here, opened by genuine Keras 2.2.4, tf.keras 2.4.0 and Keras 3.15.1: equal predictions, training that goes on equally.

The tests marked `referee` run where TORCHKERAS_REFEREES names the folder of those releases; with TORCHKERAS_RECORD_PROOF=1 they also write
the differences that they found to referee_proof.json, which the tests without referees hold on to.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.golden_cases import golden
from tests.models_from_golden import one_or_all
from tests.saving.genuine import inputs, load, predictions
from tests.saving.referees import ask
from torchkeras import generations
from torchkeras.models import load_model

PROOF = Path(__file__).with_name("referee_proof.json")
OLD = golden("saved", versions=("2.2.4", "2.4.0"))
NEW = golden("saved", versions=("3.15.1",))

# Keras 3 has no such layer, or means something else by that activation.
HARD = "recurrent_activation='hard_sigmoid', which has another slope"
NOT_IN_KERAS3 = {
    "2.4.0-saved.rnn_cells.0": "LocallyConnected1D, which Keras 3 does not have",
    **dict.fromkeys(("2.4.0-saved.stacked_lstm.0", "2.2.4-saved.stacked_lstm.0", "2.2.4-saved.rnn_cells.0", "2.2.4-saved.bidirectional_gru.0"), HARD),
}
# Keras 3 trains on by rules of its own: its Nadam, its moving variance, its RMSprop and its losses under masks differ from tf.keras 2.4.0.
OTHER_TRAINING = ("shared_layer", "batchnorm", "bidirectional_gru")

PAIRS = [(case, case.version, ".h5") for case in OLD]
PAIRS += [(case, "2.4.0", ".h5") for case in OLD if case.version == "2.2.4"]  # Keras 2's form in tf.keras, whose training differs
PAIRS += [(case, "3.15.1", ".keras") for case in OLD if case.version == "2.4.0" and str(case) not in NOT_IN_KERAS3]
PAIRS += [(case, "3.15.1", ".keras") for case in NEW]  # its own files, read and written again here


def key(case, to, suffix):
    return f"{case} as {suffix} in {to}"


def trains_alike(case, to):
    if case in NEW:
        return bool(case.get("more_fit"))  # the other one has dropout
    return case.version == to or (to == "3.15.1" and case["id"].split(".")[1] not in OTHER_TRAINING)


@pytest.mark.referee
@pytest.mark.parametrize(("case", "to", "suffix"), PAIRS, ids=lambda value: str(value))
def test_genuine_keras_opens_what_is_written_here(case, to, suffix, tmp_path):
    if case in OLD:
        generations.set_keras_version(case.version)
    model = load(case)
    file = tmp_path / f"model{suffix}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Nadam of Keras 3")
        model.save(file)
    before = predictions(model, case)
    theirs = ask(to, file, case.arrays("inputs"), case.arrays("targets"))
    history = model.fit(inputs(case), one_or_all(case.arrays("targets")), epochs=2, batch_size=4, shuffle=False, verbose=0).history
    found = {"prediction": difference(before, theirs["before"])}
    if trains_alike(case, to):
        found |= {"loss": difference([np.array(history["loss"])], theirs["loss"]), "after": difference(predictions(model, case), theirs["after"])}
    if os.environ.get("TORCHKERAS_RECORD_PROOF"):
        proof = json.loads(PROOF.read_text()) if PROOF.exists() else {}
        PROOF.write_text(json.dumps({**proof, key(case, to, suffix): found}, indent=1, sort_keys=True) + "\n")
    assert found["prediction"] < case["atol"]
    assert max(found.values()) < case["more_atol"]


def difference(ours, theirs) -> float:
    assert [one.shape for one in ours] == [one.shape for one in theirs]
    return float(f"{max(np.abs(one - two).max() for one, two in zip(ours, theirs, strict=True)):.2g}")


def test_the_proof_covers_every_file_and_every_difference_is_rounding():
    proof = json.loads(PROOF.read_text())
    assert set(proof) == {key(*pair) for pair in PAIRS}
    for case, to, suffix in PAIRS:
        found = proof[key(case, to, suffix)]
        assert set(found) == ({"prediction", "loss", "after"} if trains_alike(case, to) else {"prediction"})
        assert found["prediction"] < case["atol"]
        assert max(found.values()) < case["more_atol"]


@pytest.mark.parametrize("case", OLD, ids=str)
def test_a_genuine_file_is_written_again_as_it_was(case, tmp_path):
    """What genuine Keras wrote, read and written here, has the same contents: no referee is needed to see that it opens there."""
    load(case).save(tmp_path / "model.h5")
    with h5py.File(case.folder / case["model_file"]) as theirs, h5py.File(tmp_path / "model.h5") as ours:
        assert sorted(ours.attrs) == sorted(theirs.attrs)
        for name in ("keras_version", "backend"):
            assert text(ours.attrs[name]) == text(theirs.attrs[name])
        assert json.loads(ours.attrs["model_config"]) == json.loads(theirs.attrs["model_config"])
        assert compile_arguments(ours) == compile_arguments(theirs)
        for group in ("layer_names", "backend", "keras_version"):
            assert text(ours["model_weights"].attrs[group]) == text(theirs["model_weights"].attrs[group])
        for layer in theirs["model_weights"]:
            groups = (ours["model_weights"][layer], theirs["model_weights"][layer])
            names = [text(group.attrs["weight_names"]) for group in groups]
            assert uncounted(names[0]) == uncounted(names[1])
            for one, two in zip(*names, strict=True):
                np.testing.assert_array_equal(groups[0][one], groups[1][two])
        names = [text(file["optimizer_weights"].attrs["weight_names"]) for file in (ours, theirs)]
        assert len(names[0]) == len(names[1])
        if case.version == "2.4.0":  # in Keras 2 they only count what the program made before
            assert uncounted(names[0]) == uncounted(names[1])
        for one, two in zip(*names, strict=True):
            np.testing.assert_array_equal(ours["optimizer_weights"][one], theirs["optimizer_weights"][two])


def uncounted(names):
    """Names of variables without the numbers of cells, which say how many cells the program had made before."""
    return [re.sub(r"_cell_\d+/", "_cell/", name) for name in names]


def compile_arguments(file):
    config = json.loads(file.attrs["training_config"])
    # tf.keras makes functions of names when it loads, as is done here
    config["metrics"] = (
        [{"mae": "mean_absolute_error"}.get(name, name) for name in config["metrics"]] if isinstance(config["metrics"], list) else None
    )
    return config


def text(value):
    if isinstance(value, (bytes, str)):
        return value.decode() if isinstance(value, bytes) else value
    return [text(part) for part in value]


@pytest.mark.parametrize("case", [case for case in OLD if str(case) in NOT_IN_KERAS3], ids=str)
def test_what_keras_3_lacks_is_not_written_in_its_form(case, tmp_path):
    with pytest.raises(ValueError, match=f"{NOT_IN_KERAS3[str(case)]}.*Save the model as .h5"):
        load(case).save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", [case for case in OLD if str(case) not in NOT_IN_KERAS3], ids=str)
def test_an_archive_comes_back_here(case, tmp_path):
    model = load(case)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Nadam of Keras 3")
        model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    for one, two in zip(predictions(again, case), predictions(model, case), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    if "decay" not in model.optimizer.get_config() or not model.optimizer.decay:
        for one, two in zip(again.optimizer.get_weights(), model.optimizer.get_weights(), strict=False):
            np.testing.assert_allclose(one, two, rtol=1e-6)
