"""`keras.json` and `KERAS_BACKEND`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchkeras import backend as K
from torchkeras.backend import settings


def write(folder: Path, content: object) -> dict[str, str]:
    """Put a `keras.json` into a folder; the environment that names it."""
    (folder / "keras.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return {"KERAS_HOME": str(folder)}


def test_the_file_sets_epsilon_floatx_and_data_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings.apply_settings(write(tmp_path, {"epsilon": 1e-5, "floatx": "float64", "image_data_format": "channels_first", "backend": "torch"}))
    assert (K.epsilon(), K.floatx(), K.image_data_format()) == (1e-5, "float64", "channels_first")
    assert capsys.readouterr().err == ""


def test_keras_1_says_where_the_channels_are_in_its_own_word(tmp_path: Path):
    settings.apply_settings(write(tmp_path, {"image_dim_ordering": "th"}))
    assert K.image_data_format() == "channels_first"
    assert K.image_dim_ordering() == "th"


def test_the_newer_word_wins(tmp_path: Path):
    settings.apply_settings(write(tmp_path, {"image_data_format": "channels_last", "image_dim_ordering": "th"}))
    assert K.image_data_format() == "channels_last"


def test_another_backend_in_the_file_gives_one_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings.apply_settings(write(tmp_path, {"backend": "tensorflow"}))
    note = capsys.readouterr().err
    assert note.count("\n") == 1
    assert "'tensorflow'" in note
    assert str(tmp_path / "keras.json") in note


def test_the_environment_variable_goes_before_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings.apply_settings({**write(tmp_path, {"backend": "torch"}), "KERAS_BACKEND": "theano"})
    assert "KERAS_BACKEND asks for the backend 'theano'" in capsys.readouterr().err
    settings.apply_settings({**write(tmp_path, {"backend": "theano"}), "KERAS_BACKEND": "torch"})
    assert capsys.readouterr().err == ""


def test_no_file_leaves_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    settings.apply_settings({"KERAS_HOME": str(tmp_path / "nowhere")})
    assert (K.epsilon(), K.floatx(), K.image_data_format()) == (1e-7, "float32", "channels_last")
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "nowhere").exists()


def test_the_file_lies_in_the_home_folder_unless_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.config_path({}) == tmp_path / ".keras" / "keras.json"
    assert settings.config_path({"KERAS_HOME": "elsewhere"}) == Path("elsewhere/keras.json")


@pytest.mark.parametrize("content", ['{"epsilon": 1e-5', "", "[1, 2]", "\x00\x01"])
def test_a_damaged_file_gives_a_warning_that_names_it(tmp_path: Path, content: str):
    with pytest.warns(UserWarning, match="keras.json") as caught:
        settings.apply_settings(write(tmp_path, content))
    assert len(caught) == 1
    assert K.epsilon() == 1e-7


@pytest.mark.parametrize(
    ("key", "value"),
    [("epsilon", "small"), ("epsilon", -1), ("epsilon", True), ("floatx", "float8"), ("image_data_format", 3), ("image_dim_ordering", "tg")],
)
def test_a_wrong_value_gives_a_warning_and_leaves_the_default(tmp_path: Path, key: str, value: object):
    with pytest.warns(UserWarning, match=f"{key}.*keras.json"):
        settings.apply_settings(write(tmp_path, {key: value, "backend": "torch"}))
    assert (K.epsilon(), K.floatx(), K.image_data_format()) == (1e-7, "float32", "channels_last")


def test_the_settings_are_taken_when_the_backend_is_first_imported(tmp_path: Path):
    environment = {**os.environ, **write(tmp_path, {"epsilon": 0.25, "backend": "cntk"})}
    program = "from torchkeras import backend as K; import torchkeras.backend; print(K.epsilon(), K.backend())"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.25", "torch"]
    assert done.stderr.count("'cntk'") == 1
