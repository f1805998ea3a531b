"""Data larger than memory trains as the same data in memory does, and is read batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from torchkeras import generations, utils
from torchkeras.layers import Dense
from torchkeras.models import Model, Sequential
from torchkeras.training.disk import Rows, stays_on_disk
from torchkeras.utils.io_utils import HDF5Matrix

RNG = np.random.default_rng(0)
X, Y = RNG.random((22, 4)), RNG.integers(0, 3, 22)


def make() -> Model:
    utils.set_random_seed(0)
    model = Sequential([Dense(5, activation="relu", input_shape=(4,)), Dense(3, activation="softmax", name="p")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def file(tmp_path: Path) -> Any:
    with h5py.File(tmp_path / "data.h5", "w") as opened:
        opened["x"], opened["y"] = X, Y
    with h5py.File(tmp_path / "data.h5", "r") as opened:
        yield opened


@pytest.mark.parametrize("shuffle", [False, "batch", True])
def test_an_hdf5_data_set_trains_as_the_array_does(file: Any, shuffle: Any):
    generations.set_keras_version("2.2.4")  # whose orders NumPy's seed fixes
    histories = []
    for x, y in ((X, Y), (file["x"], file["y"]), (HDF5Matrix(file.filename, "x"), Y)):
        model = make()
        np.random.seed(1)
        histories.append(model.fit(x, y, batch_size=4, epochs=3, shuffle=shuffle, verbose=0, validation_split=0.25).history)
    for found in histories[1:]:
        assert {name: values for name, values in found.items() if name[:4] != "val_"} == {
            name: histories[0][name] for name in ("loss", "accuracy", "acc") if name in found
        }
        for name in found:  # of arrays, small batches of validation are computed together
            assert found[name] == pytest.approx(histories[0][name], rel=1e-6)
        assert list(found) == list(histories[0])


def test_evaluate_and_predict_read_hdf5(file: Any):
    model = make()
    in_memory = model.evaluate(X, Y, batch_size=4, verbose=0)  # whose small batches are computed together
    assert model.evaluate(file["x"], file["y"], batch_size=4, verbose=0) == pytest.approx(in_memory, rel=1e-6)
    np.testing.assert_allclose(model.predict(file["x"], batch_size=4), model.predict(X, batch_size=4), rtol=1e-6)


def test_only_the_rows_of_a_batch_are_read(file: Any):
    asked = []

    class Counted(HDF5Matrix):
        def __getitem__(self, key: Any) -> Any:
            rows = super().__getitem__(key)
            asked.append(len(rows))
            return rows

    make().fit(Counted(file.filename, "x"), Y, batch_size=4, verbose=0)
    assert max(asked) == 4


def test_a_memory_map_of_float64_is_cast_batch_by_batch(tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert stays_on_disk(mapped)
    assert not stays_on_disk(mapped.astype("float32"))
    by_array, by_map = make(), make()
    expected = by_array.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history
    assert by_map.fit(mapped, Y, batch_size=4, shuffle=False, verbose=0).history == expected


def test_rows_in_any_order_come_back_in_that_order(file: Any):
    rows = np.array([7, 0, 21, 3])
    np.testing.assert_array_equal(Rows(file["x"], "x").take(rows).numpy(), X[rows].astype("float32"))
    np.testing.assert_array_equal(Rows(file["x"], "x", 2)[3:9].read(1, 3).numpy(), X[6:8].astype("float32"))
    np.testing.assert_array_equal(Rows(file["y"], "y").unsqueeze(-1).take(rows).numpy(), Y[rows][:, None])


def test_lengths_are_compared_before_anything_is_read(file: Any):
    with pytest.raises(ValueError, match="same number of samples, but got x: 22, y: 21"):
        make().fit(file["x"], Y[:-1], verbose=0)
