"""clone_model: the same layers with new weights, and never code out of a config."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden_cases import golden
from torchkeras import Input, Model, Sequential, layers
from torchkeras.models import clone_model, model_from_config


def shapes(model):
    return [tuple(weight.shape) for weight in model.weights]


def equal_after_copying_weights(model, cloned, *shape):
    cloned.set_weights(model.get_weights())
    x = np.random.rand(*shape).astype("float32")
    np.testing.assert_allclose(cloned.predict(x), model.predict(x), atol=1e-6)


@pytest.mark.parametrize("case", golden("saved"), ids=str)
def test_clones_of_recorded_models_compute_the_same_once_they_have_the_weights(case, keras_version):
    import json

    model = model_from_config(json.loads((case.folder / case["json_file"]).read_text()))
    cloned = clone_model(model)
    assert type(cloned) is type(model)
    assert [layer.name for layer in cloned.layers] == [layer.name for layer in model.layers]
    assert shapes(cloned) == shapes(model)
    assert not {id(part) for part in cloned.modules()} & {id(part) for part in model.modules()}
    assert json.loads(cloned.to_json()) == json.loads(model.to_json())
    cloned.set_weights(model.get_weights())
    x = case.arrays("inputs")
    found, expected = cloned.predict(x), model.predict(x)
    for one, two in zip(found if isinstance(found, list) else [found], expected if isinstance(expected, list) else [expected], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_weights_are_new():
    model = Sequential([layers.Dense(4, input_shape=(3,))])
    assert not np.array_equal(clone_model(model).get_weights()[0], model.get_weights()[0])


def test_a_lambda_keeps_its_function():
    model = Sequential([layers.Dense(4, input_shape=(3,)), layers.Lambda(lambda x: x * 3, name="thrice")])
    cloned = clone_model(model)
    assert cloned.get_layer("thrice").function is model.get_layer("thrice").function
    equal_after_copying_weights(model, cloned, 5, 3)


def test_operators_and_raw_modules_are_cloned():
    x = Input((3,))
    raw = nn.Linear(3, 2)
    model = Model(x, raw(x) * 2 + 1)
    cloned = clone_model(model)
    assert next(part for part in cloned.modules() if isinstance(part, nn.Linear)) is not raw
    cloned.load_state_dict(model.state_dict())
    data = torch.rand(4, 3)
    torch.testing.assert_close(cloned(data), model(data))


def test_a_class_of_ones_own_is_cloned():
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", (1,), initializer="ones")

        def call(self, inputs):
            return inputs * self.factor

    model = Sequential([layers.TimeDistributed(Scale(), input_shape=(4, 3)), layers.Flatten()])
    equal_after_copying_weights(model, clone_model(model), 2, 4, 3)


def test_a_clone_function_makes_the_layers():
    seen = []

    def cloner(layer):
        seen.append(layer.name)
        config = layer.get_config()
        return type(layer).from_config({**config, "activation": "relu"} if "activation" in config else config)

    x = Input((3,), name="x")
    model = Model(x, layers.Dense(2, name="last")(layers.Dense(4, name="first")(x)))
    cloned = clone_model(model, clone_function=cloner)
    assert seen == ["first", "last"]
    assert cloned.get_layer("last").get_config()["activation"] == "relu"


@pytest.mark.parametrize("functional", [True, False])
def test_new_inputs_take_the_place_of_the_old(functional):
    x = Input((3,))
    model = Model(x, layers.Dense(2)(x)) if functional else Sequential([layers.Dense(2, input_shape=(3,))])
    start = Input((3,), name="start")
    assert clone_model(model, start).input_names == ["start"]
    with pytest.raises(ValueError, match=r"got 2 input_tensors for model .* which has 1 inputs"):
        clone_model(model, [start, Input((3,))])


def test_a_layer_that_is_shared_stays_shared():
    a, b = Input((3,)), Input((3,))
    shared = layers.Dense(2)
    model = Model([a, b], layers.add([shared(a), shared(b)]))
    assert shapes(clone_model(model)) == [(3, 2), (2,)]


def test_what_cannot_be_cloned_says_why():
    class Own(Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match=r"model '.*' is subclassed: its call\(\) is code"):
        clone_model(Own())
    with pytest.raises(TypeError, match="takes a model, but got Dense"):
        clone_model(layers.Dense(2))
