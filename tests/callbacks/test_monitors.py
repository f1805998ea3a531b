"""Callbacks that watch a value: its names, EarlyStopping, and those that set the learning rate."""

from __future__ import annotations

import os
import types

import numpy as np
import pytest
import torch

from tests.callbacks.recorded import data, fit, make_model
from torchkeras import generations
from torchkeras.callbacks import (
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from torchkeras.callbacks.monitoring import find, settle_mode, twin

# -- names


@pytest.mark.parametrize(
    "name, other", [("acc", "accuracy"), ("val_accuracy", "val_acc"), ("out_acc", "out_accuracy"), ("loss", None), ("macc", None)]
)
def test_both_spellings_of_accuracy_find_each_other(name, other):
    assert twin(name) == other
    if other:
        assert find({other: 1.0}, name) == 1.0
        assert find({other: 1.0, name: 2.0}, name) == 2.0


@pytest.mark.parametrize("version, monitor", [("2.4.0", "val_acc"), ("2.2.4", "val_accuracy")])
def test_monitor_finds_the_other_spelling(version, monitor, tmp_path):
    generations.set_keras_version(version)
    x, y = data(version)
    stopping = EarlyStopping(monitor, patience=9)
    saved = ModelCheckpoint(tmp_path / f"{{epoch}}-{{{monitor}:.2f}}.h5", monitor=monitor, save_best_only=True, save_weights_only=True)
    history = make_model(version).fit(x, y, epochs=3, verbose=0, callbacks=[stopping, saved], validation_data=(x, y))
    values = history.history[twin(monitor)]
    assert stopping.best == saved.best == max(values)
    best = values.index(max(values))
    assert f"{best + 1}-{values[best]:.2f}.h5" in os.listdir(tmp_path)


@pytest.mark.parametrize(
    "callback",
    [EarlyStopping("lss"), ReduceLROnPlateau("lss"), ModelCheckpoint("unused.h5", "lss", save_best_only=True)],
    ids=lambda one: type(one).__name__,
)
def test_an_unknown_monitor_warns_and_lists_what_there_is(callback):
    with pytest.warns(RuntimeWarning, match=r"lss.* Available metrics are: loss, accuracy(, lr)?\."):
        fit([callback], epochs=1)


@pytest.mark.parametrize("cls", [EarlyStopping, ReduceLROnPlateau, lambda **more: ModelCheckpoint("unused.h5", **more)])
def test_an_unknown_mode_warns_and_is_auto(cls):
    with pytest.warns(RuntimeWarning, match=r"mode 'up' is unknown \(there are auto, min, max\), fallback to auto"):
        callback = cls(monitor="val_acc", mode="up")
    assert callback.mode == "max"


def test_auto_mode_goes_by_the_name():
    assert settle_mode("auto", "val_fmeasure", "x") == "min"
    assert ModelCheckpoint("unused.h5", "fmeasure").mode == "max"
    assert EarlyStopping("val_loss").mode == "min" and EarlyStopping("binary_accuracy").mode == "max"


# -- EarlyStopping


def test_early_stopping_prints_as_keras_does(capsys):
    stopping = EarlyStopping("loss", mode="max", verbose=1, restore_best_weights=True)
    fit([stopping], epochs=5)
    assert capsys.readouterr().out == "Restoring model weights from the end of the best epoch.\nEpoch 00002: early stopping\n"


def test_early_stopping_puts_the_best_weights_back():
    model = make_model()
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    fit([keep, EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True)], model, epochs=9)
    assert len(weights) == 3
    np.testing.assert_array_equal(model.get_weights()[0], weights[0][0])


def test_a_baseline_that_is_never_beaten_leaves_the_last_weights():
    with pytest.warns(RuntimeWarning, match="no epoch's loss was better than -1"):
        history = fit([EarlyStopping("loss", baseline=-1.0, patience=2, restore_best_weights=True)], epochs=9)
    assert len(history.epoch) == 2


def test_min_delta_is_signed_as_the_release_has_it():
    assert EarlyStopping("loss", min_delta=-0.1).min_delta == -0.1
    generations.set_keras_version("2.2.4")
    assert EarlyStopping("loss", min_delta=-0.1).min_delta == 0.1


def test_a_callback_starts_afresh_in_each_fit():
    stopping = EarlyStopping("loss", mode="max")
    assert [len(fit([stopping], epochs=5).epoch) for _ in range(2)] == [2, 2]


# -- the learning rate


def test_reduce_lr_refuses_what_cannot_fall():
    with pytest.raises(ValueError, match=r"does not support a factor >= 1.0, but got 1.0"):
        ReduceLROnPlateau(factor=1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'delta'"):
        ReduceLROnPlateau(delta=1)


def test_the_old_name_of_min_delta_still_works():
    with pytest.warns(UserWarning, match="`epsilon` argument of ReduceLROnPlateau is deprecated"):
        assert ReduceLROnPlateau(epsilon=0.3).min_delta == 0.3
    generations.set_keras_version("1.2.2")
    assert ReduceLROnPlateau(epsilon=0.3).min_delta == 0.3


@pytest.mark.parametrize(
    "schedule", [lambda epoch, lr: lr / 2, lambda epoch: 0.5 / 2 ** (epoch + 1), lambda epoch: np.float32(0.5 / 2 ** (epoch + 1))]
)
def test_schedules_of_both_signatures(schedule):
    model = make_model()
    history = fit([LearningRateScheduler(schedule)], model, epochs=3)
    np.testing.assert_allclose(history.history["lr"], [0.25, 0.125, 0.0625])
    assert float(model.optimizer.lr) == 0.0625


def test_a_schedule_may_give_a_tensor():
    history = fit([LearningRateScheduler(lambda epoch, lr: torch.tensor(lr / 2))])
    np.testing.assert_allclose(history.history["lr"], [0.25, 0.125])


@pytest.mark.parametrize("wrong", [1, "0.1", None, torch.tensor([1, 2])])
def test_a_schedule_must_give_a_float(wrong):
    with pytest.raises(ValueError, match="The output of the schedule of LearningRateScheduler should be a float, but for epoch 0 it is"):
        fit([LearningRateScheduler(lambda epoch: wrong)])


def test_an_error_in_a_schedule_comes_through():
    def broken(epoch, lr):
        raise TypeError("broken on purpose")

    with pytest.raises(TypeError, match="broken on purpose"):
        fit([LearningRateScheduler(broken)])
    with pytest.raises(TypeError, match=r"takes a function of the epoch, but got 0.1"):
        LearningRateScheduler(0.1)


def test_a_rate_that_follows_a_schedule_is_left_alone():
    from torchkeras.optimizers import SGD
    from torchkeras.optimizers.schedules import ExponentialDecay

    model = make_model()
    model.compile(SGD(ExponentialDecay(0.1, 10, 0.9)), "mse")
    with pytest.raises(ValueError, match="LearningRateScheduler cannot set the learning rate of SGD: it follows the schedule"):
        fit([LearningRateScheduler(lambda epoch: 0.1)], model)
    history = fit([ReduceLROnPlateau("loss")], model)
    assert history.history["lr"][1] < history.history["lr"][0] < 0.1


def test_a_model_without_a_rate_is_told_of():
    callback = LearningRateScheduler(lambda epoch: 0.1)
    callback.set_model(types.SimpleNamespace(optimizer=None))
    with pytest.raises(ValueError, match=r"needs an optimizer with a learning rate .* but model.optimizer is None"):
        callback.on_epoch_begin(0)
