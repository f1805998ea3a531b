"""Lambda: functions as layers, their configs, and the refusal of code in configs."""

import base64
import marshal
import os

import numpy as np
import pytest
import torch

from tests.layers.harness import check_layer
from torchkeras.generations import set_keras_version
from torchkeras.layers import Input, Lambda, deserialize, serialize
from torchkeras.layers.base import get_mask, set_mask
from torchkeras.registry import custom_object_scope, register_keras_serializable


def antirectifier(x, scale=1.0):
    return torch.cat([torch.relu(x), torch.relu(-x)], dim=-1) * scale


def doubled_shape(input_shape):
    return (*input_shape[:-1], input_shape[-1] * 2)


def first_step(inputs, mask):
    return mask[:, :1]


def test_lambda_stands_the_harness():
    with custom_object_scope({"antirectifier": antirectifier}):
        check_layer(Lambda, {"function": antirectifier, "arguments": {"scale": 2.0}}, (2, 3, 4), unknown=(0, 1))


def test_lambda_takes_an_anonymous_function_and_a_list_of_inputs():
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(Lambda(lambda pair: pair[0] - pair[1])([x, y]), x - y)
    assert tuple(Lambda(lambda pair: pair[0][:, :2] - pair[1][:, :2])([Input((3,)), Input((3,))]).shape) == (None, 2)


def test_lambda_fills_in_mask_and_training():
    seen = {}

    def look(x, mask=None, training=None):
        seen.update(mask=mask, training=training)
        return x + 1

    layer, x = Lambda(look), torch.randn(2, 3, 4)
    set_mask(x, torch.ones(2, 3, dtype=torch.bool))
    y = layer(x)
    assert seen["mask"].shape == (2, 3)
    assert seen["training"] is False
    assert get_mask(y) is None
    layer.train()(x)
    assert seen["training"] is True
    layer(x, training=False)
    assert seen["training"] is False


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_lambda_removes_or_makes_masks(version):
    set_keras_version(version)
    x, mask = torch.randn(2, 3, 4), torch.tensor([[True, False, False], [True, True, False]])
    set_mask(x, mask)
    assert get_mask(Lambda(lambda x: x * 2)(x)) is None
    assert torch.equal(get_mask(Lambda(lambda x: x[:, :1], mask=first_step)(x)), mask[:, :1])
    fixed = torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(get_mask(Lambda(lambda x: x * 2, mask=fixed)(x)), fixed)


def test_output_shape_is_used_where_the_function_needs_values():
    def needs_values(x):
        return torch.full((x.shape[0], int(x.sum()) * 0 + 2), 1.0)

    x = Input((3,))
    assert tuple(Lambda(needs_values, output_shape=(2,))(x).shape) == (None, 2)
    assert tuple(Lambda(needs_values, output_shape=lambda shape: (shape[0], 2))(x).shape) == (None, 2)
    assert Lambda(antirectifier).compute_output_shape((None, 3)) == (None, 6)
    assert Lambda(antirectifier, output_shape=doubled_shape).compute_output_shape((None, 3)) == (None, 6)
    assert Lambda(lambda x: [x, x], output_shape=[(3,), (3,)]).compute_output_shape((4, 3)) == [(4, 3), (4, 3)]
    with pytest.raises(ValueError, match=r"Lambda 'values' could not run its function.*\(None, 3\).*Give output_shape"):
        Lambda(needs_values, name="values")(x)


def test_a_torch_module_as_function_brings_its_parameters():
    module = torch.nn.Linear(3, 2)
    layer, x = Lambda(module), torch.randn(4, 3)
    torch.testing.assert_close(layer(x), module(x))
    assert [name for name, _ in layer.named_parameters()] == ["function.weight", "function.bias"]


def test_config_of_tf_keras_names_functions():
    layer = Lambda(antirectifier, output_shape=doubled_shape, mask=first_step, arguments={"scale": np.array([1.0, 2.0])}, name="a")
    config = layer.get_config()
    assert config == {
        "name": "a",
        "trainable": True,
        "dtype": "float32",
        "function": "antirectifier",
        "function_type": "function",
        "module": __name__,
        "output_shape": "doubled_shape",
        "output_shape_type": "function",
        "output_shape_module": __name__,
        "mask": "first_step",
        "mask_type": "function",
        "mask_module": __name__,
        "arguments": {"scale": {"type": "ndarray", "value": [1.0, 2.0]}},
    }
    own = {"antirectifier": antirectifier, "doubled_shape": doubled_shape, "first_step": first_step}
    again = Lambda.from_config(config, custom_objects=own)
    assert again.function is antirectifier
    assert again.mask is first_step
    np.testing.assert_array_equal(again.arguments["scale"], [1.0, 2.0])
    assert again.get_config() == config


def test_config_of_keras_2_has_no_modules():
    set_keras_version("2.2.4")
    assert Lambda(antirectifier, output_shape=(6,), name="a").get_config() == {
        "name": "a",
        "trainable": True,
        "function": "antirectifier",
        "function_type": "function",
        "output_shape": (6,),
        "output_shape_type": "raw",
        "arguments": {},
    }


def test_a_mask_tensor_survives_the_config():
    layer = Lambda(antirectifier, mask=torch.tensor([[True, False]]))
    again = Lambda.from_config(layer.get_config(), {"antirectifier": antirectifier})
    assert torch.equal(again.mask, torch.tensor([[True, False]]))


def test_an_anonymous_function_has_no_config():
    with pytest.raises(ValueError, match=r"Lambda 'a' would need the name of its function.*with def"):
        Lambda(lambda x: x, name="a").get_config()
    with pytest.raises(ValueError, match=r"Lambda 'a' would need the name of its output_shape"):
        Lambda(antirectifier, output_shape=lambda shape: shape, name="a").get_config()


def test_a_registered_function_comes_back_by_its_name():
    @register_keras_serializable("lambda_tests")
    def shifted(x):
        return x + 1

    config = serialize(Lambda(shifted))
    assert config["config"]["function"] == "lambda_tests>shifted"
    assert deserialize(config).function is shifted


def test_a_function_that_was_not_given_is_never_imported():
    config = {"name": "a", "function": "system", "function_type": "function", "module": "os", "output_shape": None, "output_shape_type": "raw"}
    with pytest.raises(ValueError, match=r"Lambda 'a' needs the function 'system'.*custom_objects"):
        Lambda.from_config(config)
    assert Lambda.from_config(config, {"system": antirectifier}).function is antirectifier
    assert Lambda.from_config(config, {"a": antirectifier}).function is antirectifier


def _bytecode():
    def attack(x):
        os.environ["TORCHKERAS_ATTACKED"] = "yes"
        return x

    return base64.b64encode(marshal.dumps(attack.__code__)).decode()


@pytest.mark.parametrize("read", [Lambda.from_config, lambda config: deserialize({"class_name": "Lambda", "config": config})])
@pytest.mark.parametrize("key", ["function", "output_shape", "mask"])
@pytest.mark.parametrize("kind", ["lambda", "function", None])
def test_bytecode_is_refused_by_every_way_in(read, key, kind):
    config = {"name": "a", "function": antirectifier, "output_shape": None, "output_shape_type": "raw", "mask": None}
    config[key] = [_bytecode(), None, None]
    config[f"{key}_type"] = kind
    if key == "output_shape" and kind is None:
        config[key] = {"class_name": "__lambda__", "config": {"code": _bytecode()}}
    said = rf"(The {key} of Lambda 'a' is stored as bytecode|refused at .*{key}: it is the bytecode of a Lambda).*custom_objects.*safe_mode=False"
    with pytest.raises(ValueError, match=said):
        read(config)
    assert "TORCHKERAS_ATTACKED" not in os.environ
    name = "a" if key == "function" else f"a.{key}"
    with custom_object_scope({name: antirectifier}):
        made = read(config)
    assert antirectifier in (made.function, made.mask, made._output_shape)


def test_bad_arguments_of_lambda():
    with pytest.raises(TypeError, match="Lambda 'a' needs a function that takes a tensor, but got 3"):
        Lambda(3, name="a")
    with pytest.raises(TypeError, match="Lambda 'a': output_shape must be a tuple, a list or a function, but got 5"):
        Lambda(antirectifier, output_shape=5, name="a")
