"""Crafted models that would run code, import modules or call functions by name: each is refused, says why, and nothing has run."""

from __future__ import annotations

import base64
import contextlib
import inspect
import json
import os
import pickle

import pytest

from tests.saving import attacks
from torchkeras import Sequential, layers
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.models import Model, clone_model, load_model, model_from_config, model_from_json, model_from_yaml
from torchkeras.registry import custom_object_scope
from torchkeras.saving.errors import ConfigError, DamagedFileError, UnsafeConfigError

BYTECODE = r"it is the bytecode of a Lambda, which can do anything once it runs.*custom_objects=\{'evil': function\}.*safe_mode=False"


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path):
    load_model(attacks.hdf5(tmp_path / "warm.h5", lambda file: None))  # what is imported when first needed is imported now
    load_model(attacks.archive(tmp_path / "warm.keras", lambda members: None))
    yield
    assert attacks.OWNED not in os.environ


def appended(node):
    return lambda config: attacks.layer_list(config).append(node)


def refused(path, match, error=UnsafeConfigError, **kwargs):
    with attacks.watched() as events, pytest.raises(error, match=match):
        load_model(path, **kwargs)
    attacks.harmless(events, path)


def test_yaml_is_never_read(tmp_path):
    text = "!!python/object/apply:os.system ['touch owned']"
    with attacks.watched() as events, pytest.raises(RuntimeError, match="a YAML text can run code when it is read"):
        model_from_yaml(text)
    with pytest.raises(ConfigError, match="no valid JSON"):
        model_from_json(text)
    attacks.harmless(events)
    (tmp_path / "model.yaml").write_text(text)
    refused(tmp_path / "model.yaml", "cannot be read as an HDF5 file", DamagedFileError)


@pytest.mark.parametrize("safe_mode", [None, True])
@pytest.mark.parametrize("keras3", [False, True])
def test_bytecode_in_hdf5_is_refused_unless_the_caller_trusts_the_file(tmp_path, keras3, safe_mode):
    """Also where safe mode is asked for: Keras 3 passed over it for `.h5`."""
    path = attacks.hdf5_config(tmp_path / "a.h5", appended(attacks.lambda_layer(keras3=keras3)))
    refused(path, BYTECODE, safe_mode=safe_mode)


@pytest.mark.parametrize("keras3", [False, True])
def test_bytecode_in_an_archive_is_refused(tmp_path, keras3):
    refused(attacks.archive_config(tmp_path / "a.keras", appended(attacks.lambda_layer(keras3=keras3))), BYTECODE)


def test_bytecode_in_compile_arguments_is_refused(tmp_path):
    code = {"class_name": "__lambda__", "config": {"code": attacks.code()}}
    refused(attacks.hdf5_config(tmp_path / "a.h5", lambda config: config.update(loss=code), "training_config"), "bytecode of a Lambda")
    refused(attacks.archive_config(tmp_path / "a.keras", lambda config: config["compile_config"].update(loss=code)), "bytecode of a Lambda")


def test_a_lambda_comes_back_as_the_function_that_the_caller_gives(tmp_path):
    path = attacks.hdf5_config(tmp_path / "a.h5", appended(attacks.lambda_layer()))
    assert load_model(path, {"evil": abs}, compile=False).layers[-1].function is abs
    assert attacks.OWNED not in os.environ
    load_model(path, safe_mode=False, compile=False)
    assert os.environ.pop(attacks.OWNED) == "yes", "the code that the caller trusts does run: the other tests would see it"


def sequential(*nodes):
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(nodes)}}


def node(class_name="Lambda", **config):
    return {"class_name": class_name, "config": config}


FIRST = node("Dense", units=2, batch_input_shape=[None, 2], name="first")
LAMBDA = attacks.lambda_layer()
WAYS = {
    "layers.deserialize": lambda: layers.deserialize(LAMBDA),
    "layers.deserialize of Keras 3": lambda: layers.deserialize(attacks.lambda_layer(keras3=True)),
    "layers.deserialize of a wrapper": lambda: layers.deserialize(node("TimeDistributed", layer=LAMBDA)),
    "layers.deserialize of a model": lambda: layers.deserialize(sequential(FIRST, LAMBDA)),
    "Lambda.from_config": lambda: layers.Lambda.from_config(LAMBDA["config"]),
    "Lambda.from_config of Keras 3": lambda: layers.Lambda.from_config(attacks.lambda_layer(keras3=True)["config"]),
    "Layer.from_config": lambda: layers.Activation.from_config({"name": "evil", "activation": [attacks.code()], "activation_type": "lambda"}),
    "TimeDistributed.from_config": lambda: layers.TimeDistributed.from_config({"layer": LAMBDA}),
    "Bidirectional.from_config": lambda: layers.Bidirectional.from_config({"layer": LAMBDA}),
    "RNN.from_config": lambda: layers.RNN.from_config({"cell": LAMBDA}),
    "StackedRNNCells.from_config": lambda: layers.StackedRNNCells.from_config({"cells": [LAMBDA]}),
    "Sequential.from_config": lambda: Sequential.from_config(sequential(FIRST, LAMBDA)["config"]),
    "Model.from_config": lambda: Model.from_config(
        {"layers": [{**LAMBDA, "name": "evil", "inbound_nodes": []}], "input_layers": [], "output_layers": []}
    ),
    "model_from_config": lambda: model_from_config(sequential(FIRST, LAMBDA)),
    "model_from_json": lambda: model_from_json(json.dumps(sequential(FIRST, LAMBDA))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scope", [False, True])
def test_unset_means_safe_on_every_way_from_a_config_to_a_layer(way, scope):
    with (
        attacks.watched() as events,
        custom_object_scope({"other": abs} if scope else {}),
        pytest.raises(UnsafeConfigError, match="bytecode of a Lambda"),
    ):
        WAYS[way]()
    attacks.harmless(events)


def test_a_layer_that_is_being_read_does_not_open_the_gate_for_other_texts():
    """The constructor of a class of the caller's own reads one more model: that passes the gate, too."""

    class Outer(layers.Layer):
        def __init__(self, text, **kwargs):
            super().__init__(**kwargs)
            self.text, self.inner = text, model_from_json(text)

    config = node("Outer", text=json.dumps(sequential(FIRST, LAMBDA)))
    with pytest.raises(UnsafeConfigError, match="bytecode of a Lambda"):
        layers.deserialize(config, {"Outer": Outer})


def test_with_safe_mode_off_a_layer_takes_its_code():
    def twice(x):
        return 2 * x

    config = {**LAMBDA["config"], "function": [attacks.code(twice), None, None]}
    assert layers.Lambda.from_config(config, safe_mode=False).function(4) == 8
    assert layers.deserialize(node(**config), safe_mode=False).function(4) == 8


def test_clones_take_the_function_and_no_code(tmp_path):
    model = Sequential([layers.Dense(2, input_shape=(2,)), layers.Lambda(lambda x: 3 * x, name="evil")])
    with attacks.watched() as events:
        assert clone_model(model).layers[-1].function is model.layers[-1].function
    attacks.harmless(events)

    class Bringing(layers.Layer):
        def get_config(self):
            return {"layer": LAMBDA}

    with pytest.raises(UnsafeConfigError, match="bytecode of a Lambda"):
        clone_model(Sequential([Bringing(input_shape=(2,))]))


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


FOREIGN = {
    "a function of os": function("os", "system"),
    "a class of subprocess": {"module": "subprocess", "class_name": "Popen", "config": {"args": "touch owned"}},
    "a module of the attacker": {"module": "evil", "class_name": "Dense", "config": {"units": 2}},
    "a function of builtins": function("builtins", "eval"),
    "a helper that downloads": function("keras.utils", "get_file"),
    "a helper that downloads, as a class": {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"fname": "x", "origin": "http://127.0.0.1:9/"},
    },
    "a helper that loads": {"module": "keras.models", "class_name": "load_model", "config": {"filepath": "/etc/passwd"}},
    "a switch": function("keras.config", "enable_unsafe_deserialization"),
}
PLACES = {
    "layer": lambda node: appended(node),
    "activation": lambda node: lambda config: attacks.layer_list(config)[-1]["config"].update(activation=node),
    "initializer": lambda node: lambda config: attacks.layer_list(config)[-1]["config"].update(kernel_initializer=node),
    "regularizer": lambda node: lambda config: attacks.layer_list(config)[-1]["config"].update(kernel_regularizer=node),
    "function of a Lambda": lambda node: appended(
        {"class_name": "Lambda", "config": {"name": "evil", "function": node, "arguments": {"origin": "http://127.0.0.1:9/"}}}
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["h5", "keras"])
def test_nothing_is_imported_or_called_because_a_file_names_it(tmp_path, what, place, form):
    make = attacks.hdf5_config if form == "h5" else attacks.archive_config
    path = make(tmp_path / f"a.{form}", PLACES[place](FOREIGN[what]))
    refused(path, "Nothing is imported because a|[Uu]nknown|nothing is imported because a config|Could not read|no name of a function", ConfigError)


def test_a_switch_before_a_lambda_switches_nothing_off(tmp_path):
    def both(config):
        switch = node("Lambda", name="switch", function=FOREIGN["a switch"], arguments={}, safe_mode=False)
        attacks.layer_list(config)[1:1] = [switch, {**attacks.lambda_layer(), "safe_mode": False}]
        config["safe_mode"] = False

    refused(attacks.archive_config(tmp_path / "a.keras", both), "bytecode of a Lambda|needs the function 'enable_unsafe_deserialization'")
    refused(attacks.hdf5_config(tmp_path / "a.h5", both), "bytecode of a Lambda|needs the function 'enable_unsafe_deserialization'")


class Command:
    def __reduce__(self):
        return exec, (f"import os; os.environ[{attacks.OWNED!r}] = 'yes'",)


def test_a_pickled_torch_module_is_refused(tmp_path):
    pickled = base64.b64encode(pickle.dumps(Command())).decode()
    wrapper = {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"name": "w", "module": pickled}, "registered_name": None}
    refused(attacks.archive_config(tmp_path / "a.keras", appended(wrapper)), "TorchModuleWrapper holds a pickled torch module, which can run code")


def test_a_registered_name_that_stands_for_something_else_is_refused(tmp_path):
    class Mine(layers.Dense):
        pass

    lie = {"module": "keras.layers", "class_name": "Dense", "registered_name": "pack>Mine", "config": {"units": 2, "name": "lie"}}
    path = attacks.archive_config(tmp_path / "a.keras", appended(lie))
    refused(path, "it calls itself 'Dense', but its registered name 'pack>Mine' stands for 'Mine'", custom_objects={"pack>Mine": Mine})
    refused(path, "'Dense' is a class of the library, but has the registered name 'pack>Mine' of another")


@pytest.mark.parametrize("class_name", ["StringLookup", "TextVectorization", "IntegerLookup", "Hashing"])
def test_vocabularies_by_path_are_refused(tmp_path, class_name):
    secret = tmp_path / "secret.txt"
    secret.write_text("word")
    for module in ({}, {"module": "keras.layers", "registered_name": None}):
        config = {"name": "lookup", "vocabulary": str(secret)}
        path = attacks.hdf5_config(tmp_path / "a.h5", appended({**module, "class_name": class_name, "config": config}))
        refused(path, f"Unknown layer: '{class_name}'", ConfigError)


def test_no_constructor_opens_a_path_that_a_config_gives(tmp_path):
    """Every layer of the library, with a path in place of each argument in turn."""
    secret = tmp_path / "secret.h5"
    secret.write_bytes(b"secret")
    tried = 0
    layer_registry.find("Sequential")
    with attacks.watched() as events:
        for name in layer_registry.names():
            kind = layer_registry.find(name)
            if not (inspect.isclass(kind) and issubclass(kind, Layer)):
                continue
            for argument in inspect.signature(kind.__init__).parameters:
                if argument in ("self", "args", "kwargs"):
                    continue
                with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
                    layers.deserialize({"class_name": name, "config": {argument: str(secret), "name": "x"}})
                tried += 1
    assert tried > 500
    assert not [event for event in events if str(secret) in event[1]]


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (node("TFSMLayer", name="t", filepath="FILE"), "TFSMLayer reads a TensorFlow SavedModel from a path"),
        (node("Model", name="m", filepath="FILE"), "FILE|unexpected keyword|describes no model"),
        (node("Sequential", name="m", filepath="FILE"), "describes no model"),
        (node("load_model", filepath="FILE"), "Unknown layer: 'load_model'"),
        (node("TimeDistributed", name="m", layer="FILE"), "Unknown layer: 'FILE'"),
    ],
    ids=lambda value: value["class_name"] if isinstance(value, dict) else "",
)
def test_a_config_that_names_another_saved_model_opens_nothing(tmp_path, other, match):
    there = tmp_path / "other.h5"
    attacks.model().save(there)
    other = json.loads(json.dumps(other).replace("FILE", str(there)))
    refused(attacks.archive_config(tmp_path / "a.keras", appended(other)), match.replace("FILE", str(there)), ConfigError)


def test_an_unknown_class_is_named_with_the_way_to_give_it(tmp_path):
    refused(
        attacks.hdf5_config(tmp_path / "a.h5", appended(node("Mine", name="m"))),
        r"Unknown layer: 'Mine'.*custom_objects=\{'Mine': \.\.\.\}",
        ConfigError,
    )
