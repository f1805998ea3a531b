"""A disk that fills up while a model trains: training is not lost, and neither is the file that was saved before."""

from __future__ import annotations

import errno
import os
import warnings

import numpy as np
import pytest

from torchkeras import Sequential, callbacks, layers
from torchkeras.models import load_model
from torchkeras.utils import atomic

X, Y = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)


class Disk:
    """`os.fsync` of a disk that is full while `full` says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = errno.ENOSPC) -> None:
        self.full = False
        self.code = code
        self.real = os.fsync
        monkeypatch.setattr(atomic.os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        if self.full:
            raise OSError(self.code, os.strerror(self.code))
        self.real(descriptor)


class FullFrom(callbacks.Callback):
    """The disk is full in these epochs."""

    def __init__(self, disk: Disk, *epochs: int) -> None:
        super().__init__()
        self.disk, self.epochs = disk, epochs

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.disk.full = epoch in self.epochs


def model() -> Sequential:
    made = Sequential([layers.Dense(1, input_shape=(3,))])
    made.compile("sgd", "mse")
    return made


def fit(path, disk, full, **kwargs):
    made = model()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = made.fit(X, Y, epochs=5, verbose=0, callbacks=[FullFrom(disk, *full), callbacks.ModelCheckpoint(path, **kwargs)])
    disk.full = False
    assert len(history.history["loss"]) == 5, "the training went on to its end"
    return made, [str(warning.message) for warning in told if "ModelCheckpoint" in str(warning.message)]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_full_disk_is_told_once_and_the_older_file_stays(tmp_path, monkeypatch, ending, code):
    disk = Disk(monkeypatch, code)
    path = tmp_path / f"model.{ending}"
    _, told = fit(path, disk, (2, 3, 4))
    assert len(told) == 1
    assert f"ModelCheckpoint could not save to '{path}'" in told[0] and os.strerror(code) in told[0]
    assert int(load_model(path).optimizer.iterations) == 2, "the file of the second epoch"
    assert os.listdir(tmp_path) == [f"model.{ending}"]


def test_when_there_is_room_again_it_saves_again_and_warns_again_later(tmp_path, monkeypatch):
    made, told = fit(tmp_path / "model.h5", Disk(monkeypatch), (1, 3))
    assert len(told) == 2
    for one, two in zip(load_model(tmp_path / "model.h5").get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_best_value_is_that_of_the_file(tmp_path, monkeypatch):
    """A best model that could not be saved does not keep a later, less good one from being saved."""
    disk = Disk(monkeypatch)
    keep = callbacks.ModelCheckpoint(tmp_path / "model.h5", "value", save_best_only=True, mode="min")
    keep.set_model(model())
    with pytest.warns(UserWarning, match=r"could not save .* Training goes on; the last file that was saved stays"):
        for epoch, (value, full) in enumerate([(3.0, False), (1.0, True), (2.0, False)]):
            disk.full = full
            keep.on_epoch_end(epoch, {"value": value})
            assert keep.best == (3.0, 3.0, 2.0)[epoch]
    assert load_model(tmp_path / "model.h5").built


@pytest.mark.parametrize("where", ["no/model.h5", "."])
def test_a_mistake_in_the_path_is_an_error_at_once(tmp_path, where):
    with pytest.raises(OSError, match=r"does not exist|is a directory"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint(tmp_path / where)])
