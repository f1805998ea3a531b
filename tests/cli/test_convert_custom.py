"""`python -m torchkeras convert --custom-objects`: classes of the user's, named on the command line."""

from __future__ import annotations

import numpy as np
import pytest

from torchkeras import layers
from torchkeras.cli.main import main
from torchkeras.models import Sequential, load_model
from torchkeras.registry import get_custom_objects

MODULE = "own_layers_of_this_test"
TEXT = """
from torchkeras import layers


class Twice(layers.Layer):
    def call(self, inputs):
        return 2 * inputs
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    return __import__(MODULE).Twice


def test_a_class_of_one_s_own_is_converted(own, tmp_path):
    model = Sequential([layers.Dense(2, input_shape=(3,)), own()])
    model.compile("sgd", "mse")
    model.save(tmp_path / "in.h5")
    files = [str(tmp_path / "in.h5"), str(tmp_path / "out.keras")]
    assert main(["convert", *files]) == 1
    assert not (tmp_path / "out.keras").exists()
    assert main(["convert", *files, "--custom-objects", f"{MODULE}:Twice"]) == 0
    assert "Twice" not in get_custom_objects()
    x = np.ones((2, 3), "float32")
    again = load_model(tmp_path / "out.keras", custom_objects={"Twice": own})
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODULE, "takes MODULE:NAME or MODULE:NAME,NAME"),
        (f"{MODULE}:", "takes MODULE:NAME"),
        (f"{MODULE}:Twice,Thrice", f"module '{MODULE}' has no 'Thrice'. Did you mean 'Twice'"),
        ("no_such_module_here:A", "No module named 'no_such_module_here'"),
    ],
)
def test_what_cannot_be_found_is_told(own, tmp_path, capsys, text, message):
    assert main(["convert", str(tmp_path / "in.h5"), str(tmp_path / "out.h5"), "--custom-objects", text]) == 1
    assert message in capsys.readouterr().err
