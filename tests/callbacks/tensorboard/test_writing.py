"""Event files survive a full disk and a folder that cannot be written."""

from __future__ import annotations

import errno
import os
import warnings

import numpy as np
import pytest

from tests.callbacks.recorded import data, make_model
from tests.callbacks.tensorboard.reading import scalars
from torchkeras.callbacks import TensorBoard
from torchkeras.callbacks.tensorboard.weights import as_picture
from torchkeras.callbacks.tensorboard.writing import Runs, make_writer


def test_records_reach_the_file_whole(tmp_path):
    writer = make_writer(str(tmp_path))
    for step in range(100):
        writer.add_scalar("a", step, step)
    writer.close()
    writer.close()
    assert scalars(tmp_path)["a"] == [[step, step] for step in range(100)]


def test_a_full_disk_is_one_warning_and_later_values_are_written(tmp_path, monkeypatch):
    x, y = data()
    full = [False]
    pwrite = os.pwrite

    def write(descriptor, content, offset):
        if full[0]:
            pwrite(descriptor, content[:3], offset)  # a part still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", write)

    def filled(board, epoch):
        full[0] = epoch in (1, 2)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = make_model().fit(x, y, epochs=5, verbose=0, callbacks=[TensorBoard(tmp_path, hook=filled)])
    assert len(history.epoch) == 5
    assert [str(item.message) for item in caught if "No space left on device" in str(item.message)] == [str(caught[0].message)]
    assert "Training goes on without these values" in str(caught[0].message)
    assert [step for step, _ in scalars(tmp_path / "train")["epoch_loss"]] == [0, 3, 4]


def test_a_log_dir_that_cannot_be_written_is_told_of(tmp_path):
    (tmp_path / "file").write_text("")
    x, y = data()
    with pytest.raises(OSError, match="TensorBoard cannot write to its log_dir"):
        make_model().fit(x, y, verbose=0, callbacks=[TensorBoard(tmp_path / "file" / "logs")])


def test_a_closed_file_takes_no_more(tmp_path):
    writer = make_writer(str(tmp_path))
    file = writer.file_writer.event_writer
    file.close()
    with pytest.raises(ValueError, match="is closed"):
        writer.add_scalar("a", 1, 1)


def test_runs_are_opened_anew_after_closing(tmp_path):
    runs = Runs(str(tmp_path), one=False)
    for step in range(2):
        runs["train"].add_scalar("a", 1, step)
        runs.close()
    assert scalars(tmp_path / "train")["a"] == [[0, 1], [1, 1]]
    assert len(os.listdir(tmp_path / "train")) == 2


@pytest.mark.parametrize(
    "shape, wanted",
    [
        ((), (16, 16, 1)),
        ((5,), (16, 80, 1)),
        ((40, 3), (18, 240, 1)),
        ((3, 3, 1, 4), (112, 112, 1)),
        ((5, 5, 3, 2), (80, 176, 3)),
        ((2, 2, 2, 2, 2), None),
    ],
)
def test_weights_of_all_shapes_become_pictures(shape, wanted):
    picture = as_picture(np.arange(max(1, int(np.prod(shape))), dtype="float32").reshape(shape))
    assert (None if picture is None else picture.shape) == wanted


def test_large_weights_are_thinned_out():
    assert max(as_picture(np.random.rand(3000, 2000).astype("float32")).shape) <= 512


def test_weights_that_are_no_numbers_are_white():
    assert (as_picture(np.full((2, 2), np.nan, "float32")) == 255).all()
