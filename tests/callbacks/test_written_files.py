"""Callbacks that write files or send values: ModelCheckpoint, CSVLogger, RemoteMonitor."""

from __future__ import annotations

import errno
import http.server
import json
import math
import os
import threading
import types
import urllib.parse
import warnings

import numpy as np
import pytest

from tests.callbacks.recorded import data, fit, make_model
from torchkeras import generations
from torchkeras.callbacks import (
    CSVLogger,
    LambdaCallback,
    ModelCheckpoint,
    RemoteMonitor,
)

# -- ModelCheckpoint


def test_checkpoints_hold_the_weights_of_their_time(tmp_path):
    model = make_model()
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    fit([keep, ModelCheckpoint(tmp_path / "w{epoch:02d}.h5", save_weights_only=True)], model)
    assert sorted(os.listdir(tmp_path)) == ["w01.h5", "w02.h5"]
    model.load_weights(tmp_path / "w01.h5")
    np.testing.assert_array_equal(model.get_weights()[0], weights[0][0])


def test_whole_models_are_saved(tmp_path):
    model = make_model()
    fit([ModelCheckpoint(tmp_path / "model.h5")], model)
    from torchkeras.models import load_model

    np.testing.assert_allclose(load_model(tmp_path / "model.h5").predict(data()[0]), model.predict(data()[0]), rtol=1e-6)


def test_a_template_with_an_unknown_name_is_told_of():
    with pytest.raises(
        KeyError, match=r"cannot fill in its filepath 'w\{val_lss:.2f\}.h5': the logs have no 'val_lss'. They have loss, accuracy, epoch"
    ):
        fit([ModelCheckpoint("w{val_lss:.2f}.h5")])


def test_a_folder_instead_of_a_file_is_told_of(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"needs the name of a file, but filepath .* is a directory"):
        fit([ModelCheckpoint(tmp_path)])


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
    fit([ModelCheckpoint(tmp_path / "{epoch}-{batch}.h5", save_weights_only=True, save_freq=2)])
    assert sorted(os.listdir(tmp_path)) == ["1-2.h5", "2-1.h5", "2-3.h5"]


def test_the_newest_file_is_loaded_on_restart(tmp_path):
    first, second = make_model(), make_model()
    fit([], second)
    second.save_weights(tmp_path / "w2.h5")
    first.save_weights(tmp_path / "w1.h5")
    os.utime(tmp_path / "w1.h5", (1, 1))
    (tmp_path / "other.txt").write_text("")
    model = make_model()
    seen = []
    keep = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(model.get_weights()))
    fit([ModelCheckpoint(tmp_path / "w{epoch}.h5", save_weights_only=True, load_weights_on_restart=True), keep], model, epochs=1)
    np.testing.assert_array_equal(seen[0][0], second.get_weights()[0])
    fit([ModelCheckpoint(tmp_path / "missing" / "w{epoch}.h5", save_weights_only=True, load_weights_on_restart=True)], model, epochs=0)


def test_a_subclassed_model_gives_its_weights():
    callback = ModelCheckpoint("unused.h5")
    callback.set_model(types.SimpleNamespace(is_graph_network=False))
    assert callback.save_weights_only


# -- CSVLogger


def test_a_full_disk_is_one_warning(tmp_path, monkeypatch):
    logger = CSVLogger(tmp_path / "log.csv")

    def full(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    break_disk = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch != 1 or monkeypatch.setattr(logger._file, "write", full))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(fit([break_disk, logger], epochs=4).epoch) == 4
    messages = [str(item.message) for item in caught if "CSVLogger" in str(item.message)]
    assert len(messages) == 1 and "No space left on device" in messages[0]
    assert (tmp_path / "log.csv").read_text().count("\n") == 2


def test_an_unfinished_row_is_cut_off(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"epoch,accuracy,loss\r\n0,0.5,1.0\r\n1,0.")
    fit([CSVLogger(path, append=True)], epochs=1)
    lines = path.read_bytes().split(b"\r\n")
    assert lines[:2] == [b"epoch,accuracy,loss", b"0,0.5,1.0"] and lines[2].startswith(b"0,") and lines[3:] == [b""]


def test_appended_rows_keep_the_columns_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"epoch,val_loss,loss\r\n")
    history = fit([CSVLogger(path, append=True)], epochs=1)
    row = path.read_text().split()[1].split(",")
    assert row[:2] == ["0", "NA"] and math.isclose(float(row[2]), history.history["loss"][0])
    path.write_bytes(b"epoch,other\r\n")
    with pytest.warns(UserWarning, match=r"whose columns \['other'\] have none of the logs' names \['accuracy', 'loss'\]"):
        fit([CSVLogger(path, append=True)], epochs=1)


def test_a_file_that_cannot_be_written_is_told_of(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        fit([CSVLogger(tmp_path / "missing" / "log.csv")])
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
    history = fit([RemoteMonitor(root, path="/here/", field="what", headers={"X-Own": "yes"}, send_as_json=as_json)])
    assert [entry[0] for entry in got] == ["/here/"] * 2 and [entry[2] for entry in got] == ["yes"] * 2
    for epoch, (_, kind, _, body) in enumerate(got):
        assert kind == ("application/json" if as_json else "application/x-www-form-urlencoded")
        sent = json.loads(body if as_json else urllib.parse.parse_qs(body)["what"][0])
        assert sent == {"epoch": epoch, **{name: values[epoch] for name, values in history.history.items()}}


def test_a_server_that_cannot_be_reached_is_a_warning():
    with pytest.warns(RuntimeWarning, match="Could not reach RemoteMonitor root server at http://127.0.0.1:9"):
        assert len(fit([RemoteMonitor("http://127.0.0.1:9", timeout=1)], epochs=1).epoch) == 1
