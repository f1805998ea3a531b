"""Scalars: runs, tags, steps and values of the release, in epochs and batches, and none of it waits for the device."""

from __future__ import annotations

import numpy as np
import pytest

from tests.callbacks.recorded import data, make_model, recorded
from tests.callbacks.tensorboard.reading import scalars
from torchkeras import generations
from torchkeras.callbacks import ReduceLROnPlateau, TensorBoard
from torchkeras.callbacks.tensorboard.scalars import BatchScalars
from torchkeras.training.logs import Logs


def _cases():
    return [(version, freq) for version in ("1.2.2", "2.2.4", "2.4.0") for freq in recorded(version)["board"]]


@pytest.mark.parametrize("version, freq", _cases())
def test_tags_steps_and_values_are_those_of_the_release(version, freq, tmp_path):
    generations.set_keras_version(version)
    x, y = data(version)
    callbacks = [ReduceLROnPlateau("loss"), TensorBoard(tmp_path, update_freq=int(freq) if freq.isdigit() else freq)]
    make_model(version).fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=callbacks, validation_data=(x[:6], y[:6]))
    for run, tags in recorded(version)["board"][freq].items():
        mine = scalars(tmp_path / run)
        for tag, values in tags.items():
            assert [step for step, _ in mine[tag]] == [step for step, _ in values], tag
            np.testing.assert_allclose([value for _, value in mine[tag]], [value for _, value in values], rtol=2e-5, err_msg=tag)
        assert {tag for tag in mine if "batch" in tag} == {tag for tag in tags if "batch" in tag}


def test_the_learning_rate_is_written(tmp_path):
    x, y = data()
    make_model().fit(x, y, epochs=2, verbose=0, callbacks=[TensorBoard(tmp_path)])
    assert scalars(tmp_path / "train")["epoch_learning_rate"] == [[0, 0.5], [1, 0.5]]


def test_values_of_batches_are_read_together(monkeypatch):
    import torch

    from torchkeras.callbacks.tensorboard import scalars as room

    reads = []
    monkeypatch.setattr(room, "read_all", lambda values: reads.append(list(values)) or [float(value) for value in reads[-1]])
    written = []

    class Runs(dict):
        def __missing__(self, run):
            return type("Writer", (), {"add_scalar": lambda self, *args: written.append(args)})()

    total = torch.zeros(())
    logs = Logs(lambda: {"loss": total})
    batches = BatchScalars(1, one_run=False)
    batches.start()
    for step in range(1, 51):
        total += 1
        batches.add(Runs(), step, logs)
    assert not reads
    batches.write(Runs())
    assert len(reads) == 1
    assert written == [("batch_loss", float(step), step) for step in range(1, 51)]  # the values of their time


def test_epoch_frequency_leaves_batches_alone():
    callback = TensorBoard("unused")
    assert not callback.listens("on_train_batch_end")
    assert not callback.listens("on_train_batch_begin")
    assert not callback.listens("on_test_batch_end")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"update_freq": 0}, "update_freq='epoch', 'batch' or a number of at least 1, but got 0"),
        ({"update_freq": "epochs"}, "update_freq as 'epoch', 'batch' or a number of at least 0, but got 'epochs'"),
        ({"histogram_freq": -1}, "histogram_freq as a number of at least 0, but got -1"),
        ({"embeddings_freq": 0.5}, "embeddings_freq as a number of at least 0, but got 0.5"),
        ({"profile_batch": (3, 2)}, r"first and the last batch to profile, but got \(3, 2\)"),
        ({"profile_batch": "two"}, "but got 'two'"),
        ({"profile_batch": -1}, "but got -1"),
    ],
)
def test_arguments_out_of_range_are_told_of(arguments, message):
    with pytest.raises(ValueError, match=message):
        TensorBoard("unused", **arguments)


@pytest.mark.parametrize("version, position", [("1.2.2", 3), ("2.2.4", 5), ("2.4.0", 3)])
def test_positional_arguments_have_the_order_of_the_release(version, position):
    generations.set_keras_version(version)
    given = ["unused", 0, True, False, False, False][: position + 1]
    given[position] = True
    assert TensorBoard(*given).write_images


@pytest.mark.parametrize("given", [2, "2", (2, 2), "2,2"])
def test_profile_batch_may_be_given_in_all_ways(given):
    assert TensorBoard("unused", profile_batch=given).profile_batch == (2, 2)


def test_too_many_positional_arguments_are_told_of():
    generations.set_keras_version("1.2.2")
    with pytest.raises(TypeError, match="TensorBoard takes at most 4 positional arguments"):
        TensorBoard("unused", 0, True, False, False)
    with pytest.raises(TypeError, match=r"the arguments \['log_dir'\] both by position and by name"):
        TensorBoard("unused", log_dir="unused")
