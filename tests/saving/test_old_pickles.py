"""Pickles of models that older states of the library made: they load, predict as before and go on training with the same numbers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).with_name("pickles")
CASES = [(path, name) for path in sorted(FOLDER.glob("*.pkl")) for name in ("picture", "words", "graph")]


@pytest.mark.parametrize(("path", "name"), CASES, ids=lambda value: value.stem if isinstance(value, Path) else value)
@pytest.mark.parametrize("copied", [False, True])
def test_an_old_pickle_predicts_and_trains_on(path, name, copied):
    model = pickle.loads(pickle.loads(path.read_bytes())[name])
    if copied:
        model = copy.deepcopy(model)
    with np.load(path.with_suffix(".npz")) as arrays:
        x, y, before, loss, after = (arrays[f"{name}/{key}"] for key in ("x", "y", "before", "loss", "after"))
    np.testing.assert_allclose(model.predict(x), before, rtol=1e-6, atol=1e-7)
    history = model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], loss, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(model.predict(x), after, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("path", "name"), CASES, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_an_old_pickle_is_saved_in_every_form(path, name, tmp_path):
    from torchkeras.models import load_model

    model = pickle.loads(pickle.loads(path.read_bytes())[name])
    with np.load(path.with_suffix(".npz")) as arrays:
        x, before = arrays[f"{name}/x"], arrays[f"{name}/before"]
    for ending in ("h5", "keras", "pt") if name != "graph" else ("h5", "pt"):
        model.save(tmp_path / f"a.{ending}")
        np.testing.assert_allclose(load_model(tmp_path / f"a.{ending}").predict(x), before, rtol=1e-5, atol=1e-6)


def test_there_are_old_pickles():
    assert len(CASES) >= 3
