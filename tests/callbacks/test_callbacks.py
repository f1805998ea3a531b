"""What each callback does in `fit`, with bad input too."""

from __future__ import annotations

import errno
import http.server
import json
import math
import os
import sys
import threading
import types
import urllib.parse
import warnings

import numpy as np
import pytest
import torch

from tests.callbacks.recorded import data, make_model
from torchkeras import callbacks, generations
from torchkeras.callbacks import (
    BaseLogger,
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
    TerminateOnNaN,
)
from torchkeras.callbacks.monitoring import find, settle_mode, twin
from torchkeras.callbacks.terminate_on_nan import _LateCopy
from torchkeras.training import hooks
from torchkeras.training.logs import Logs


def _fit(given, model=None, epochs=2, **more):
    x, y = data()
    model = model or make_model()
    return model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, shuffle=False, callbacks=given, **more)


def _validated():
    x, y = data()
    return {"validation_data": (x[:6], y[:6])}


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
        _fit([callback], epochs=1)


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
    _fit([stopping], epochs=5)
    assert capsys.readouterr().out == "Restoring model weights from the end of the best epoch.\nEpoch 00002: early stopping\n"


def test_early_stopping_puts_the_best_weights_back():
    model = make_model()
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    _fit([keep, EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True)], model, epochs=9)
    assert len(weights) == 3
    np.testing.assert_array_equal(model.get_weights()[0], weights[0][0])


def test_a_baseline_that_is_never_beaten_leaves_the_last_weights():
    with pytest.warns(RuntimeWarning, match="no epoch's loss was better than -1"):
        history = _fit([EarlyStopping("loss", baseline=-1.0, patience=2, restore_best_weights=True)], epochs=9)
    assert len(history.epoch) == 2


def test_min_delta_is_signed_as_the_release_has_it():
    assert EarlyStopping("loss", min_delta=-0.1).min_delta == -0.1
    generations.set_keras_version("2.2.4")
    assert EarlyStopping("loss", min_delta=-0.1).min_delta == 0.1


def test_a_callback_starts_afresh_in_each_fit():
    stopping = EarlyStopping("loss", mode="max")
    assert [len(_fit([stopping], epochs=5).epoch) for _ in range(2)] == [2, 2]


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
    history = _fit([LearningRateScheduler(schedule)], model, epochs=3)
    np.testing.assert_allclose(history.history["lr"], [0.25, 0.125, 0.0625])
    assert float(model.optimizer.lr) == 0.0625


def test_a_schedule_may_give_a_tensor():
    history = _fit([LearningRateScheduler(lambda epoch, lr: torch.tensor(lr / 2))])
    np.testing.assert_allclose(history.history["lr"], [0.25, 0.125])


@pytest.mark.parametrize("wrong", [1, "0.1", None, torch.tensor([1, 2])])
def test_a_schedule_must_give_a_float(wrong):
    with pytest.raises(ValueError, match="The output of the schedule of LearningRateScheduler should be a float, but for epoch 0 it is"):
        _fit([LearningRateScheduler(lambda epoch: wrong)])


def test_an_error_in_a_schedule_comes_through():
    def broken(epoch, lr):
        raise TypeError("broken on purpose")

    with pytest.raises(TypeError, match="broken on purpose"):
        _fit([LearningRateScheduler(broken)])
    with pytest.raises(TypeError, match=r"takes a function of the epoch, but got 0.1"):
        LearningRateScheduler(0.1)


def test_a_rate_that_follows_a_schedule_is_left_alone():
    from torchkeras.optimizers import SGD
    from torchkeras.optimizers.schedules import ExponentialDecay

    model = make_model()
    model.compile(SGD(ExponentialDecay(0.1, 10, 0.9)), "mse")
    with pytest.raises(ValueError, match="LearningRateScheduler cannot set the learning rate of SGD: it follows the schedule"):
        _fit([LearningRateScheduler(lambda epoch: 0.1)], model)
    history = _fit([ReduceLROnPlateau("loss")], model)
    assert history.history["lr"][1] < history.history["lr"][0] < 0.1


def test_a_model_without_a_rate_is_told_of():
    callback = LearningRateScheduler(lambda epoch: 0.1)
    callback.set_model(types.SimpleNamespace(optimizer=None))
    with pytest.raises(ValueError, match=r"needs an optimizer with a learning rate .* but model.optimizer is None"):
        callback.on_epoch_begin(0)


# -- ModelCheckpoint


def test_checkpoints_hold_the_weights_of_their_time(tmp_path):
    model = make_model()
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    _fit([keep, ModelCheckpoint(tmp_path / "w{epoch:02d}.h5", save_weights_only=True)], model)
    assert sorted(os.listdir(tmp_path)) == ["w01.h5", "w02.h5"]
    model.load_weights(tmp_path / "w01.h5")
    np.testing.assert_array_equal(model.get_weights()[0], weights[0][0])


def test_whole_models_are_saved(tmp_path):
    model = make_model()
    _fit([ModelCheckpoint(tmp_path / "model.h5")], model)
    from torchkeras.models import load_model

    np.testing.assert_allclose(load_model(tmp_path / "model.h5").predict(data()[0]), model.predict(data()[0]), rtol=1e-6)


def test_a_template_with_an_unknown_name_is_told_of():
    with pytest.raises(
        KeyError, match=r"cannot fill in its filepath 'w\{val_lss:.2f\}.h5': the logs have no 'val_lss'. They have loss, accuracy, epoch"
    ):
        _fit([ModelCheckpoint("w{val_lss:.2f}.h5")])


def test_a_folder_instead_of_a_file_is_told_of(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"needs the name of a file, but filepath .* is a directory"):
        _fit([ModelCheckpoint(tmp_path)])


@pytest.mark.parametrize("wrong", ["batch", 0, -1, 2.5, True])
def test_save_freq_out_of_range_is_told_of(wrong):
    with pytest.raises(ValueError, match="takes save_freq='epoch' or a number of batches, at least 1, but got"):
        ModelCheckpoint("unused.h5", save_freq=wrong)


def test_options_of_tensorflow_are_told_of():
    with pytest.raises(ValueError, match="which are of TensorFlow's own file formats"):
        ModelCheckpoint("unused.h5", options=object())


def test_the_seventh_argument_is_that_of_the_release():
    assert ModelCheckpoint("unused.h5", "loss", 0, False, True, "auto", 3).save_freq == 3
    generations.set_keras_version("2.2.4")
    assert ModelCheckpoint("unused.h5", "loss", 0, False, True, "auto", 3).period == 3


def test_batches_are_watched_only_where_save_freq_counts_them(tmp_path):
    assert not ModelCheckpoint("unused.h5").listens("on_train_batch_end")
    _fit([ModelCheckpoint(tmp_path / "{epoch}-{batch}.h5", save_weights_only=True, save_freq=2)])
    assert sorted(os.listdir(tmp_path)) == ["1-2.h5", "2-1.h5", "2-3.h5"]


def test_the_newest_file_is_loaded_on_restart(tmp_path):
    first, second = make_model(), make_model()
    _fit([], second)
    second.save_weights(tmp_path / "w2.h5")
    first.save_weights(tmp_path / "w1.h5")
    os.utime(tmp_path / "w1.h5", (1, 1))
    (tmp_path / "other.txt").write_text("")
    model = make_model()
    seen = []
    keep = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(model.get_weights()))
    _fit([ModelCheckpoint(tmp_path / "w{epoch}.h5", save_weights_only=True, load_weights_on_restart=True), keep], model, epochs=1)
    np.testing.assert_array_equal(seen[0][0], second.get_weights()[0])
    _fit([ModelCheckpoint(tmp_path / "missing" / "w{epoch}.h5", save_weights_only=True, load_weights_on_restart=True)], model, epochs=0)


def test_a_subclassed_model_gives_its_weights():
    callback = ModelCheckpoint("unused.h5")
    callback.set_model(types.SimpleNamespace(is_graph_network=False))
    assert callback.save_weights_only


# -- TerminateOnNaN


def test_nothing_happens_while_losses_are_finite():
    assert len(_fit([TerminateOnNaN()]).epoch) == 2


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


# -- CSVLogger


def test_a_full_disk_is_one_warning(tmp_path, monkeypatch):
    logger = CSVLogger(tmp_path / "log.csv")

    def full(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    break_disk = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch != 1 or monkeypatch.setattr(logger._file, "write", full))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(_fit([break_disk, logger], epochs=4).epoch) == 4
    messages = [str(item.message) for item in caught if "CSVLogger" in str(item.message)]
    assert len(messages) == 1 and "No space left on device" in messages[0]
    assert (tmp_path / "log.csv").read_text().count("\n") == 2


def test_an_unfinished_row_is_cut_off(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"epoch,accuracy,loss\r\n0,0.5,1.0\r\n1,0.")
    _fit([CSVLogger(path, append=True)], epochs=1)
    lines = path.read_bytes().split(b"\r\n")
    assert lines[:2] == [b"epoch,accuracy,loss", b"0,0.5,1.0"] and lines[2].startswith(b"0,") and lines[3:] == [b""]


def test_appended_rows_keep_the_columns_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"epoch,val_loss,loss\r\n")
    history = _fit([CSVLogger(path, append=True)], epochs=1)
    row = path.read_text().split()[1].split(",")
    assert row[:2] == ["0", "NA"] and math.isclose(float(row[2]), history.history["loss"][0])
    path.write_bytes(b"epoch,other\r\n")
    with pytest.warns(UserWarning, match=r"whose columns \['other'\] have none of the logs' names \['accuracy', 'loss'\]"):
        _fit([CSVLogger(path, append=True)], epochs=1)


def test_a_file_that_cannot_be_written_is_told_of(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        _fit([CSVLogger(tmp_path / "missing" / "log.csv")])
    with pytest.raises(ValueError, match="a separator of one character, but got ', '"):
        CSVLogger("log.csv", separator=", ")


# -- RemoteMonitor


@pytest.fixture
def server():
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, self.headers["Content-Type"], self.headers.get("X-Own"), body))
            self.send_response(500 if len(got) > 1 else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    found = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}", got
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.mark.parametrize("as_json", [False, True])
def test_epochs_are_sent_to_a_server(server, as_json):
    root, got = server
    history = _fit([RemoteMonitor(root, path="/here/", field="what", headers={"X-Own": "yes"}, send_as_json=as_json)])
    assert [entry[0] for entry in got] == ["/here/"] * 2 and [entry[2] for entry in got] == ["yes"] * 2
    for epoch, (_, kind, _, body) in enumerate(got):
        assert kind == ("application/json" if as_json else "application/x-www-form-urlencoded")
        sent = json.loads(body if as_json else urllib.parse.parse_qs(body)["what"][0])
        assert sent == {"epoch": epoch, **{name: values[epoch] for name, values in history.history.items()}}


def test_a_server_that_cannot_be_reached_is_a_warning():
    with pytest.warns(RuntimeWarning, match="Could not reach RemoteMonitor root server at http://127.0.0.1:9"):
        assert len(_fit([RemoteMonitor("http://127.0.0.1:9", timeout=1)], epochs=1).epoch) == 1


# -- LambdaCallback, BaseLogger, History


def test_functions_are_called_with_what_hooks_get():
    seen = []
    _fit(
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
    _fit([LambdaCallback(on_test_end=lambda logs: seen.append(sorted(logs)))], epochs=1, **_validated())
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
    _fit(list(one), epochs=3)
    other = hooks.CallbackList([History(), EarlyStopping("loss", patience=5)])
    other.load_state_dict(one.state_dict())
    assert other.callbacks[0].history == one.callbacks[1].history
    assert other.callbacks[1].best == one.callbacks[0].best
    with pytest.raises(ValueError, match="EarlyStopping cannot take the state of another callback"):
        other.callbacks[1].load_state_dict({"a": 1})


def test_a_state_loaded_before_fit_counts_in_it_and_not_in_the_next():
    stopping = EarlyStopping("loss", mode="max", patience=3)
    stopping.load_state_dict({"wait": 2, "best": math.inf, "stopped_epoch": 0, "best_weights": None})
    assert len(_fit([stopping], epochs=9).epoch) == 1
    assert len(_fit([stopping], epochs=9).epoch) == 4


def test_a_subclass_need_not_call_the_base():
    class Own(Callback):
        def __init__(self):
            self.seen = 0

        def on_batch_end(self, batch, logs):
            self.seen += 1

    own = Own()
    _fit([own])
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

    _fit([Idle()])
    assert looks == [False] * 6 and not reads


def test_a_callback_that_raises_leaves_the_model_usable():
    class Broken(Callback):
        def on_batch_end(self, batch, logs=None):
            raise RuntimeError("broken on purpose")

    model = make_model()
    with pytest.raises(RuntimeError, match="broken on purpose"):
        _fit([Broken()], model)
    assert not model.training
    assert len(_fit([], model).epoch) == 2
