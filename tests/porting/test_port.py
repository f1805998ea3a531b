"""The codemod: imports and Keras 1 words, layout kept, twice the same, and the result runs with the same numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.porting.test_examples import EXPECTED, ROOT, numbers
from torchkeras.cli.main import main
from torchkeras.porting.rewrite import port_source

pytest.importorskip("libcst")

BEFORE = '''"""A program."""
from __future__ import print_function
# the layers
from keras.layers import Convolution2D, Dense, LSTM  # three
from keras.engine.topology import Layer
import keras.backend as K
import keras

model.add(Convolution2D(8, 3, 3,  border_mode='same', dim_ordering="th"))
model.add(Dense(output_dim=4, init='zero', bias=False))  # last
model.add(LSTM(3, inner_init='one', dropout_W=0.1))
model.fit(x, y, nb_epoch=3)
model.fit_generator(g, samples_per_epoch=10, nb_epoch=3)
'''
AFTER = '''"""A program."""
from __future__ import print_function

import torchkeras

torchkeras.set_keras_version("1.2.2")
# the layers
from torchkeras.layers import Convolution2D, Dense, LSTM  # three
from torchkeras.layers import Layer
import torchkeras.backend as K
import torchkeras as keras

model.add(Convolution2D(8, (3, 3),  padding='same', data_format="channels_first"))
model.add(Dense(units=4, kernel_initializer="zeros", use_bias=False))  # last
model.add(LSTM(3, recurrent_initializer="ones", dropout=0.1))
model.fit(x, y, epochs=3)
model.fit_generator(g, samples_per_epoch=10, epochs=3)
'''


def test_imports_and_words_change_and_the_rest_stays():
    ported = port_source(BEFORE)
    assert ported.source == AFTER
    assert ("Convolution2D: nb_row, nb_col -> kernel_size") in [note.text for note in ported.notes if note.line == 9]
    (left,) = [note for note in ported.notes if not note.done]
    assert left.line == 13
    assert "samples_per_epoch counts samples" in left.text


def test_a_second_time_changes_nothing():
    once = port_source(BEFORE).source
    assert port_source(once).source == once


def test_the_target_tf2_keeps_tensorflow():
    ported = port_source("from keras.layers import Dense\nDense(output_dim=3)\n", "tf2")
    assert ported.source == "from tensorflow.keras.layers import Dense\nDense(units=3)\n"


@pytest.mark.parametrize("name", ["keras1_mlp", "keras1_merge", "keras2_lstm", "keras2_functional"])
def test_the_rewritten_program_gives_the_same_numbers(name: str, tmp_path: Path):
    program = tmp_path / f"{name}.py"
    shutil.copy(ROOT / "examples" / "ported" / f"{name}.py", program)
    assert main(["port", "--write", str(program)]) == 0
    assert "from keras" not in program.read_text()
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    wanted = json.loads((EXPECTED / f"{name}.json").read_text())
    np.testing.assert_allclose(numbers(json.loads(done.stdout)), numbers(wanted), atol=1e-5)


def test_a_syntax_error_leaves_that_file_alone_and_does_the_others(tmp_path: Path, capsys):
    bad, good = tmp_path / "a.py", tmp_path / "b.py"
    bad.write_text("from keras import (")
    good.write_text("import keras\n")
    assert main(["port", "--write", str(tmp_path)]) == 1
    assert bad.read_text() == "from keras import ("
    assert "import torchkeras as keras" in good.read_text()
    assert "a.py: left as it is" in capsys.readouterr().err


def test_without_write_nothing_is_written(tmp_path: Path, capsys):
    program = tmp_path / "a.py"
    program.write_text("import keras\n")
    assert main(["port", "--diff", str(program)]) == 0
    assert program.read_text() == "import keras\n"
    assert "+import torchkeras as keras" in capsys.readouterr().out


TENSORFLOW = '''"""A program."""
import numpy as np
# the net
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

tf.random.set_seed(3)
model = tf.keras.Sequential([tf.keras.layers.Dense(3), layers.Dense(2)])
loss = keras.losses.MeanSquaredError()
image = tf.image.resize(np.zeros((3, 3, 1)), (2, 2))  # not here
'''
WITHOUT = '''"""A program."""

import torchkeras

torchkeras.set_keras_version("2.4.0")
import numpy as np
# the net
from torchkeras.porting import tensorflow as tf
import torchkeras as keras
from torchkeras import layers

tf.random.set_seed(3)
model = torchkeras.Sequential([torchkeras.layers.Dense(3), layers.Dense(2)])
loss = keras.losses.MeanSquaredError()
image = tf.image.resize(np.zeros((3, 3, 1)), (2, 2))  # not here
'''


def test_tf_keras_becomes_torchkeras_and_the_rest_is_reported():
    ported = port_source(TENSORFLOW)
    assert ported.source == WITHOUT
    assert port_source(WITHOUT).source == WITHOUT
    (left,) = [note for note in ported.notes if not note.done]
    assert (left.line, left.text) == (11, "tf.image.resize is not in torchkeras. In torch: torchvision.transforms.")
    assert [note.text for note in ported.notes if note.line == 9] == ["tf.keras -> torchkeras"] * 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import tensorflow as tf\n\nm = tf.keras.Model\n", "\nm = torchkeras.Model\n"),
        ("x = 1\n# why\nimport tensorflow as tf\nm = tf.python.keras.Model\n", "x = 1\n# why\nimport torchkeras\nm = torchkeras.Model\n"),
        ("import tensorflow\nx = tensorflow.constant(1)\n", "from torchkeras.porting import tensorflow\nx = tensorflow.constant(1)\n"),
        ("from tensorflow import keras as k\nk.Model\n", "import torchkeras as k\nk.Model\n"),
        ("import tensorflow.keras.backend as K\nK.sum\n", "import torchkeras.backend as K\nK.sum\n"),
        ("from tensorflow.keras.mixed_precision import experimental\n", "from torchkeras.mixed_precision import experimental\n"),
        ("from keras.layers.core import Dense, Merge\n", "from torchkeras.layers.core import Dense, Merge\n"),
        ("from keras.engine import Layer, InputSpec\n", "from torchkeras.layers import Layer, InputSpec\n"),
        ("from keras.engine.topology import Container, Layer\n", "from torchkeras.engine.topology import Container, Layer\n"),
        ("from keras.legacy import interfaces\n", "from torchkeras.legacy import interfaces\n"),
        ("from keras.utils.visualize_util import plot\n", "from torchkeras.utils.vis_utils import plot\n"),
        ("from keras.utils.np_utils import to_categorical\n", "from torchkeras.utils.np_utils import to_categorical\n"),
    ],
)
def test_each_kind_of_import_is_rewritten(before: str, after: str):
    ported = port_source(before)
    assert ported.source.partition('")\n')[2] == after
    assert port_source(ported.source).source == ported.source


def test_a_rewritten_program_of_tf_keras_gives_the_same_numbers(tmp_path: Path):
    program = tmp_path / "tf_keras.py"
    shutil.copy(ROOT / "examples" / "ported" / "tf_keras.py", program)
    assert main(["port", "--write", str(program)]) == 0
    assert "import tensorflow as tf" in program.read_text()
    assert "tf.keras." not in program.read_text()
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    wanted = json.loads((EXPECTED / "tf_keras.json").read_text())
    np.testing.assert_allclose(numbers(json.loads(done.stdout)), numbers(wanted), atol=1e-5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import keras\n", "import tensorflow.keras as keras\n"),
        ("from keras import backend as K\n", "from tensorflow.keras import backend as K\n"),
        ("from keras.engine.topology import Layer\n", "from tensorflow.keras.layers import Layer\n"),
        ("from keras.layers.core import Dense\n", "from tensorflow.keras.layers import Dense\n"),
        ("from keras.utils.np_utils import to_categorical\n", "from tensorflow.keras.utils import to_categorical\n"),
        ("from keras.utils import np_utils\n", "from tensorflow.keras import utils as np_utils\n"),
        ("from keras.objectives import mse\n", "from tensorflow.keras.losses import mse\n"),
        ("model.fit(x, nb_epoch=2)\n", "model.fit(x, epochs=2)\n"),
    ],
)
def test_the_target_tf2_has_its_public_paths(before: str, after: str):
    ported = port_source(before, "tf2")
    assert ported.source == after
    assert port_source(after, "tf2").source == after


def test_the_target_tf2_reports_what_tf_keras_lacks():
    ported = port_source("from keras.layers import Dense, Merge\nMerge([])\n", "tf2")
    (left,) = [note for note in ported.notes if not note.done]
    assert left.text == "tf.keras has no Merge: it was dropped after Keras 1"


def test_another_target_is_refused():
    with pytest.raises(ValueError, match=r"target must be one of \['tf2', 'torchkeras'\], but got 'jax'"):
        port_source("", "jax")
