"""`python -m torchkeras convert`: every kind of file into every other, and what cannot be had."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
import torch

from tests.golden_cases import GOLDEN
from tests.saving import attacks
from torchkeras import layers
from torchkeras.cli import main
from torchkeras.cli.convert import read_shape
from torchkeras.cli.converting import convert
from torchkeras.layers import Dense
from torchkeras.models import Sequential, load_model
from torchkeras.saving.errors import ContentError, UnsafeConfigError

WHOLE = (".h5", ".keras", ".pt", ".safetensors")


def data(number=8):
    generator = np.random.default_rng(0)
    return generator.random((number, 5, 5, 2), "float32"), generator.random((number, 4), "float32")


def trained():
    model = Sequential(
        [layers.Conv2D(3, 2, activation="relu", input_shape=(5, 5, 2)), layers.BatchNormalization(), layers.Flatten(), Dense(4)], name="net"
    )
    model.compile("adam", "mse")
    model.fit(*data(), epochs=1, verbose=0)
    return model


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    model = trained()
    for ending in WHOLE:
        model.save(folder / f"model{ending}")
    for ending in (".h5", ".pt", ".safetensors"):
        model.save_weights(folder / f"weights{ending}")
    (folder / "model.json").write_text(model.to_json())
    return folder, model


@pytest.mark.parametrize("source", WHOLE)
@pytest.mark.parametrize("target", WHOLE)
def test_whole_models_go_everywhere(source, target, sources, tmp_path, recwarn):
    folder, model = sources
    words = convert(str(folder / f"model{source}"), str(tmp_path / f"out{target}"))
    assert "Sequential 'net', 4 layers, 235 numbers in 8 weights" in words
    again = load_model(tmp_path / f"out{target}")
    np.testing.assert_allclose(again.predict(data()[0]), model.predict(data()[0]), rtol=1e-6, atol=1e-7)
    assert again.loss == "mse"
    if ".safetensors" not in (source, target):
        again.fit(*data(), epochs=1, verbose=0)
        assert int(again.optimizer.iterations) == 2


@pytest.mark.parametrize("source", ["weights.h5", "weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("config", ["model.json", "model.h5", "model.keras"])
def test_weights_and_an_architecture_make_a_model(source, config, sources, tmp_path):
    folder, model = sources
    convert(str(folder / source), str(tmp_path / "out.h5"), config=str(folder / config))
    with pytest.warns(UserWarning, match="not compiled"):
        again = load_model(tmp_path / "out.h5")
    assert np.array_equal(again.predict(data()[0]), model.predict(data()[0]))


@pytest.mark.parametrize("target", ["out.h5", "out.weights.h5", "out.pt", "out.safetensors"])
def test_weights_alone_are_written(target, sources, tmp_path):
    folder, model = sources
    convert(str(folder / "model.keras"), str(tmp_path / target), weights_only=True)
    again = trained()
    again.load_weights(tmp_path / target)
    assert all(np.array_equal(one, two) for one, two in zip(again.get_weights(), model.get_weights(), strict=True))
    with pytest.raises((ContentError, ValueError), match=r"weights only|no attribute 'model_config'"):
        load_model(tmp_path / target)


def test_state_dicts_change_their_container_without_an_architecture(sources, tmp_path):
    folder, model = sources
    convert(str(folder / "weights.pt"), str(tmp_path / "a.safetensors"))
    words = convert(str(tmp_path / "a.safetensors"), str(tmp_path / "b.pt"))
    assert "8 tensors, 235 numbers" in words
    state = torch.load(tmp_path / "b.pt", weights_only=True)
    assert set(state) == set(model.state_dict()) and all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_state_dicts_have_torch_s_layouts_under_readable_names(tmp_path):
    convert(str(GOLDEN / "keras-2.2.4" / "saved" / "cnn.h5"), str(tmp_path / "cnn.pt"))
    state = torch.load(tmp_path / "cnn.pt", weights_only=True)
    model = load_model(GOLDEN / "keras-2.2.4" / "saved" / "cnn.h5")
    first = next(layer for layer in model.layers if hasattr(layer, "kernel_size"))
    kernel = first.get_weights()[0]
    np.testing.assert_array_equal(state[f"{first.name}.weight"], kernel.transpose(3, 2, 0, 1))


@pytest.mark.parametrize("folder", ["keras-1.2.2", "keras-2.2.4", "tf.keras-2.4.0"])
def test_genuine_files_of_old_releases(folder, tmp_path):
    for path in sorted((GOLDEN / folder / "saved").glob("*mlp*.h5")):
        if "weights" in path.name:
            convert(str(path), str(tmp_path / "w.pt"), config=str(path.with_name(path.name.replace("_weights.h5", ".json"))), overwrite=True)
            continue
        model = load_model(path)
        x = np.random.default_rng(0).random((3, *model.input_shape[1:]), "float32")
        for target in WHOLE:
            convert(str(path), str(tmp_path / f"{path.stem}{target}"))
            again = load_model(tmp_path / f"{path.stem}{target}")
            np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-6, atol=1e-7)


def test_an_architecture_without_a_shape_takes_one(sources, tmp_path):
    model = Sequential([Dense(3, name="a"), Dense(2, name="b")])
    (tmp_path / "m.json").write_text(model.to_json())
    model(torch.ones(1, 4))
    model.save_weights(tmp_path / "w.pt")
    with pytest.raises(ValueError, match="says no input shape: give it by --input-shape"):
        convert(str(tmp_path / "w.pt"), str(tmp_path / "m.h5"), config=str(tmp_path / "m.json"))
    convert(str(tmp_path / "w.pt"), str(tmp_path / "m.keras"), config=str(tmp_path / "m.json"), input_shapes=[(4,)])
    with pytest.warns(UserWarning, match="not compiled"):
        assert load_model(tmp_path / "m.keras").input_shape == (None, 4)


def test_the_release_of_a_config_that_does_not_say(tmp_path):
    config = {"class_name": "Sequential", "config": [{"class_name": "GRU", "config": {"units": 3, "batch_input_shape": [None, 4, 2], "name": "g"}}]}
    (tmp_path / "m.json").write_text(json.dumps(config))
    for version, shape in (("2.2.4", (9,)), ("2.4.0", (2, 9))):
        torch.save({}, tmp_path / "unused.pt")
        model = Sequential([layers.GRU(3, input_shape=(4, 2), name="g", reset_after=version == "2.4.0")])
        model.save_weights(tmp_path / "w.h5")
        convert(str(tmp_path / "w.h5"), str(tmp_path / f"{version}.pt"), config=str(tmp_path / "m.json"), keras=version)
        with pytest.warns(UserWarning, match="not compiled"):
            again = load_model(tmp_path / f"{version}.pt")
        assert again.get_weights()[2].shape == shape


# -- what cannot be had


@pytest.mark.parametrize("target", ["out.h5", "out.keras", "out.onnx", "out.weights.h5", "out.pt"])
def test_weights_without_an_architecture(target, sources, tmp_path):
    folder, _ = sources
    with pytest.raises(ContentError, match=r"holds weights only.*give the architecture by --config"):
        convert(str(folder / "weights.h5"), str(tmp_path / target))
    assert not (tmp_path / target).exists()


def test_wrong_words_and_files(sources, tmp_path, capsys):
    folder, _ = sources
    source = str(folder / "model.h5")
    for words, message in (
        ([source, str(tmp_path / "out.txt")], "OUT should end with one of"),
        ([source, source], "IN and OUT are one file"),
        ([source, str(folder / "model.pt")], "give --overwrite to replace it"),
        ([str(tmp_path / "none.h5"), str(tmp_path / "out.pt")], "There is no file"),
        ([str(tmp_path), str(tmp_path / "out.pt")], "is a folder"),
        ([str(folder / "model.json"), str(tmp_path / "out.h5")], "an architecture without weights"),
        ([source, str(tmp_path / "out.keras"), "--weights-only"], "A .keras file holds a whole model"),
        ([source, str(tmp_path / "missing" / "out.pt")], "the folder .* does not exist"),
        ([source, str(tmp_path / "out.onnx"), "--input-shape", "5,a"], "--input-shape takes sizes such as 28,28,1"),
    ):
        assert main(["convert", *words]) == 1, words
        assert re.search(message, capsys.readouterr().err), message
    (tmp_path / "cut.h5").write_bytes((folder / "model.h5").read_bytes()[:3000])
    assert main(["convert", str(tmp_path / "cut.h5"), str(tmp_path / "out.pt")]) == 1
    assert "cut short or damaged" in capsys.readouterr().err
    assert not (tmp_path / "out.pt").exists()


def test_the_command_tells_what_it_did(sources, tmp_path, capsys):
    folder, _ = sources
    target = str(tmp_path / "out.safetensors")
    assert main(["convert", str(folder / "model.h5"), target]) == 0
    assert f"-> {target}: Sequential 'net'" in capsys.readouterr().out
    assert main(["convert", "--overwrite", str(folder / "model.h5"), target]) == 0
    assert main(["convert", str(folder / "model.h5"), str(tmp_path / "arch.json")]) == 0
    assert json.loads((tmp_path / "arch.json").read_text())["class_name"] == "Sequential"


def test_a_lambda_needs_a_program(tmp_path):
    path = attacks.hdf5_config(tmp_path / "m.h5", lambda config: attacks.layer_list(config).append(attacks.lambda_layer()))
    with pytest.raises(UnsafeConfigError, match="bytecode of a Lambda"):
        convert(str(path), str(tmp_path / "out.pt"))


def test_a_write_that_fails_leaves_the_old_file(sources, tmp_path, monkeypatch):
    folder, _ = sources
    target = tmp_path / "out.onnx"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    for ending in ("onnx", "pt", "json", "weights.h5"):
        path = tmp_path / f"out.{ending}"
        path.write_bytes(b"old")
        assert main(["convert", "--overwrite", str(folder / "model.keras"), str(path)]) == 1
        assert path.read_bytes() == b"old"


def test_shapes_on_the_command_line():
    assert read_shape("28,28,1") == read_shape("28x28x1") == read_shape("(28, 28, 1)") == (28, 28, 1)
    assert read_shape("none,3") == read_shape("?,3") == (None, 3)
    with pytest.raises(ValueError, match="at least 1"):
        read_shape("0,3")
