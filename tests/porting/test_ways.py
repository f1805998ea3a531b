"""The ways to run a Keras program: as a module, in a notebook, under pytest; and TensorFlow's functions that such programs call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import torchkeras
from torchkeras.porting import tensorflow as tf
from torchkeras.porting.dataset import Dataset

ROOT = Path(__file__).parent.parent.parent


def test_a_module_is_run_with_its_arguments(tmp_path: Path):
    package = tmp_path / "program"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys\nimport keras\nfrom program.part import size\nprint(keras.__version__, sys.argv[1:], size)\n")
    (package / "part.py").write_text("from keras.layers import Dense\nsize = Dense(3).units\n")
    command = [sys.executable, "-m", "torchkeras", "run", "-m", "program", "--epochs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == "2.2.4 ['--epochs', '2'] 3", done.stderr


def test_a_notebook_loads_the_extension():
    torchkeras.load_ipython_extension(None)
    try:
        import keras

        assert keras.layers.Dense is torchkeras.layers.Dense
    finally:
        torchkeras.unload_ipython_extension(None)
    assert "keras" not in sys.modules


def test_pytest_runs_tests_of_a_keras_program(tmp_path: Path):
    (tmp_path / "conftest.py").write_text("import torchkeras\n\ntorchkeras.install_as_keras('2.2.4')\n")
    (tmp_path / "test_program.py").write_text(
        "from keras.models import Sequential\n\n\ndef test_it():\n    assert Sequential().name == 'sequential_1'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert "1 passed" in done.stdout, done.stdout


def test_functions_of_tensorflow_have_their_meaning():
    assert tf.range(3).tolist() == [0, 1, 2]
    assert tf.range(1.0, 2.0, 0.5).tolist() == [1.0, 1.5]
    assert tf.gather(np.arange(6).reshape(2, 3), [2, 0], axis=1).tolist() == [[2, 0], [5, 3]]
    assert [part.tolist() for part in tf.split(torch.arange(4), 2)] == [[0, 1], [2, 3]]
    assert [part.tolist() for part in tf.split(torch.arange(4), [1, 3])] == [[0], [1, 2, 3]]
    assert [part.tolist() for part in tf.unstack(torch.eye(2))] == [[1.0, 0.0], [0.0, 1.0]]
    assert float(tf.norm(torch.tensor([3.0, 4.0]))) == 5.0
    assert tf.fill([2], 7).tolist() == [7, 7]
    assert tf.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tf.linspace(0.0, 1.0, 3).tolist() == [0.0, 0.5, 1.0]
    assert tf.function(len) is len
    assert tf.function(jit_compile=True)(len) is len
    assert tf.nn.relu.__name__ == "relu"
    assert tf.keras is torchkeras
    assert tf.__version__ == "2.3.1"
    assert sorted(tf.random.shuffle(torch.arange(5), seed=1).tolist()) == [0, 1, 2, 3, 4]
    assert tf.config.list_physical_devices("CPU")[0].device_type == "CPU"
    with pytest.raises(AttributeError, match=r"tensorflow\.image is not in torchkeras. In torch: torchvision\.transforms"):
        _ = tf.image


def test_sessions_hold_settings_and_run_nothing():
    settings = tf.ConfigProto(allow_soft_placement=True)
    settings.gpu_options.allow_growth = True
    assert settings.gpu_options.allow_growth
    with tf.compat.v1.Session(config=settings) as session, pytest.raises(RuntimeError, match=r"Session\.run\(\) has no meaning here"):
        session.run([])


def test_a_data_set_is_windowed_joined_and_filtered():
    windows = Dataset.range(5).window(3, shift=1, drop_remainder=True).flat_map(lambda part: part.batch(3))
    assert [window.tolist() for window in windows] == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert [int(one) for one in Dataset.range(6).filter(lambda x: x % 2 == 0)] == [0, 2, 4]
    assert [int(one) for one in Dataset.range(2).concatenate(Dataset.range(5, 6))] == [0, 1, 5]
    assert [(int(a), int(b)) for a, b in Dataset.zip((Dataset.range(3), Dataset.range(2)))] == [(0, 0), (1, 1)]
    assert [int(one) for one in Dataset.range(4).batch(3).unbatch()] == [0, 1, 2, 3]
    assert [(number, int(one)) for number, one in Dataset.range(4, 6).enumerate(1)] == [(1, 4), (2, 5)]
    assert (Dataset.range(4).cardinality(), Dataset.range(4).filter(bool).cardinality()) == (4, -2)
