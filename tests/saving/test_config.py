"""The gate for configs: code, foreign modules and strange forms are refused before any object is made."""

from __future__ import annotations

import base64
import json
import marshal
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from torchkeras.layers.lambda_layer import Lambda
from torchkeras.layers.serialization import deserialize
from torchkeras.registry import Registry, custom_object_scope, deserialize_object, register_keras_serializable
from torchkeras.saving import bytecode
from torchkeras.saving.config import Danger, admit, find_dangers, parse_json
from torchkeras.saving.errors import ConfigError, UnsafeConfigError
from torchkeras.saving.limits import using_limits


def code_of(function: object) -> str:
    return base64.encodebytes(marshal.dumps(function.__code__)).decode()  # type: ignore[attr-defined]


CODE = [code_of(lambda x: x * 2 + 1), None, None]
EVIL = code_of(lambda x: __import__("os").system("touch /tmp/owned"))


def layer(class_name: str = "Lambda", **config: object) -> dict[str, object]:
    return {"class_name": class_name, "config": {"name": "twice", **config}}


def keras2(code: object = CODE, **more: object) -> dict[str, object]:
    return layer(function=code, function_type="lambda", output_shape=None, output_shape_type="raw", arguments={}, **more)


KERAS1 = layer(function=[marshal.dumps((lambda x: x * 2 + 1).__code__).decode("raw_unicode_escape"), None, None], function_type="lambda")
KERAS3 = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {
        "name": "twice",
        "function": {"class_name": "__lambda__", "config": {"code": CODE[0], "defaults": None, "closure": None}},
        "arguments": {},
    },
    "registered_name": None,
}
LAMBDAS = {
    "keras 1": KERAS1,
    "keras 2": keras2(),
    "keras 3": KERAS3,
    "a sequential model": {"class_name": "Sequential", "config": [layer("Dense"), keras2()]},
    "a nested model": {"class_name": "Model", "config": {"layers": [{"class_name": "Model", "config": {"layers": [keras2()]}}]}},
    "a wrapper": {"class_name": "TimeDistributed", "config": {"name": "wrapper", "layer": keras2()}},
    "an output shape": layer(function="f", function_type="function", output_shape=CODE, output_shape_type="lambda"),
    "a mask": layer(function="f", function_type="function", mask=CODE, mask_type="lambda"),
    "a mask in keras 3": layer(function="f", mask=KERAS3["config"]["function"]),  # type: ignore[index]
    "a merge of keras 1": {"class_name": "Merge", "config": {"name": "merge_1", "mode": CODE, "mode_type": "lambda"}},
    "a loss": {"loss": {"class_name": "__lambda__", "config": {"code": CODE[0]}}},
    "a list of activations": [[{"class_name": "__lambda__", "config": {}}]],
}


@pytest.mark.parametrize("safe_mode", [None, True, 0, "no"])
@pytest.mark.parametrize("where", LAMBDAS)
def test_bytecode_is_refused_unless_safe_mode_is_false(where, safe_mode):
    """Unset means safe, and so does anything that is not exactly False."""
    with pytest.raises(UnsafeConfigError, match=r"it is the bytecode of a Lambda.*custom_objects=\{'.*': function\}.*safe_mode=False"):
        admit(LAMBDAS[where], safe_mode=safe_mode)


def test_the_refusal_says_where_the_code_is():
    with pytest.raises(UnsafeConfigError, match=r"refused at config\.layers\[1\]\.config\.function: .*custom_objects=\{'twice': function\}"):
        admit({"class_name": "Model", "config": {"layers": [layer("Dense"), keras2()]}})


def test_nothing_in_a_config_switches_the_gate_off():
    switch = {
        "module": "keras.config",
        "class_name": "function",
        "config": "enable_unsafe_deserialization",
        "registered_name": "enable_unsafe_deserialization",
    }
    config = {"class_name": "Sequential", "config": {"layers": [layer("Lambda", function=switch, safe_mode=False, arguments={}), keras2()]}}
    with pytest.raises(UnsafeConfigError, match=r"layers\[1\]"):
        admit(config)
    with pytest.raises(UnsafeConfigError, match="bytecode"):
        admit({"safe_mode": False, **keras2(safe_mode=False)})


def double(x: float) -> float:
    return 2 * x


@pytest.mark.parametrize("config", [keras2(), KERAS1, KERAS3], ids=["keras 2", "keras 1", "keras 3"])
def test_the_caller_gives_the_function_under_the_layers_name(config):
    admitted = admit(config, {"twice": double})
    assert admitted["config"]["function"] is double
    assert admitted["config"].get("function_type", "function") == "function"


def test_with_the_function_given_the_output_shape_needs_no_code():
    config = layer(function=CODE, function_type="lambda", output_shape=CODE, output_shape_type="lambda")
    admitted = admit(config, {"twice": double})["config"]
    assert (admitted["function"], admitted["output_shape"], admitted["output_shape_type"]) == (double, None, "raw")


def test_a_mask_has_a_function_of_its_own():
    config = layer(function=CODE, function_type="lambda", mask=CODE, mask_type="lambda")
    with pytest.raises(UnsafeConfigError, match=r"custom_objects=\{'twice\.mask': function\}"):
        admit(config, {"twice": double})
    assert admit(config, {"twice": double, "twice.mask": abs})["config"]["mask"] is abs


@pytest.mark.parametrize("config", [keras2(), KERAS1, KERAS3], ids=["keras 2", "keras 1", "keras 3"])
def test_with_safe_mode_off_the_code_becomes_a_function(config):
    assert admit(config, safe_mode=False)["config"]["function"](5) == 11


def test_code_finds_defaults_closures_and_global_names():
    number = 3

    def outer(x: float, y: float = 10) -> float:
        return x + y + number + np.float64(1) + helper(1)  # type: ignore[name-defined] # noqa: F821

    code = [code_of(outer), [10], [number]]
    assert admit(keras2(code), safe_mode=False, scope={"helper": lambda x: 100 * x})["config"]["function"](1) == 115


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (["bm9uc2Vuc2U=", None, None], "probably written by another Python release"),
        (["\u00e3\u0001\u0000", None, None], "probably written by another Python release"),
        ([base64.b64encode(marshal.dumps(5)).decode(), None, None], "the bytecode holds int, not a function"),
        ([7, None, None], "should be a text, but is int"),
        ({"code": None}, "should be a text, but is NoneType"),
        ([CODE[0], None, [1]], "it needs 0 variables of the program around it"),
        # what Keras 2.2.4 wrote under Python 3.7
        pytest.param(
            [
                "4wEAAAAAAAAAAQAAAAIAAABDAAAAcwwAAAB8AGQBFABkAhcAUwApA07pAgAAAOkBAAAAqQApAdoB\n"
                "eHIDAAAAcgMAAAD6BzxzdGRpbj7aCDxsYW1iZGE+BQAAAPMAAAAA\n",
                None,
                None,
            ],
            "custom_objects={'name of the layer': function}",
            id="Python 3.7",
            marks=pytest.mark.skipif(sys.version_info < (3, 8), reason="is that Python"),
        ),
    ],
)
def test_code_that_is_none_is_refused_also_with_safe_mode_off(code, reason):
    with pytest.raises(ConfigError, match=reason):
        admit(keras2(code), safe_mode=False)


def test_only_the_gate_ever_unmarshals():
    package = Path(bytecode.__file__).parent.parent
    users = [path.name for path in package.rglob("*.py") if "marshal.loads" in path.read_text()]
    assert users == ["bytecode.py"]


def function(name: object, module: str | None = "builtins", registered: str | None = None) -> dict[str, object]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered or name}


FOREIGN = {
    "a function of os": (function("system", "os"), r"the function 'system' of the module 'os'. Nothing is imported because a file names it"),
    "a function of a submodule": (function("call", "subprocess.popen"), "the function 'call' of the module 'subprocess.popen'"),
    "a class of another package": ({"module": "evil", "class_name": "Dense", "config": {}}, "the class 'Dense' of the module 'evil'"),
    "a class of ours by a lookalike": ({"module": "kerasx.layers", "class_name": "Dense", "config": {}}, "of the module 'kerasx.layers'"),
    "a dotted name": (function("utils.get_file", "keras"), r"'utils\.get_file' is no name of a function of the library"),
    "a name with a path": (function("../x", "keras"), "is no name of a function of the library"),
    "a registered class that was not registered": (
        {"module": None, "class_name": "Mine", "config": {}, "registered_name": "pack>Mine"},
        r"the class 'Mine' registered by a program.*custom_objects=\{'pack>Mine': Mine\}",
    ),
    "a class with the registered name of another": (
        {"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": "pack>Other"},
        "'Dense' is a class of the library, but has the registered name 'pack>Other' of another",
    ),
    "a pickled torch module": (
        {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "gASVIAAAAA=="}},
        "TorchModuleWrapper holds a pickled torch module",
    ),
    "a saved model on disk": ({"class_name": "TFSMLayer", "config": {"filepath": "/etc"}}, "TFSMLayer reads a TensorFlow SavedModel from a path"),
    "a type of tensorflow": ({"class_name": "__typespec__", "spec_name": "x", "config": []}, "__typespec__ holds a TensorFlow type"),
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("depth", [0, 3])
def test_foreign_objects_are_refused(what, depth):
    config, reason = FOREIGN[what]
    for _ in range(depth):
        config = {"class_name": "Bidirectional", "config": {"layer": config}}
    before = set(sys.modules)
    with pytest.raises(UnsafeConfigError, match=reason):
        admit({"class_name": "Sequential", "config": {"layers": [config]}})
    assert set(sys.modules) == before, "nothing is imported"


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_objects_are_refused_with_safe_mode_off_too(what):
    with pytest.raises(UnsafeConfigError, match=FOREIGN[what][1]):
        admit(FOREIGN[what][0], safe_mode=False)


def test_the_librarys_own_helpers_are_no_layers_or_functions_of_a_config():
    """A name of the library that is no activation, loss, ... reaches nothing: the tables are closed."""
    activations = Registry("activation")
    for name in ("get_file", "load_model", "system", "eval"):
        admitted = admit(function(name, "keras.utils"))
        assert admitted == name
        with pytest.raises(ValueError, match=f"Unknown activation: '{name}'"):
            deserialize_object(admitted, activations)


class Mine:
    def __init__(self, units: int = 1) -> None:
        self.units = units

    def get_config(self) -> dict[str, int]:
        return {"units": self.units}


def test_objects_of_the_caller_are_admitted_under_their_names():
    node = {"module": "my.package", "class_name": "Mine", "config": {"units": 3}, "registered_name": "pack>Mine"}
    assert admit(node, {"Mine": Mine}) == {"class_name": "Mine", "config": {"units": 3}}
    assert admit(node, {"pack>Mine": Mine})["class_name"] == "pack>Mine"
    with custom_object_scope({"Mine": Mine}):
        assert admit(node)["class_name"] == "Mine"
    with custom_object_scope():
        register_keras_serializable("pack")(Mine)
        assert admit(node)["class_name"] == "pack>Mine"
    assert admit(function("my_loss", "my.module"), {"my_loss": abs}) == "my_loss"
    assert admit(function("double", "my.module", "pack>double"), {"pack>double": double}) == "pack>double"


def test_a_registered_name_must_stand_for_what_the_config_says():
    with pytest.raises(UnsafeConfigError, match="it calls itself 'Dense', but its registered name 'pack>Mine' stands for 'Mine'"):
        admit({"module": "keras.layers", "class_name": "Dense", "config": {}, "registered_name": "pack>Mine"}, {"pack>Mine": Mine})
    with pytest.raises(UnsafeConfigError, match="it names the function 'relu', but its registered name 'pack>double' stands for 'double'"):
        admit(function("relu", "builtins", "pack>double"), {"pack>double": double})


def test_forms_of_keras_3_become_those_of_keras_2():
    config = {
        "module": "keras.layers",
        "class_name": "Dense",
        "registered_name": None,
        "build_config": {"input_shape": [None, 4]},
        "config": {
            "name": "dense",
            "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None},
            "activation": function("relu"),
            "kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None}, "registered_name": None},
        },
    }
    assert admit(config) == {
        "class_name": "Dense",
        "build_config": {"input_shape": [None, 4]},
        "config": {
            "name": "dense",
            "dtype": "float32",
            "activation": "relu",
            "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
        },
    }


def test_values_that_json_lacks_are_made():
    assert admit({"class_name": "__ellipsis__", "config": {}}) is Ellipsis
    assert admit({"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": 2}}) == slice(1, None, 2)
    assert admit({"class_name": "__bytes__", "config": {"value": "ab"}}) == b"ab"
    assert admit(parse_json('{"class_name": "__bytes__", "config": {"value": "\\ud800"}}', "it")) == b"\xed\xa0\x80"
    for name in ("__numpy__", "__tensor__"):
        array = admit({"class_name": name, "config": {"value": [[1, 2]], "dtype": "float32"}})
        np.testing.assert_array_equal(array, np.array([[1, 2]], np.float32))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"class_name": 5, "config": {}}, "'class_name' should be a text, but is 5"),
        ({"class_name": ["Dense"], "config": {}}, "'class_name' should be a text"),
        ({"class_name": "Dense", "module": 3}, "'module' should be a text, but is 3"),
        ({"class_name": "Dense", "registered_name": {}}, "'registered_name' should be a text"),
        ({"class_name": "function", "config": {}}, "'config' should be a text"),
        ({"class_name": "function"}, "a function should be given by its name, but got None"),
        ({"class_name": "__numpy__", "config": {"value": [[1], [2, 3]]}}, "it is no array"),
        ({"class_name": "__numpy__", "config": {"value": 1, "dtype": "nonsense"}}, "it is no array"),
        ({"class_name": "__numpy__", "config": {"value": 1, "dtype": "object"}}, "an array of object is not read"),
        ({"class_name": "__numpy__", "config": None}, "__numpy__ holds None"),
        ({"class_name": "__slice__", "config": {"start": "x"}}, "__slice__ holds"),
        ({"class_name": "__bytes__", "config": {"value": 5}}, "__bytes__ holds"),
    ],
)
def test_configs_of_the_wrong_form_are_refused(config, reason):
    with pytest.raises(ConfigError, match=reason):
        admit(config)
    assert any(reason in danger.what for danger in find_dangers(config))


def test_a_config_is_copied_not_changed():
    config = {"class_name": "Model", "config": {"layers": [layer("Dense", shape=[1, 2], axes=(3, 4))]}}
    before = json.dumps(config)
    admitted = admit(config)
    admitted["config"]["layers"][0]["config"]["shape"].append(3)
    assert json.dumps(config) == before
    assert admitted["config"]["layers"][0]["config"]["axes"] == (3, 4)


def test_all_dangers_are_listed_without_stopping():
    config = {
        "class_name": "Sequential",
        "config": {"layers": [keras2(), FOREIGN["a function of os"][0], layer("Dense"), keras2([EVIL, None, None])]},
    }
    dangers = find_dangers(config)
    assert [danger.where for danger in dangers] == ["config.layers[0].config.function", "config.layers[1]", "config.layers[3].config.function"]
    assert all(isinstance(danger, Danger) for danger in dangers)
    assert not os.path.exists("/tmp/owned")


@pytest.mark.parametrize("case", golden("saved", versions=("1.2.2", "2.2.4", "2.4.0", "3.15.1")), ids=str)
def test_genuine_configs_pass_unchanged_or_in_the_forms_of_keras_2(case):
    config = parse_json((case.folder / case["json_file"]).read_bytes(), case["json_file"])
    assert find_dangers(config) == []
    admitted = admit(config)
    if case.version != "3.15.1":
        assert admitted == config
    else:
        text = json.dumps(admitted)
        assert '"module"' not in text
        assert '"registered_name"' not in text
        assert "DTypePolicy" not in text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no valid JSON"),
        ("{", "is no valid JSON.*It begins with '{'"),
        (b"\xff\xfe\xfa", "is no valid JSON"),
        ("[" * 200_000, "is nested too deep"),
        ("1" * 10_000, "is no valid JSON|limit"),
    ],
    ids=["empty", "half", "no text", "deep", "a long number"],
)
def test_text_that_is_no_json_is_refused(text, reason):
    with pytest.raises(ConfigError, match=f"the architecture {reason}"):
        parse_json(text, "the architecture")


def test_the_lambda_layer_takes_what_the_gate_gives_and_refuses_code_itself():
    """Called directly, outside any gate, the layer is as strict as the gate."""
    for config in (keras2(), KERAS1, KERAS3):
        made = Lambda.from_config(admit(config, {"twice": double})["config"])
        assert made(torch.ones(2)).tolist() == [2, 2]
        with pytest.raises(ValueError, match=r"bytecode.*custom_objects=\{'twice': function\}"):
            Lambda.from_config(config["config"])
        with pytest.raises(ValueError, match="bytecode"):
            deserialize(config)


def test_limits_of_configs_hold():
    with using_limits(json_bytes=10), pytest.raises(ConfigError, match="the limit json_bytes=10"):
        parse_json('{"a": [1, 2, 3]}', "the architecture")
    with using_limits(json_items=10), pytest.raises(ConfigError, match="the limits json_items=10"):
        admit(list(range(20)))
    deep: object = 1
    for _ in range(500):
        deep = {"class_name": "Model", "config": deep}
    with pytest.raises(ConfigError, match="nested deeper than the limits"):
        admit(deep)


def test_names_in_configs_must_be_texts():
    table = Registry("layer")
    table.alias("Dense", Mine)
    for name in (["Dense"], {}, None, 5):
        with pytest.raises(ValueError, match="The name of a layer must be a text"):
            deserialize_object({"class_name": name, "config": {}}, table)
    with pytest.raises(ValueError, match="The config of the layer 'Dense' must be a dict, but got 'abc'"):
        deserialize_object({"class_name": "Dense", "config": "abc"}, table)
