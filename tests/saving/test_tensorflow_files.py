"""SavedModel folders and checkpoints of TensorFlow: the lines that the error gives, run by tf.keras 2.4.0, make a file that is read here."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.saving.referees import interpreter
from torchkeras import Sequential, layers
from torchkeras.models import load_model
from torchkeras.saving.errors import FileError

MAKE = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
def build():
    model = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="tanh", input_shape=(4,)), tf.keras.layers.Dense(2)])
    model.compile("adam", "mse")
    return model
x = np.linspace(-1, 1, 24).reshape(6, 4).astype("float32")
"""
WRITE = """
model = build()
model.fit(x, np.ones((6, 2)), verbose=0)
model.save("saved", save_format="tf")
model.save_weights("checkpoints/weights", save_format="tf")
print(json.dumps(model.predict(x).tolist()))
"""
X = np.linspace(-1, 1, 24).reshape(6, 4).astype("float32")


def run(program: str, folder: Path) -> str:
    done = subprocess.run([interpreter("2.4.0"), "-c", MAKE + program], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def lines_of(error: BaseException) -> str:
    """The two lines of TensorFlow in a message."""
    found = re.findall(r"`([^`]+)`", str(error))
    assert len(found) == 2
    return "\n".join(found)


@pytest.mark.referee
def test_the_lines_of_the_error_turn_tensorflow_files_into_hdf5(tmp_path):
    expected = np.array(json.loads(run(WRITE, tmp_path).splitlines()[-1]), np.float32)

    with pytest.raises(FileError, match="is a TensorFlow SavedModel folder") as told:
        load_model(tmp_path / "saved")
    run(lines_of(told.value), tmp_path)
    model = load_model(tmp_path / "model.h5")
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-6)
    assert type(model.optimizer).__name__ == "Adam"  # TensorFlow itself leaves its state behind

    for path in (tmp_path / "checkpoints", tmp_path / "checkpoints" / "weights", tmp_path / "checkpoints" / "weights.index"):
        (tmp_path / "weights.h5").unlink(missing_ok=True)
        again = Sequential([layers.Dense(5, activation="tanh", input_shape=(4,)), layers.Dense(2)])
        with pytest.raises(FileError, match="TensorFlow checkpoint") as told:
            again.load_weights(path)
        run("model = build()\n" + lines_of(told.value), tmp_path)
        again.load_weights(tmp_path / "weights.h5")
        np.testing.assert_allclose(again.predict(X), expected, rtol=1e-5, atol=1e-6)


def test_the_lines_are_two_and_name_the_path(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(FileError, match="SavedModel") as told:
        load_model(tmp_path)
    assert lines_of(told.value) == f"model = tf.keras.models.load_model({str(tmp_path)!r})\nmodel.save('model.h5')"
