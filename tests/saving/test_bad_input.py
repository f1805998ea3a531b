"""Files that cannot be loaded: the error says what is wrong and what to do, and the model in memory is as it was."""

from __future__ import annotations

import builtins
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.golden_cases import GOLDEN
from tests.saving import attacks
from torchkeras import Sequential, layers
from torchkeras.models import load_model, model_from_json
from torchkeras.saving.errors import ConfigError, ContentError, DamagedFileError, FileError, FolderError, MissingFileError, NoPermissionError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model() -> Sequential:
    return attacks.model()


def state(model):
    arguments = model._compile_arguments
    return [*model.get_weights(), *model.optimizer.get_weights()], arguments, model.stop_training, model.metrics_names


def refuses(path, model, match, error=FileError, weights_match=None, whole=True):
    """`load_model` and `load_weights` both say `match`; the model keeps its weights, its optimizer, what it was compiled with, and trains on."""
    arrays, arguments, *rest = state(model)
    if whole:
        with pytest.raises(error, match=match):
            load_model(path)
    for by_name in (False, True):
        with pytest.raises(error, match=weights_match or match):
            model.load_weights(path, by_name=by_name)
    after, arguments_after, *rest_after = state(model)
    assert arguments_after is arguments and rest_after == rest
    for one, two in zip(arrays, after, strict=True):
        np.testing.assert_array_equal(one, two)
    model.fit(np.ones((4, 4), np.float32), np.ones((4, 2), np.float32), verbose=0)


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_truncated_file_says_so(tmp_path, model, ending, part):
    path = tmp_path / f"a.{ending}"
    model.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    refuses(path, model, r"cut short or damaged \([\d,]+ bytes long\)|it begins with", DamagedFileError)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "it begins with b'hello, t'"),
        (b"<!DOCTYPE html><html>404", "a web page or XML text; perhaps a download went wrong"),
        (b'{"class_name": "Sequential"}', "a JSON text; model_from_json reads an architecture without weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer; fetch the file itself"),
        (b"\x1f\x8b" + bytes(30), "a gzip file"),
        (b"\x93NUMPY\x01\x00" + bytes(80), r"a numpy array \(\.npy\)"),
        (b'model_checkpoint_path: "c"\n', "TensorFlow's list of checkpoints"),
    ],
    ids=["empty", "text", "html", "json", "lfs", "gzip", "npy", "checkpoint"],
)
def test_what_is_no_model_file_is_recognized(tmp_path, model, content, what):
    (tmp_path / "a.h5").write_bytes(content)
    refuses(tmp_path / "a.h5", model, f"cannot be read as an HDF5 file: .*{what}", DamagedFileError)


def test_hdf5_of_something_else_says_what_it_holds(tmp_path, model):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["temperature"] = np.zeros(3)
    refuses(tmp_path / "a.h5", model, "no attribute 'model_config'; it holds no model of Keras|Its members are: temperature", ContentError)


def test_a_file_of_weights_is_no_model(tmp_path, model):
    model.save_weights(tmp_path / "a.h5")
    with pytest.raises(ContentError, match=r"it holds weights only: build the model in your program, then model\.load_weights\(file\)"):
        load_model(tmp_path / "a.h5")


def other(*sizes, names=("first", "second", "third")):
    made = Sequential(name="other")
    for number, size in enumerate(sizes):
        made.add(layers.Dense(size, name=names[number], **({"input_shape": (4,)} if not number else {})))
    return made


@pytest.mark.parametrize("ending", ["h5", "keras", "weights.h5"])
def test_another_architecture_names_the_layer_and_both_shapes(tmp_path, model, ending):
    path = tmp_path / f"a.{ending}"
    wide = other(5, 2)
    (wide.save_weights if ending == "weights.h5" else wide.save)(path)
    match = r"weight 'first/kernel:0' of layer 'first' has the shape \(4, 3\), but the file has one of shape \(4, 5\) for it"
    if ending == "keras":
        with pytest.raises(ContentError, match=match):
            model.load_weights(path)
    else:
        refuses(path, model, match, ContentError, whole=False)


def test_a_layer_that_fits_is_not_written_where_a_later_one_does_not(tmp_path, model):
    other(3, 7).save_weights(tmp_path / "a.h5")
    refuses(tmp_path / "a.h5", model, r"'second/kernel:0' of layer 'second' has the shape \(3, 2\).* \(3, 7\)", ContentError, whole=False)
    with pytest.warns(UserWarning, match=r"Skipping the weights of a layer that do not fit: weight 'second/kernel:0'"):
        model.load_weights(tmp_path / "a.h5", by_name=True, skip_mismatch=True)


def test_missing_layers_and_extra_layers_are_named(tmp_path, model):
    other(3).save_weights(tmp_path / "few.h5")
    other(3, 2, 4).save_weights(tmp_path / "many.h5")
    for file, count, named in (("few", 1, "first"), ("many", 3, "first, second, third")):
        match = rf"weights for {count} layers \({named}\), but model 'sound' has 2 layers with weights \(first, second\).*by_name=True"
        with pytest.raises(ContentError, match=match):
            model.load_weights(tmp_path / f"{file}.h5")
    model.load_weights(tmp_path / "many.h5", by_name=True)


def test_missing_layers_and_extra_layers_of_keras_3_are_named(tmp_path, model):
    other(3).save(tmp_path / "few.keras")
    other(3, 2, 4).save(tmp_path / "many.keras")
    with pytest.raises(ContentError, match=r"layer 'second' has 2 weights \(second/kernel:0, second/bias:0\), but the file has 0 for it"):
        model.load_weights(tmp_path / "few.keras")
    with pytest.raises(ContentError, match=r"has weights for 'dense_2', which model 'sound' has no layers for.*skip_mismatch=True"):
        model.load_weights(tmp_path / "many.keras")


def without(place):
    def change(file: h5py.File) -> None:
        del file[place]

    return change


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ("model_weights", "without weights of Keras: it has neither 'layer_names' nor a group 'model_weights'"),
        ("model_weights/first", "nothing is called 'first' in /model_weights. Its members are: second"),
        ("model_weights/first/first/bias:0", r"nothing is called 'first/bias:0' in /model_weights/first\. Its members are: first"),
    ],
)
def test_a_missing_weight_is_named(tmp_path, model, place, match):
    refuses(attacks.hdf5(tmp_path / "a.h5", without(place)), model, match, ContentError)


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ("layers/dense/vars/1", r"layer 'first' has 2 weights .*, but the file has 1 for it"),
        ("layers/dense", r"layer 'first' has 2 weights .*, but the file has 0 for it"),
        ("layers", r"layer 'first' has 2 weights .*, but the file has 0 for it"),
    ],
)
def test_a_missing_weight_of_keras_3_is_named(tmp_path, model, place, match):
    path = attacks.archive_weights(tmp_path / "a.keras", without(place))
    with pytest.raises(ContentError, match=match):
        load_model(path)
    with pytest.raises(ContentError, match=match + "|without weights of Keras"):
        model.load_weights(path)


def test_an_unknown_layer_is_named_and_can_be_given(tmp_path):
    class Twice(layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    made = Sequential([layers.Dense(2, input_shape=(3,)), Twice(name="mine")])
    for ending in ("h5", "keras"):
        made.save(tmp_path / f"a.{ending}")
        with pytest.raises(ConfigError, match=r"Twice.*custom_objects=\{'Twice': (Twice|\.\.\.)\}"):
            load_model(tmp_path / f"a.{ending}")
        assert type(load_model(tmp_path / f"a.{ending}", {"Twice": Twice}, compile=False).layers[-1]) is Twice


@pytest.mark.parametrize("version", ["4.0.0", "17", "4.1.0-tf"])
def test_a_version_of_the_future_is_refused(tmp_path, model, version):
    said = rf"was written by Keras {re.escape(version)}, which is newer than this library knows"

    def change(file: h5py.File) -> None:
        file.attrs["keras_version"] = version

    with pytest.raises(ContentError, match=said):
        load_model(attacks.hdf5(tmp_path / "a.h5", change))
    path = attacks.archive(tmp_path / "a.keras", lambda members: members.update({"metadata.json": json.dumps({"keras_version": version}).encode()}))
    with pytest.raises(ContentError, match=said):
        load_model(path)
    with pytest.raises(ContentError, match=said):
        model_from_json(json.dumps({**json.loads(model.to_json()), "keras_version": version}))


def test_folders_say_what_they_are(tmp_path, model):
    refuses(tmp_path, model, "is a folder. Give the file in it", FolderError)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    lines = (
        r"is a TensorFlow SavedModel folder\. Turn it into an \.h5 file .*tf\.keras\.models\.load_model\('.*'\)`, then `model\.save\('model\.h5'\)"
    )
    refuses(tmp_path, model, lines, FolderError)


def test_checkpoints_of_tensorflow_say_how_they_become_hdf5(tmp_path, model):
    for name in ("weights.index", "weights.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"x")
    prefix = re.escape(str(tmp_path / "weights"))
    lines = rf"TensorFlow checkpoints?\. Turn it into an \.h5 file .*`model\.load_weights\('{prefix}'\)`, then `model\.save_weights\('weights\.h5'\)`"
    for path in (tmp_path, tmp_path / "weights", tmp_path / "weights.index", tmp_path / "weights.data-00000-of-00001"):
        refuses(path, model, lines, FileError)


def test_a_missing_file_and_a_missing_folder_are_told_apart(tmp_path, model):
    refuses(tmp_path / "a.h5", model, "There is no file '.*a.h5'", MissingFileError)
    refuses(tmp_path / "no" / "a.h5", model, "the folder '.*no' does not exist", MissingFileError)
    refuses("a\0.h5", model, "There is no file", MissingFileError)
    with pytest.raises(OSError, match="There is no file"):  # what programs of Keras catch
        load_model(tmp_path / "a.h5")


def test_pipes_and_devices_are_not_read(tmp_path, model):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        refuses(path, model, "is a device or a pipe, not a regular file")


def test_no_permission_is_told(tmp_path, model):
    """In a process of another user, since root may read everything."""
    program = """
import os, sys
from torchkeras.models import load_model
from torchkeras.saving.errors import NoPermissionError
from tests.saving import attacks
model = attacks.model()
before = model.get_weights()
os.seteuid(65534)
for path in sys.argv[1:]:
    for call in (load_model, model.load_weights):
        try:
            call(path)
        except NoPermissionError as error:
            print("told:", error)
assert all((one == two).all() for one, two in zip(before, model.get_weights()))
"""
    path, hidden = tmp_path / "a.h5", tmp_path / "hidden"
    hidden.mkdir()
    for file in (path, hidden / "b.h5"):
        model.save(file)
    os.chmod(path, 0)
    os.chmod(hidden, 0)
    if os.geteuid() != 0:  # an ordinary user needs no other one
        with pytest.raises(NoPermissionError, match="No permission to read"):
            load_model(path)
        os.chmod(hidden, 0o700)
        return
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):  # the way there is open
        os.chmod(folder, 0o755)
    done = subprocess.run([sys.executable, "-c", program, path, hidden / "b.h5"], capture_output=True, text=True, cwd=ROOT)
    os.chmod(hidden, 0o700)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("told: No permission to read") == 4, done.stdout


def test_a_read_that_fails_is_told(model, tmp_path, monkeypatch):
    """Such as from a disk that is going, or a share that is gone."""
    path = tmp_path / "a.keras"
    model.save(path)
    opened = builtins.open

    def broken(file, *args, **kwargs):
        if str(file) == str(path):
            raise OSError(5, "Input/output error", str(file))
        return opened(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", broken)
    before = model.get_weights()
    for call in (load_model, model.load_weights):
        with pytest.raises(OSError, match="Input/output error"):
            call(path)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_weights_of_keras_3_are_not_matched_by_name():
    path = GOLDEN / "keras-3.15.1" / "saved" / "mlp.weights.h5"
    with pytest.raises(ValueError, match="names no layers: load it with by_name=False"):
        load_model(path.with_name("mlp.keras")).load_weights(path, by_name=True)


def test_a_model_without_weights_has_no_place_for_them(tmp_path, model):
    model.save_weights(tmp_path / "a.h5")
    with pytest.raises(ValueError, match=r"has no weights yet: call it on data, or give its first layer an input_shape, before loading them"):
        Sequential([layers.Dense(3)]).load_weights(tmp_path / "a.h5")
