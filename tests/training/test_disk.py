"""Data larger than memory trains as the same data in memory does, and is read batch by batch."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from torchkeras import generations, utils
from torchkeras.callbacks import BackupAndRestore
from torchkeras.layers import Dense
from torchkeras.models import Model, Sequential
from torchkeras.training import ahead, disk, mapped
from torchkeras.training.arrays import Packing
from torchkeras.training.disk import DiskBatches, Rows, stays_on_disk
from torchkeras.training.mapped import Mapped, memory_to_spare
from torchkeras.training.tensors import from_array
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


# -- ahead of the step


@pytest.fixture(params=["the loop", "a thread"])
def reader(request: Any, monkeypatch: Any) -> str:
    """Who reads."""
    monkeypatch.setattr(ahead, "SLOW", -1.0 if request.param == "a thread" else 60.0)
    return request.param


def raw(folder: Path, x: Any = None) -> Any:
    x = X.astype("float32") if x is None else x
    x.tofile(folder / "x.raw")
    return np.memmap(folder / "x.raw", x.dtype, "r", shape=x.shape)


@pytest.mark.parametrize("spare", [0, 1 << 40], ids=["larger than memory", "fits"])
@pytest.mark.parametrize("shuffle", [False, "batch", True])
def test_a_large_memory_map_trains_as_the_array_does(tmp_path: Path, monkeypatch: Any, reader: str, shuffle: Any, spare: int):
    monkeypatch.setattr(disk, "LARGE", 1)
    monkeypatch.setattr(disk, "SHORT", 1)
    monkeypatch.setattr(disk, "memory_to_spare", lambda: spare)
    threads, histories, weights = set(), [], []
    read, take = Rows.read, Rows.take
    monkeypatch.setattr(Rows, "read", lambda self, *args: threads.add(threading.current_thread().name) or read(self, *args))
    monkeypatch.setattr(Rows, "take", lambda self, *args: threads.add(threading.current_thread().name) or take(self, *args))
    for x in (X.astype("float32"), raw(tmp_path)):
        assert stays_on_disk(x) == isinstance(x, np.memmap)
        model = make()
        histories.append(model.fit(x, Y, batch_size=4, epochs=3, shuffle=shuffle, verbose=0).history)
        weights.append(model.get_weights())
    assert histories[0] == histories[1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(name.startswith("torchkeras-worker") for name in threads) == (reader == "a thread")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("torchkeras-worker")]


def test_short_rows_stay_in_memory(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(disk, "LARGE", 1)
    assert not stays_on_disk(raw(tmp_path, Y))
    assert stays_on_disk(raw(tmp_path, np.zeros((3, 16), "float32")))
    with pytest.raises(ValueError, match="class ids from 0 to 9"):
        make().fit(raw(tmp_path, np.zeros((10, 4), "float32")), np.arange(10), verbose=0)


def test_the_system_is_told_when_rows_come_in_order_again(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(disk, "memory_to_spare", lambda: 0)
    advised: list[Any] = []
    monkeypatch.setattr(mapped.Mapped, "advise", lambda self, what, *where: advised.append(what))
    for shuffle in (False, True):
        batches = DiskBatches(Packing(Rows(raw(tmp_path), "x"), None, None), 4, shuffle, torch.device("cpu"))
        list(batches)
        batches.close()
        assert (mapped.SCATTERED in advised, advised[-1] == mapped.USUAL) == (shuffle, shuffle)


def test_the_system_need_not_take_advice(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(disk, "LARGE", 1)
    monkeypatch.setattr(disk, "SHORT", 1)
    monkeypatch.setattr(mapped, "_advise", lambda: None)
    by_array, by_map = make(), make()
    x = raw(tmp_path)
    for shuffle in (False, True):
        utils.set_random_seed(1)
        expected = by_array.fit(np.array(x), Y, shuffle=shuffle, batch_size=4, verbose=0).history
        utils.set_random_seed(1)
        assert by_map.fit(x, Y, shuffle=shuffle, batch_size=4, verbose=0).history == expected


def test_the_system_is_told_of_rows_before_they_are_read(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(disk, "WINDOW", 2 * 4 * 16)  # two batches
    told: list[Any] = []
    monkeypatch.setattr(mapped.Mapped, "will_read", lambda self, start, stop: told.append((start, stop)))
    monkeypatch.setattr(mapped.Mapped, "read", lambda self, start, stop, who: told.append(start) or torch.zeros(stop - start, 4))
    batches = DiskBatches(Packing(Rows(raw(tmp_path), "x")[2:22], None, None), 4, False, torch.device("cpu"))
    assert len(list(batches)) == 5
    assert told == [(2, 6), (6, 10), (10, 14), 2, (14, 18), 6, (18, 22), 10, 14, 18]


def test_a_file_that_memory_holds_is_read_through_within_an_epoch(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(mapped, "WINDOW", 64)
    monkeypatch.setattr(disk, "WINDOW", 64)
    advised: list[Any] = []
    monkeypatch.setattr(mapped.Mapped, "advise", lambda self, what, *where: advised.append(where))
    batches = DiskBatches(Packing(Rows(raw(tmp_path), "x"), None, None), 4, True, torch.device("cpu"))
    for _ in range(2):
        assert len(list(batches)) == 6
        stops = [stop for _, stop in advised]
        assert [start for start, _ in advised] == [0, *stops[:-1]] and stops[-1] == 352  # each part once
        assert max(stop - start for start, stop in advised) <= 64


def test_an_error_of_the_file_ends_fit_with_itself(file: Any, reader: str):
    class Broken(HDF5Matrix):
        def __getitem__(self, key: Any) -> Any:
            if isinstance(key, slice) and key.start >= 12:
                raise OSError("bad sector in row 12")
            return super().__getitem__(key)

    model = make()
    with pytest.raises(OSError, match="bad sector in row 12") as caught:
        model.fit(Broken(file.filename, "x"), Y, batch_size=4, shuffle=False, verbose=0)
    assert caught.traceback[-1].name == "__getitem__"
    assert int(model.optimizer.iterations) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("torchkeras-worker")]


@pytest.mark.parametrize("kept", [False, True])
def test_a_normalizer_is_not_run_ahead_of_a_backup(tmp_path: Path, file: Any, monkeypatch: Any, kept: bool):
    monkeypatch.setattr(ahead, "SLOW", -1.0)
    threads = []

    def normalize(rows: Any) -> Any:
        threads.append(threading.current_thread().name.startswith("torchkeras-worker"))
        return rows + np.random.rand()

    callbacks = [BackupAndRestore(tmp_path / "backup")] if kept else []
    make().fit(HDF5Matrix(file.filename, "x", normalizer=normalize), Y, batch_size=4, verbose=0, callbacks=callbacks)
    assert any(threads) == (not kept)


def test_for_a_gpu_the_reader_pins_what_it_reads(tmp_path: Path, monkeypatch: Any):
    pinned: list[Any] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    monkeypatch.setattr(disk, "on_device", lambda part, device: part)
    batches = DiskBatches(Packing(Rows(raw(tmp_path), "x"), torch.from_numpy(Y), None), 10, False, torch.device("cuda"))
    assert [len(x) for x, _, _ in batches] == [10, 10, 2]
    assert pinned == [(10, 4), (10,), (10, 4), (10,), (2, 4), (2,)]


def test_small_batches_of_a_file_are_predicted_together(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(disk, "LARGE", 1)
    monkeypatch.setattr(disk, "SHORT", 1)
    model, asked = make(), []
    read = Rows.read
    monkeypatch.setattr(Rows, "read", lambda self, start, stop: asked.append(stop - start) or read(self, start, stop))
    np.testing.assert_array_equal(model.predict(raw(tmp_path), batch_size=4), model.predict(X.astype("float32"), batch_size=4))
    assert asked == [1, 22]


def test_data_are_let_go_after_the_run(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(disk, "LARGE", 1)
    monkeypatch.setattr(disk, "SHORT", 1)
    model, x = make(), raw(tmp_path)
    model.fit(x, Y, verbose=0, validation_data=(x, Y))
    model.evaluate(x, Y, verbose=0)
    model.predict(x)
    watched = weakref.ref(x)
    del x
    gc.collect()
    assert watched() is None


# -- maps


@pytest.mark.parametrize("kind", ["float32", "float64", ">f4", ">i2", "uint8", "float16"])
def test_maps_give_what_the_array_holds(tmp_path: Path, kind: str):
    x = (100 * X).astype(kind)
    rows, order = Rows(raw(tmp_path, x), "x"), np.array([7, 0, 21, 3])
    assert rows.mapped is not None
    wanted = from_array(np.array(x), "x")
    found = rows.read(3, 9)
    assert torch.equal(found, wanted[3:9])
    assert found.data_ptr() != rows.mapped.address + 3 * rows.mapped.row_bytes  # in memory
    assert torch.equal(rows.take(order), wanted[order])
    assert torch.equal(rows[2:20].take(np.array([5, 0, 17])), wanted[[7, 2, 19]])


def test_hdf5_in_one_piece_is_read_as_a_map(tmp_path: Path, file: Any):
    for source in (file["x"], HDF5Matrix(file.filename, "x")):
        found = Mapped.of(source)
        assert found is not None
        np.testing.assert_array_equal(found.array, X)
    part = Rows(HDF5Matrix(file.filename, "x", 3, 20), "x")
    assert part.mapped is not None
    np.testing.assert_array_equal(part.take(np.array([4, 0])).numpy(), X[[7, 3]].astype("float32"))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["big"] = X.astype(">f8")
        other.create_dataset("chunks", data=X, chunks=(2, 4))
        other.create_dataset("packed", data=X, compression="gzip")
        other.create_dataset("empty", (0, 4), "f4")
        other["truth"] = X > 0
        other["x"] = X
        assert Mapped.of(other["x"]) is None  # it may be written to
    with h5py.File(tmp_path / "other.h5", "r") as other:
        np.testing.assert_array_equal(Mapped.of(other["big"]).array, X)
        assert [Mapped.of(other[name]) for name in ("chunks", "packed", "empty", "truth")] == [None] * 4
    with h5py.File(tmp_path / "block.h5", "w", userblock_size=512) as other:
        other["x"] = X
    with h5py.File(tmp_path / "block.h5", "r") as other:
        assert Mapped.of(other["x"]) is None
    assert Mapped.of(HDF5Matrix(file.filename, "x", normalizer=np.sqrt)) is None


def test_a_map_is_of_the_file_that_was_opened(tmp_path: Path, file: Any):
    with h5py.File(tmp_path / "new.h5", "w") as new:
        new["x"], new["y"] = X + 1, Y
    (tmp_path / "new.h5").replace(file.filename)
    np.testing.assert_array_equal(Mapped.of(file["x"]).array, X)


def test_memory_to_spare_is_told_where_the_system_tells():
    assert memory_to_spare() >= 0
    if Path("/proc/meminfo").exists():
        assert memory_to_spare() > 1 << 20
