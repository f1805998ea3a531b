"""Models the torch way: `.pt` and `.safetensors` files, written and read, whole models and state dicts."""

from __future__ import annotations

import json
import os
import struct
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden_cases import golden
from tests.saving.genuine import close, fit_more, load, predictions
from torchkeras import layers
from torchkeras.layers import Dense, Input
from torchkeras.models import Model, Sequential, load_model
from torchkeras.optimizers import Adam, TorchOptimizer
from torchkeras.saving.errors import ContentError, DamagedFileError, FileError, LimitError, NoPermissionError, UnsafeConfigError, UnsafeFileError
from torchkeras.saving.limits import using_limits
from torchkeras.saving.safetensors import read_safetensors, write_safetensors
from torchkeras.saving.torch_archive import read_torch

BOTH = pytest.mark.parametrize("ending", [".pt", ".safetensors"])


def make_model(**kwargs):
    return Sequential(
        [layers.Conv2D(3, 2, activation="relu", input_shape=(5, 5, 2)), layers.BatchNormalization(), layers.Flatten(), Dense(4, **kwargs)]
    )


def data(number=8):
    generator = np.random.default_rng(0)
    return generator.random((number, 5, 5, 2), "float32"), generator.random((number, 4), "float32")


def trained(optimizer="adam"):
    model = make_model()
    model.compile(optimizer, "mse", metrics=["mae"])
    model.fit(*data(), epochs=2, batch_size=4, verbose=0, shuffle=False)
    return model


def same_state(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


@BOTH
def test_a_model_comes_back(ending, tmp_path):
    model = trained()
    model.save(tmp_path / f"model{ending}")
    again = load_model(tmp_path / f"model{ending}")
    same_state(model, again)
    assert np.array_equal(model.predict(data()[0]), again.predict(data()[0]))
    assert again.loss == "mse" and isinstance(again.optimizer, Adam)


def optimizers():
    return {
        "adam": lambda: "adam",
        "sgd": lambda: {"class_name": "SGD", "config": {"learning_rate": 0.1, "momentum": 0.9}},
        "rmsprop": lambda: "rmsprop",
        "nadam": lambda: "nadam",
        "torch class": lambda: TorchOptimizer("AdamW", lr=0.01, betas=(0.8, 0.9)),
        "torch itself": None,
    }


@pytest.mark.parametrize("kind", optimizers())
def test_training_goes_on_with_the_same_numbers(kind, tmp_path):
    make = optimizers()[kind]
    if make is None:
        model = make_model()
        model.compile(torch.optim.Adagrad(model.parameters(), lr=0.05), "mse", metrics=["mae"])
        model.fit(*data(), epochs=2, batch_size=4, verbose=0, shuffle=False)
    else:
        model = trained(make())
    model.save(tmp_path / "model.pt")
    again = load_model(tmp_path / "model.pt")
    for one in (model, again):
        one.fit(*data(), epochs=2, batch_size=4, verbose=0, shuffle=False)
    same_state(model, again)


def test_the_file_is_a_state_dict_for_plain_torch(tmp_path):
    model = trained()
    model.save(tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(state) == list(model.state_dict())
    assert state["conv2d.weight"].shape == (3, 2, 2, 2)
    plain = model.to_torch()
    plain.load_state_dict(state, strict=False)
    info = state.torchkeras
    assert info["format"] == "torchkeras model" and json.loads(info["model_config"])["class_name"] == "Sequential"
    assert json.loads(info["training_config"])["loss"] == "mse" and set(info["optimizer"]) == {"state", "param_groups"}


def test_safetensors_hold_contiguous_weights_and_texts(tmp_path):
    model = trained()
    model.save(tmp_path / "model.safetensors")
    tensors, metadata = read_safetensors(tmp_path / "model.safetensors")
    assert set(tensors) == set(model.state_dict()) and metadata["keras_version"] == "2.4.0"
    raw = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    assert length % 8 == 0 and json.loads(raw[8 : 8 + length])["dense.weight"]["dtype"] == "F32"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64, torch.uint16])
def test_every_type_of_safetensors(dtype, tmp_path):
    tensors = {
        "a": torch.arange(6).to(dtype).reshape(2, 3).t(),
        "scalar": torch.ones((), dtype=dtype),
        "empty": torch.empty(0, 3, dtype=dtype),
        "b": torch.rand(3),
    }
    write_safetensors(tmp_path / "x.safetensors", tensors, {"note": "ä"})
    again, metadata = read_safetensors(tmp_path / "x.safetensors")
    assert metadata == {"note": "ä"} and set(again) == set(tensors)
    assert all(again[name].dtype is tensors[name].dtype and torch.equal(again[name], tensors[name]) for name in tensors)
    with pytest.raises(ValueError, match=r"cannot hold these tensors: torch\.complex128\. Save them in a \.pt file"):
        write_safetensors(tmp_path / "y.safetensors", {"q": torch.ones(1, dtype=torch.complex128)}, {})
    assert not (tmp_path / "y.safetensors").exists()


@BOTH
@pytest.mark.parametrize("case", [case for case in golden("saved", versions=("1.2.2", "2.2.4", "2.4.0")) if case["id"] != "saved.lambda.0"], ids=str)
def test_genuine_models_pass_through(case, ending, tmp_path):
    try:
        model = load(case)
    except UnsafeConfigError:
        return
    model.save(tmp_path / f"model{ending}")
    again = load_model(tmp_path / f"model{ending}")
    close(predictions(again, case), case.arrays("outputs"), case["atol"])
    if ending == ".pt":
        first, second = fit_more(model, case), fit_more(again, case)
        assert {name: pytest.approx(values, rel=1e-6) for name, values in first.items()} == second


@BOTH
def test_weights_alone(ending, tmp_path):
    model, other = trained(), make_model()
    model.save_weights(tmp_path / f"w{ending}")
    other.load_weights(tmp_path / f"w{ending}")  # whose layers have other numbers in their names
    assert all(np.array_equal(one, two) for one, two in zip(model.get_weights(), other.get_weights(), strict=True))
    with pytest.raises(ContentError, match="weights only, no architecture"):
        load_model(tmp_path / f"w{ending}")
    with pytest.raises(FileExistsError, match="is there already"):
        model.save_weights(tmp_path / f"w{ending}", overwrite=False)


def test_subclassed_models_and_raw_modules_keep_their_state_dicts(tmp_path):
    model = Sequential([Dense(3, input_shape=(2,)), nn.Linear(3, 2)])
    model.save_weights(tmp_path / "w.pt")
    before = model.get_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.load_weights(tmp_path / "w.pt")
    assert all(np.array_equal(one, two) for one, two in zip(model.get_weights(), before, strict=True))
    with pytest.raises(ValueError, match="Linear"):
        model.save(tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()


def test_state_dicts_of_plain_torch_are_read(tmp_path):
    linear = nn.Sequential(OrderedDict(first=nn.Linear(4, 3), rnn=nn.Identity()))
    lstm = nn.LSTM(3, 2, batch_first=True)
    state = {**{f"first.{key}": value for key, value in linear.first.state_dict().items()}, **{f"lstm.{k}": v for k, v in lstm.state_dict().items()}}
    for name, value in (("bare", state), ("nested", {"epoch": 3, "state_dict": state, "note": "x"}), ("model", {"model_state_dict": state})):
        torch.save(value, tmp_path / f"{name}.pt")
        model = Sequential([Dense(3, input_shape=(5, 4), name="first"), layers.LSTM(2, name="lstm")])
        model.load_weights(tmp_path / f"{name}.pt")
        x = torch.rand(2, 5, 4)
        torch.testing.assert_close(model(x), lstm(linear.first(x))[0][:, -1])


def test_by_name_and_skipping(tmp_path):
    source = Sequential([Dense(3, input_shape=(2,), name="a"), Dense(4, name="b"), Dense(5, name="c")])
    source.save_weights(tmp_path / "w.pt")
    other = Sequential([Dense(3, input_shape=(2,), name="a"), Dense(6, name="b"), Dense(2, name="d")])
    before = [weight.copy() for weight in other.get_weights()]
    with pytest.raises(ContentError, match=r"weight 'b\.weight' has the shape \(6, 3\), but the file has one of shape \(4, 3\)"):
        other.load_weights(tmp_path / "w.pt", by_name=True)
    assert all(np.array_equal(one, two) for one, two in zip(other.get_weights(), before, strict=True))
    with pytest.warns(UserWarning, match="Skipping a weight that does not fit"):
        other.load_weights(tmp_path / "w.pt", by_name=True, skip_mismatch=True)
    assert np.array_equal(other.get_weights()[0], source.get_weights()[0])
    assert np.array_equal(other.get_weights()[2], before[2]) and np.array_equal(other.get_weights()[4], before[4])


def test_what_does_not_fit_leaves_the_model_as_it_was(tmp_path):
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: torch.zeros_like(value) for name, value in before.items()}
    torch.save({**state, "more.weight": torch.ones(2)}, tmp_path / "more.pt")
    torch.save({name: value for name, value in state.items() if not name.startswith("dense")}, tmp_path / "less.pt")
    with pytest.raises(ContentError, match=r"has 'more\.weight', which the model has not"):
        model.load_weights(tmp_path / "more.pt")
    with pytest.raises(ContentError, match=r"has nothing for 'dense\w*\.weight', 'dense\w*\.bias'"):
        model.load_weights(tmp_path / "less.pt")
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


@BOTH
def test_a_write_that_fails_leaves_the_old_file(ending, tmp_path, monkeypatch):
    model = trained()
    path = tmp_path / f"model{ending}"
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_an_optimizer_state_that_does_not_fit_starts_anew(tmp_path):
    trained().save(tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    for values in state.torchkeras["optimizer"]["state"].values():
        values.update({key: torch.zeros(7) for key, value in values.items() if isinstance(value, torch.Tensor) and value.numel() > 1})
    torch.save(state, tmp_path / "model.pt")
    with pytest.warns(UserWarning, match="does not fit, so the optimizer starts anew"):
        load_model(tmp_path / "model.pt").fit(*data(), verbose=0)


class Command:
    def __reduce__(self):
        return (os.system, ("touch ran",))


def test_nothing_in_a_torch_file_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = OrderedDict(weight=torch.ones(2))
    state.torchkeras = {"model_config": Command()}
    for value in ({"weight": Command()}, state, [Command()]):
        torch.save(value, "evil.pt")
        for read in (lambda: load_model("evil.pt"), lambda: make_model().load_weights("evil.pt")):
            with pytest.raises(UnsafeFileError, match=r"written by torch\.save and names functions or classes"):
                read()
    assert not (tmp_path / "ran").exists()


def test_configs_pass_the_one_gate(tmp_path):
    model = make_model()
    model.save(tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    config = json.loads(state.torchkeras["model_config"])
    config["config"]["layers"][1] = {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAAA=", None, None], "function_type": "lambda"}}
    state.torchkeras["model_config"] = json.dumps(config)
    torch.save(state, tmp_path / "lambda.pt")
    with pytest.raises(UnsafeConfigError, match="bytecode of a Lambda"):
        load_model(tmp_path / "lambda.pt")
    config["config"]["layers"][1] = {"class_name": "Dense", "config": {"name": "d", "units": 2**40}}
    state.torchkeras["model_config"] = json.dumps(config)
    torch.save(state, tmp_path / "huge.pt")
    with pytest.raises(LimitError, match="but the file holds"):
        load_model(tmp_path / "huge.pt")
    state.torchkeras["version"] = 2
    torch.save(state, tmp_path / "future.pt")
    with pytest.raises(ContentError, match="has the version 2 of the format"):
        load_model(tmp_path / "future.pt")


def test_tensors_that_show_more_than_they_hold(tmp_path):
    torch.save({"a": torch.ones(1).expand(2**40)}, tmp_path / "wide.pt")
    with pytest.raises(LimitError, match="declares a tensor of shape"):
        read_torch(tmp_path / "wide.pt")
    torch.save({"a": torch.ones(3, device="meta")}, tmp_path / "meta.pt")
    torch.save({"a": torch.eye(3).to_sparse()}, tmp_path / "sparse.pt")
    for name, words in (("meta", "without values"), ("sparse", "only ordinary ones are read")):
        with pytest.raises(UnsafeFileError, match=words):
            read_torch(tmp_path / f"{name}.pt")


def test_packed_members_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as source, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    with pytest.raises(UnsafeFileError, match="packed members"):
        read_torch(tmp_path / "bomb.pt")


def test_other_things_in_torch_files_are_named(tmp_path):
    model = trained()
    for value, words in (
        ([torch.ones(2)], "holds no state dict, but a list"),
        ({"epoch": 3}, "holds no tensors, but a dict with the keys 'epoch'"),
        ({}, "holds no state dict, but an empty dict"),
        ({1: torch.ones(1)}, "holds no state dict"),
    ):
        torch.save(value, tmp_path / "x.pt")
        with pytest.raises(ContentError, match=words):
            model.load_weights(tmp_path / "x.pt")
    model.save_state(tmp_path / "state.pt")
    with pytest.raises(ContentError, match=r"give it to model\.restore_state"):
        load_model(tmp_path / "state.pt")


@BOTH
def test_missing_closed_and_cut_files(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_model(path)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_model(tmp_path)
    trained().save(path)
    whole = path.read_bytes()
    for size in (0, 5, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError, match=r"cannot be read|is no|is damaged|is cut|no whole file"):
            load_model(path)
    path.write_bytes(whole)
    path.chmod(0)
    if not os.access(path, os.R_OK):  # not as root
        with pytest.raises(NoPermissionError, match="No permission"):
            load_model(path)


@BOTH
def test_damaged_bytes_give_clean_errors_or_the_same_numbers(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    model = trained()
    model.save(path)
    whole = path.read_bytes()
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        place = int(generator.integers(len(damaged) if generator.random() < 0.5 else 2000))
        damaged[place : place + int(generator.integers(1, 5))] = generator.bytes(int(generator.integers(1, 5)))
        path.write_bytes(damaged)
        try:
            with using_limits(total_bytes=1 << 26):
                load_model(path, compile=False)
        except (FileError, ValueError):
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"[]", "no safetensors file"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F32","shape":[4611686018427387903,2],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', "damaged or cut short"),
        (b'{"a":1,"a":2}', "damaged or cut short"),
        (b'{"__metadata__":{"x":1}}', "damaged or cut short"),
        (b'{"a":', "damaged or cut short"),
    ],
)
def test_crafted_tables_of_safetensors(table, words, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(table)) + table + bytes(8))
    with pytest.raises(DamagedFileError, match=words):
        read_safetensors(path)
    path.write_bytes(struct.pack("<Q", 1 << 40) + table)
    with pytest.raises(DamagedFileError, match="no safetensors file"):
        read_safetensors(path)


def test_the_missing_package_is_told_of(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": torch.ones(1)}, {})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for call in (lambda: read_safetensors(path), lambda: write_safetensors(path, {}, {})):
        with pytest.raises(ImportError, match=r"pip install 'torchkeras-native\[safetensors\]'"):
            call()


def test_a_long_table_of_safetensors(tmp_path):
    write_safetensors(tmp_path / "x.safetensors", {f"weight_{number}": torch.ones(1) for number in range(50)}, {})
    with using_limits(json_bytes=1000), pytest.raises(LimitError, match="json_bytes=1000"):
        read_safetensors(tmp_path / "x.safetensors")


def test_nested_and_shared_layers_pass_through(tmp_path):
    inner = Sequential([Dense(4, activation="relu", input_shape=(3,)), layers.Dropout(0.5)], name="inner")
    x, y = Input((3,)), Input((3,))
    model = Model([x, y], {"sum": layers.add([inner(x), inner(y)]), "dot": layers.Dot(1)([inner(x), inner(y)])})
    model.save(tmp_path / "m.pt")
    again = load_model(tmp_path / "m.pt", compile=False)
    a, b = torch.rand(2, 3), torch.rand(2, 3)
    assert all(torch.equal(model([a, b])[key], again([a, b])[key]) for key in ("sum", "dot"))
    assert "inner.dense.weight" in torch.load(tmp_path / "m.pt", weights_only=True)


def test_a_model_that_is_not_built_takes_its_shapes_from_a_state_dict(tmp_path):
    source = Sequential([Dense(3, input_shape=(4,)), layers.BatchNormalization(), Dense(2)])
    source.save_weights(tmp_path / "w.pt")
    model = Sequential([Dense(3), layers.BatchNormalization(), Dense(2)])
    model.load_weights(tmp_path / "w.pt")
    x = torch.rand(2, 4)
    assert torch.equal(model(x), source(x))
    other = Sequential([Dense(3), layers.BatchNormalization(), Dense(5)])
    with pytest.raises(ContentError, match=r"does not fit into model .*size mismatch for dense\w*\.weight"):
        other.load_weights(tmp_path / "w.pt")
    assert not any(layer.built for layer in other.layers)
