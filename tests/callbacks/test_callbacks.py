"""What each callback does in `fit`, with bad input too."""

from __future__ import annotations

import math
import os
import sys
import types

import numpy as np
import pytest
import torch

from tests.callbacks.recorded import data, fit, make_model, validated
from torchkeras import callbacks, generations
from torchkeras.callbacks import (
    BaseLogger,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from torchkeras.callbacks.terminate_on_nan import _LateCopy
from torchkeras.training import hooks
from torchkeras.training.logs import Logs

# -- TerminateOnNaN


def test_nothing_happens_while_losses_are_finite():
    assert len(fit([TerminateOnNaN()]).epoch) == 2


def test_a_loss_that_is_no_number_is_found_late_on_a_device_that_is_not_waited_for(capsys, monkeypatch):
    """A pretend device whose copies arrive three batches late."""
    arrivals = []

    class Event:
        def query(self):
            return not arrivals or arrivals[0] <= 0

        def record(self):
            arrivals[:] = [3]

    class Value:
        device = types.SimpleNamespace(type="cuda")
        dtype = torch.float32

        def __init__(self, value):
            self.value = value

    class Host:
        def copy_(self, value, non_blocking):
            assert non_blocking
            self.value = value.value

        def __float__(self):
            return self.value

    callback = TerminateOnNaN()
    callback._copy._event, callback._copy._host = Event(), Host()
    callback.set_model(types.SimpleNamespace(stop_training=False))
    monkeypatch.setattr(torch, "Tensor", (torch.Tensor, Value))
    callback.on_epoch_begin(0)
    total, stopped_at = 0.0, None
    for batch in range(20):
        total += math.nan if batch == 6 else 1.0
        callback.on_batch_end(batch, Logs(dict, loss_sum=lambda: Value(total)))  # noqa: B023
        if arrivals:
            arrivals[0] -= 1
        if callback.model.stop_training:
            stopped_at = batch
            break
    assert stopped_at is not None and 6 < stopped_at <= 13
    assert "Invalid loss, terminating training" in capsys.readouterr().out


def test_the_end_of_an_epoch_misses_nothing(capsys):
    callback = TerminateOnNaN()
    callback.set_model(types.SimpleNamespace(stop_training=False))
    callback.set_params({"steps": 5})
    callback.on_epoch_end(0, {"loss": math.inf})
    assert callback.model.stop_training
    assert capsys.readouterr().out == "Batch 4: Invalid loss, terminating training\n"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_late_copies_arrive_on_cuda():
    copy, found = _LateCopy(), []
    for batch in range(200):
        arrived = copy.exchange(batch, torch.full((), float(batch), device="cuda"))
        found += [arrived] if arrived is not None else []
    torch.cuda.synchronize()
    found.append(copy.exchange(200, torch.zeros((), device="cuda")))
    assert found[-1] is not None and all(value == batch for batch, value in found)


# -- LambdaCallback, BaseLogger, History


def test_functions_are_called_with_what_hooks_get():
    seen = []
    fit(
        [
            LambdaCallback(
                on_train_begin=lambda logs: seen.append("begin"), on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))), note=3
            )
        ]
    )
    assert seen == ["begin", (0, ["accuracy", "loss"]), (1, ["accuracy", "loss"])]
    assert LambdaCallback(note=3).note == 3
    with pytest.raises(TypeError, match="takes functions, but on_epoch_end is 3"):
        LambdaCallback(on_epoch_end=3)


def test_newer_hooks_can_be_functions_too():
    seen = []
    fit([LambdaCallback(on_test_end=lambda logs: seen.append(sorted(logs)))], epochs=1, **validated())
    assert seen == [["accuracy", "loss"]]


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_base_logger_gives_the_averages_that_fit_gives(version):
    generations.set_keras_version(version)
    x, y = data(version)
    seen = []

    class Check(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((dict(logs), dict(other)))

    other: dict = {}
    logger = BaseLogger()
    logger_end = logger.on_epoch_end
    logger.on_epoch_end = lambda epoch, logs: logger_end(epoch, other)
    make_model(version).fit(x, y, batch_size=4, epochs=1, verbose=0, callbacks=[logger, Check()])
    logs, averages = seen[0]
    assert set(averages) == set(logs)
    for name in logs:
        assert math.isclose(averages[name], logs[name], rel_tol=1e-5)


def test_base_logger_keeps_the_last_of_stateful_values():
    logger = BaseLogger(["b"])
    logger.set_params({"metrics": ["a", "b"]})
    logger.on_epoch_begin(0)
    for size, value in ((2, 1.0), (1, 4.0)):
        logger.on_batch_end(0, {"size": size, "a": value, "b": value})
    logs: dict = {}
    logger.on_epoch_end(0, logs)
    assert logs == {"a": 2.0, "b": 4.0}


@pytest.mark.parametrize("version, kept", [("2.2.4", 2), ("2.4.0", 4)])
def test_a_history_that_is_used_again_keeps_what_the_release_keeps(version, kept):
    generations.set_keras_version(version)
    x, y = data(version)
    history, model = History(), make_model(version)
    for _ in range(2):
        assert model.fit(x, y, epochs=2, verbose=0, callbacks=[history]) is history
    assert len(history.history["loss"]) == kept and history.epoch == [0, 1]
    assert model.history is history


# -- the bar


def test_one_bar_is_enough(capsys):
    x, y = data()
    make_model().fit(x, y, epochs=2, callbacks=[ProgbarLogger("steps")])
    assert capsys.readouterr().out.count("Epoch 1/2") == 1


def test_values_that_callbacks_add_are_not_in_the_bar(capsys):
    x, y = data()
    make_model().fit(x, y, epochs=1, callbacks=[ReduceLROnPlateau("loss"), LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(own=1.0))])
    printed = capsys.readouterr().out
    assert "loss: " in printed and "lr: " not in printed and "own: " not in printed


def test_predict_has_a_bar(capsys):
    model = make_model()
    model.predict(data()[0], batch_size=4, verbose=1)
    assert "3/3 [==============================]" in capsys.readouterr().out
    generations.set_keras_version("2.2.4")
    model.predict(data()[0], batch_size=4, verbose=1)
    assert "10/10 [==============================]" in capsys.readouterr().out


def test_processes_after_the_first_print_and_write_nothing(capsys, monkeypatch, tmp_path):
    for module in ("progbar_logger", "csv_logger", "model_checkpoint", "tensorboard.callback"):
        monkeypatch.setattr(sys.modules[f"torchkeras.callbacks.{module}"], "is_chief", lambda: False)
    given = [CSVLogger(tmp_path / "log.csv"), ModelCheckpoint(tmp_path / "w.h5"), callbacks.TensorBoard(tmp_path / "logs", update_freq=1)]
    x, y = data()
    make_model().fit(x, y, callbacks=given)
    assert capsys.readouterr().out == "" and os.listdir(tmp_path) == []


def test_wrong_bars_are_told_of(monkeypatch):
    with pytest.raises(ValueError, match="counts 'steps' or 'samples', but got 'batches'"):
        ProgbarLogger("batches")
    with pytest.raises(ValueError, match="bar='keras', 'tqdm' or 'rich', but got 'ascii'"):
        ProgbarLogger(bar="ascii")
    monkeypatch.setenv("TORCHKERAS_PROGRESS", "ascii")
    with pytest.raises(ValueError, match="TORCHKERAS_PROGRESS must be 'keras', 'tqdm' or 'rich', but is 'ascii'"):
        make_model().fit(*data())


@pytest.mark.parametrize("bar", ["tqdm", "rich"])
def test_a_bar_whose_package_is_missing_is_told_of(bar, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == bar]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, bar, None)
    with pytest.raises(ImportError, match=f"A progress bar of {bar} needs the package {bar}: pip install {bar}"):
        make_model().fit(*data(), callbacks=[ProgbarLogger(bar=bar)])


@pytest.mark.parametrize("bar", ["tqdm", "rich"])
def test_other_bars_show_steps_and_values(bar, monkeypatch, capsys):
    pytest.importorskip(bar)
    monkeypatch.setenv("TORCHKERAS_PROGRESS", bar)
    x, y = data()
    history = make_model().fit(x, y, batch_size=4, epochs=2)
    printed = capsys.readouterr().out
    assert "3/3" in printed and f"loss={history.history['loss'][-1]:.4f}" in printed


# -- lists, states, speed


def test_callback_list_is_one_callback():
    seen = []
    made = CallbackList([[LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)))], History()], add_history=True, epochs=3)
    assert len(made.callbacks) == 2 and made.callbacks[0].params == {"epochs": 3}
    made.on_epoch_end(1, {"a": 1.0})
    made.on_epoch_end(2)
    assert seen == [(1, {"a": 1.0}), (2, {})]
    assert [type(callback).__name__ for callback in CallbackList(add_history=True, add_progbar=True)] == ["ProgbarLogger", "History"]
    model = make_model()
    CallbackList([made.callbacks[1]], model=model)
    assert model.history is made.callbacks[1]
    with pytest.raises(AttributeError, match="'CallbackList' object has no attribute 'on_epoch_middle'"):
        made.on_epoch_middle()


def test_a_slow_hook_is_told_of_once(monkeypatch):
    clock = iter(np.cumsum([0, 0, 0, 1.0] * 8))
    monkeypatch.setattr("torchkeras.callbacks.callback_list.time.perf_counter", lambda: next(clock))
    made = CallbackList([LambdaCallback(on_batch_end=lambda batch, logs: None)], queue_length=1)
    with pytest.warns(UserWarning, match=r"Method on_train_batch_end\(\) is slow compared to the batch update \(1.000 s\)"):
        made.on_batch_begin(0)
        made.on_batch_end(0)


def test_states_find_their_callbacks_again():
    one = hooks.CallbackList([EarlyStopping("loss", patience=5), History(), LambdaCallback()])
    fit(list(one), epochs=3)
    other = hooks.CallbackList([History(), EarlyStopping("loss", patience=5)])
    other.load_state_dict(one.state_dict())
    assert other.callbacks[0].history == one.callbacks[1].history
    assert other.callbacks[1].best == one.callbacks[0].best
    with pytest.raises(ValueError, match="EarlyStopping cannot take the state of another callback"):
        other.callbacks[1].load_state_dict({"a": 1})


def test_a_state_loaded_before_fit_counts_in_it_and_not_in_the_next():
    stopping = EarlyStopping("loss", mode="max", patience=3)
    stopping.load_state_dict({"wait": 2, "best": math.inf, "stopped_epoch": 0, "best_weights": None})
    assert len(fit([stopping], epochs=9).epoch) == 1
    assert len(fit([stopping], epochs=9).epoch) == 4


def test_a_subclass_need_not_call_the_base():
    class Own(Callback):
        def __init__(self):
            self.seen = 0

        def on_batch_end(self, batch, logs):
            self.seen += 1

    own = Own()
    fit([own])
    assert own.seen == 6 and own.model is not None and own.params["epochs"] == 2


def test_hooks_that_nobody_wrote_are_not_called():
    made = hooks.CallbackList([Callback(), History(), EarlyStopping(), ModelCheckpoint("unused.h5"), callbacks.TensorBoard("unused")])
    assert made.listeners("on_train_batch_begin") == made.listeners("on_train_batch_end") == []


def test_values_of_batches_are_not_read_unless_looked_at(monkeypatch):
    reads = []
    monkeypatch.setattr("torchkeras.training.logs.read_all", lambda values: reads.append(1) or [float(value) for value in values])
    looks = []

    class Idle(Callback):
        def on_train_batch_end(self, batch, logs=None):
            looks.append(logs.looked)

    fit([Idle()])
    assert looks == [False] * 6 and not reads


def test_a_callback_that_raises_leaves_the_model_usable():
    class Broken(Callback):
        def on_batch_end(self, batch, logs=None):
            raise RuntimeError("broken on purpose")

    model = make_model()
    with pytest.raises(RuntimeError, match="broken on purpose"):
        fit([Broken()], model)
    assert not model.training
    assert len(fit([], model).epoch) == 2
