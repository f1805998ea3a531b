"""Keras programs run unchanged: imports resolve, the release is told, errors say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import torchkeras
from torchkeras.porting import detect, install_as_keras, uninstall_as_keras
from torchkeras.porting.dataset import Dataset
from torchkeras.porting.tape import GradientTape

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples" / "ported").glob("*.py"))


@pytest.fixture
def as_keras():
    install_as_keras()
    yield
    uninstall_as_keras()


@pytest.mark.parametrize(
    ("source", "version", "why"),
    [
        ("from keras.layers import Dense\nDense(3, init='uniform')", "1.2.2", "init in line 2"),
        ("from keras.models import Sequential\nm.fit(x, y, nb_epoch=3)", "1.2.2", "nb_epoch in line 2"),
        ("from keras.layers import Merge", "1.2.2", "Merge in line 1"),
        ("from keras.layers import Conv2D\nConv2D(8, 3, 3)", "1.2.2", "rows, columns"),
        ("from keras.models import Model\nModel(input=a, output=b)", "1.2.2", "input in line 2"),
        ("from keras.layers import Embedding\nEmbedding(10, output_dim=3)", "2.2.4", "keras.layers in line 1"),
        ("import keras\nkeras.layers.Conv2D(8, (3, 3))", "2.2.4", "no words of Keras 1"),
        ("import tensorflow as tf\ntf.keras.Sequential()", "2.4.0", "tensorflow in line 1"),
        ("from tensorflow.keras import layers", "2.4.0", "tensorflow.keras in line 1"),
        ("import torch", None, "no Keras"),
    ],
)
def test_the_release_is_told_by_imports_and_words(source: str, version: str | None, why: str):
    found = detect(source)
    assert found.version == version
    assert why in found.why


def test_keras_means_torchkeras(as_keras):
    import keras
    import tensorflow as tf
    from keras import backend as K
    from keras.engine.topology import Layer, Merge
    from keras.layers.core import Dense, Highway
    from tensorflow.keras.layers import Dense as Other
    from tensorflow.python.keras import layers

    assert Dense is Other is torchkeras.layers.Dense is layers.Dense
    assert issubclass(Highway, Layer)
    assert issubclass(Merge, Layer)
    assert K is torchkeras.backend
    assert keras.__version__ == tf.keras.__version__ == torchkeras.keras_version()
    assert torchkeras.layers.__spec__.name == "torchkeras.layers"


def test_uninstalling_takes_the_names_away(as_keras):
    import keras

    assert keras.Model is torchkeras.Model
    uninstall_as_keras()
    assert "keras" not in sys.modules
    assert "tensorflow" not in sys.modules


def test_what_is_not_there_names_the_nearest(as_keras):
    import tensorflow as tf

    with pytest.raises(AttributeError, match=r"tensorflow.cummax .*torch.cummax"):
        tf.cummax  # noqa: B018
    with pytest.raises(AttributeError, match="torchvision"):
        tf.image  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match=r"keras\.layerz"):
        import keras.layerz  # noqa: F401
    from keras.models import Graph

    with pytest.raises(NotImplementedError, match="dropped the Graph model"):
        Graph()


def test_functions_of_tensorflow_are_torch_s(as_keras):
    import tensorflow as tf

    x = tf.constant([[1.0, 4.0]])
    assert float(tf.reduce_mean(tf.square(x))) == 8.5
    assert tf.cast(x, tf.int32).dtype == torch.int32
    assert float(tf.nn.softmax(x).sum()) == pytest.approx(1.0)
    assert tf.argmax(x, axis=1).tolist() == [1]
    tf.random.set_seed(3)
    first = tf.random.normal((2,))
    tf.random.set_seed(3)
    assert torch.equal(first, tf.random.normal((2,)))


def test_a_tape_gives_gradients_in_keras_layout():
    layer = torchkeras.layers.Dense(3)
    x = torch.ones(2, 4)
    layer(x)
    with GradientTape() as tape:
        loss = layer(x).sum()
    kernel, bias = tape.gradient(loss, layer.trainable_weights)
    assert torch.equal(kernel, torch.full((4, 3), 2.0))
    assert torch.equal(bias, torch.full((3,), 2.0))
    with pytest.raises(RuntimeError, match="persistent=True"):
        tape.gradient(loss, layer.trainable_weights)


def test_a_dataset_batches_shuffles_and_repeats():
    data = Dataset.from_tensor_slices((np.arange(5), np.arange(5) * 2)).shuffle(5, seed=1).batch(2)
    batches = list(data)
    assert len(data) == len(batches) == 3
    assert sorted(np.concatenate([x for x, _ in batches])) == [0, 1, 2, 3, 4]
    assert all((y == 2 * x).all() for x, y in batches)
    assert len(data.repeat(2)) == 6
    assert [x.tolist() for x in Dataset.from_tensor_slices(np.arange(3)).map(lambda x: x + 1).batch(3)] == [[1, 2, 3]]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "torchkeras", "run", *words], capture_output=True, text=True, cwd=ROOT)


def test_the_runner_passes_the_command_line_on(tmp_path):
    script = tmp_path / "program.py"
    script.write_text("import sys, keras\nfrom keras.layers import Dense\nprint(keras.__version__, sys.argv[1:], Dense.__module__)\n")
    done = run(str(script), "--flag", "3")
    assert done.stdout == "2.2.4 ['--flag', '3'] torchkeras.layers.core\n"
    assert "torchkeras: program.py as Keras 2.2.4 (it imports keras in line 1" in done.stderr
    assert run("--keras", "1.2.2", str(script)).stdout.startswith("1.2.2 []")


def test_the_runner_says_that_there_is_no_script():
    done = run("nowhere.py")
    assert done.returncode == 2
    assert "there is no script 'nowhere.py'" in done.stderr
