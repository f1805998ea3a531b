"""EarlyStopping, ReduceLROnPlateau, ModelCheckpoint, the scheduler, CSVLogger and TerminateOnNaN do what genuine Keras was seen to do."""

from __future__ import annotations

import csv
import io
import math
import os
import warnings

import numpy as np
import pytest

from tests.callbacks.recorded import Recorder, data, make_model, recorded
from torchkeras import callbacks, generations

VERSIONS = ("1.2.2", "2.2.4", "2.4.0")


def _rules(version):
    return [pytest.param(version, case, id=f"{version}-{case['class']}-{number}") for number, case in enumerate(recorded(version)["rules"])]


class Watched:
    """Stands for a model: what callbacks may do to one, written down."""

    def __init__(self) -> None:
        self.model = make_model(metrics=False)
        self.optimizer = self.model.optimizer
        self.stop_training = False
        self.is_graph_network = True

    def save(self, path, overwrite=True):
        open(path, "w").close()

    save_weights = save


def _run(callback, name, values):
    """The states after each epoch."""
    model = Watched()
    callback.set_model(model)
    callback.on_train_begin({})
    states = []
    for epoch, value in enumerate(values):
        logs = {"loss": 1.0, name: value}
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, logs)
        states.append((callback, dict(vars(callback)), float(model.optimizer.lr), model.stop_training, logs.get("lr")))
        if model.stop_training:
            break
    callback.on_train_end({})
    return states


@pytest.mark.parametrize("version, case", [param for version in VERSIONS for param in _rules(version)])
def test_rules_are_those_of_the_release(version, case, tmp_path, capsys):
    generations.set_keras_version(version)
    kwargs = dict(case["kwargs"])
    if case["class"] == "ModelCheckpoint":
        kwargs["filepath"] = os.path.join(tmp_path, case["template"])
    states = _run(getattr(callbacks, case["class"])(**kwargs), case["name"], case["values"])
    assert len(states) == len(case["states"])
    for (_, mine, rate, stop, lr), theirs in zip(states, case["states"], strict=True):
        for name in ("wait", "cooldown_counter", "epochs_since_last_save", "best", "stopped_epoch"):
            if name in theirs:
                assert mine[name] == theirs[name], name
        assert stop == theirs["stop"]
        assert math.isclose(rate, theirs["rate"], rel_tol=1e-6)
        assert (lr is None) == ("lr" not in theirs)
        if lr is not None:
            assert math.isclose(lr, theirs["lr"], rel_tol=1e-6)
    if case["class"] == "ModelCheckpoint":
        assert sorted(os.listdir(tmp_path)) == case["files"]
    printed = capsys.readouterr().out.replace(f"{tmp_path}{os.sep}", "")
    assert printed == case["text"]


@pytest.mark.parametrize("version", VERSIONS)
def test_scheduler_gives_the_rates_and_the_text(version, capsys):
    generations.set_keras_version(version)
    x, y = data(version)
    found = recorded(version)["scheduler"]
    verbose = {} if version == "1.2.2" else {"verbose": 1}
    callback = callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1), **verbose)
    history = make_model(version, metrics=False).fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[callback])
    assert capsys.readouterr().out == found["text"]
    for name, values in found["history"].items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-5)


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_a_loss_that_is_no_number_ends_the_training_where_the_release_does(version, capsys):
    generations.set_keras_version(version)
    x, y = data(version)
    x = x.copy()
    x[5] = np.nan
    end = "on_batch_end" if version == "2.2.4" else "on_train_batch_end"
    seen = Recorder(["on_epoch_begin", end, "on_epoch_end", "on_train_end"])
    make_model(version, metrics=False).fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN(), seen])
    found = recorded(version)["nan"]
    assert [call[1:3] for call in seen.seen] == found["calls"]
    assert capsys.readouterr().out == found["text"]


def _rows(text, separator=","):
    return [[_number(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)]


def _number(cell):
    try:
        return pytest.approx(float(cell), rel=1e-5)
    except ValueError:
        return cell


def _check_csv(path, wanted, separator=","):
    text = path.read_bytes().decode()
    assert _plain(text, separator) == _rows(wanted, separator)
    assert text.count("\r\n") == text.count("\n") == wanted.count("\r\n")


def _plain(text, separator):
    return [[float(cell) if _is_number(cell) else cell for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)]


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


class Odd(callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs.update(list=[1, 2.5], array=np.array([1, 2]), text="a,b", zero=np.array(3.0))


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_csv_files_are_those_of_the_release(version, tmp_path):
    generations.set_keras_version(version)
    path, wanted = tmp_path / "log.csv", recorded(version)["csv"]
    x, y = data(version)

    def fit(added, epochs, metrics=True, **more):
        make_model(version, metrics).fit(x, y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=added, **more)

    fit([callbacks.CSVLogger(path)], 2)
    _check_csv(path, wanted["new"])
    fit([callbacks.CSVLogger(path, append=True)], 1)
    _check_csv(path, wanted["appended"])
    fit([callbacks.CSVLogger(path, separator=";")], 1)
    _check_csv(path, wanted["separator"], ";")
    fit([callbacks.EarlyStopping("loss", mode="max"), callbacks.CSVLogger(path)], 3, validation_data=(x[:6], y[:6]))
    _check_csv(path, wanted["stopped"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit([Odd(), callbacks.CSVLogger(path)], 1, metrics=False)
    _check_csv(path, wanted["odd"])
