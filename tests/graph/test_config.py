"""Configs of models: those of genuine Keras, read and written again, are the same; graphs of every form survive the way through JSON."""

from __future__ import annotations

import json

import pytest
import torch

from tests.golden_cases import golden
from torchkeras.generations import set_keras_version
from torchkeras.layers import LSTM, Add, Bidirectional, Dense, Input, Lambda, Layer, deserialize, serialize
from torchkeras.models import Model, Sequential
from torchkeras.registry import custom_object_scope

CASES = [case for kind in ("summary", "training", "saved") for case in golden(kind)]


def plain(value):
    return json.loads(json.dumps(value))


def recorded(case):
    config = case.get("model_json")
    if config is None:
        config = (case.folder / case["json_file"]).read_text()
    config = json.loads(config) if isinstance(config, str) else config
    return {key: config[key] for key in ("class_name", "config")}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_configs_of_genuine_keras_come_back_equal(case, keras_version):
    config = recorded(case)
    model = deserialize(config)
    assert plain(serialize(model)) == config
    again = deserialize(serialize(model))
    assert plain(serialize(again)) == config


def round_trip(model, **custom_objects):
    again = Model.from_config(plain(model.get_config()), custom_objects)
    again.set_weights(model.get_weights())
    assert plain(again.get_config()) == plain(model.get_config())
    return again


def test_shared_layers_and_nodes_are_kept():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    shared = Dense(3, name="shared")
    first, second = shared(a), shared(b)
    third = shared(first)
    model = Model([a, b], [Add(name="sum")([second, third]), first])
    again = round_trip(model)
    assert len(again.layers) == len(model.layers) == 4
    assert len(again.get_layer("shared").inbound_nodes) == 3
    data = [torch.randn(2, 3), torch.randn(2, 3)]
    torch.testing.assert_close(again(data), model(data))
    assert again.output_names == model.output_names == ["sum", "shared"]


def test_a_layer_used_elsewhere_too_keeps_this_graphs_nodes_alone():
    shared = Dense(3, name="shared")
    other = Input((3,))
    shared(other)
    x = Input((3,))
    model = Model(x, shared(x))
    assert plain(model.get_config())["layers"][1]["inbound_nodes"] == [[["input_2", 0, 0, {}]]]
    data = torch.randn(2, 3)
    torch.testing.assert_close(round_trip(model)(data), model(data))


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_initial_states_are_part_of_the_graph(version):
    set_keras_version(version)
    x, h = Input((5, 3)), Input((4,))
    _, state, cell = LSTM(4, return_state=True)(x, initial_state=[h, h])
    out = LSTM(4, return_sequences=True)(x, initial_state=[state, cell])
    model = Model([x, h], out)
    again = round_trip(model)
    data = [torch.randn(2, 5, 3), torch.randn(2, 4)]
    torch.testing.assert_close(again(data), model(data))


def test_nested_models_and_keyword_arguments():
    inner_in = Input((4,))
    inner = Model(inner_in, Dense(4)(inner_in), name="inner")

    class Scaled(Layer):
        def call(self, x, other, factor=1.0):
            return x * factor + other

    x = Input((4,))
    h = inner(inner(x))
    model = Model(x, Scaled(name="scaled")(h, other=Sequential([Dense(4)], name="stack")(x), factor=3.0))
    again = round_trip(model, Scaled=Scaled)
    data = torch.randn(2, 4)
    torch.testing.assert_close(again(data), model(data))
    with custom_object_scope({"Scaled": Scaled}):
        assert plain(serialize(deserialize(plain(serialize(model))))) == plain(serialize(model))


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_inputs_and_outputs_by_name_come_back(version):
    set_keras_version(version)
    a, b = Input((3,), name="a"), Input((2,), name="b")
    model = Model({"first": a, "second": b}, {"x": Dense(1, name="x")(a), "y": [Dense(1, name="y")(b), a]})
    again = round_trip(model)
    if version == "2.4.0":
        data = {"first": torch.randn(2, 3), "second": torch.randn(2, 2)}
        torch.testing.assert_close(again(data), model(data))
    else:  # that release knows flat lists only
        data = [torch.randn(2, 3), torch.randn(2, 2)]
        torch.testing.assert_close(again(data), [model(data)["x"], *model(data)["y"]])
    assert again.input_names == ["a", "b"]
    assert again.output_names == ["x", "y", "a"]


def test_a_layer_called_on_a_dict():
    class Pick(Layer):
        def call(self, inputs, factor=1.0):
            return (inputs["left"] - inputs["right"]) * factor

    a, b = Input((3,)), Input((3,))
    model = Model([a, b], Pick()({"left": a, "right": b}, factor=2.0))
    again = round_trip(model, Pick=Pick)
    data = [torch.randn(2, 3), torch.randn(2, 3)]
    torch.testing.assert_close(again(data), (data[0] - data[1]) * 2)


def test_a_layer_called_by_keyword():
    x = Input((3,))
    model = Model(x, Dense(2)(inputs=x))
    data = torch.randn(2, 3)
    torch.testing.assert_close(round_trip(model)(data), model(data))


def test_values_among_the_arguments_of_a_call_have_no_config():
    class Plus(Layer):
        def call(self, x, other):
            return x + other

    x = Input((3,))
    model = Model(x, Plus(name="plus")(x, other=torch.ones(3)))
    assert (model(torch.zeros(1, 3)) == 1).all()
    with pytest.raises(ValueError, match=r"Layer 'plus' \(Plus\) was called with other= a tensor that has values"):
        model.get_config()


def test_a_graph_that_is_deeper_than_pythons_stack():
    x = h = Input((2,))
    for _ in range(1200):
        h = Dense(2)(h)
    model = Model(x, h)
    assert len(round_trip(model).layers) == 1201


def test_a_config_whose_layers_wait_for_nothing_is_refused():
    x = Input((3,))
    config = plain(Model(x, Dense(2, name="last")(x)).get_config())
    config["layers"][1]["inbound_nodes"] = [[["nobody", 0, 0, {}]]]
    with pytest.raises(ValueError, match=r"layers \['last'\] wait for inputs that nothing makes"):
        Model.from_config(config)


def test_a_call_with_several_tensors_and_no_names_for_them_has_no_config():
    class Sum(Layer):
        def call(self, *tensors):
            return sum(tensors)

    a, b = Input((3,)), Input((3,))
    model = Model([a, b], Sum(name="sum")(a, b))
    data = [torch.ones(1, 3), torch.ones(1, 3)]
    assert (model(data) == 2).all()
    with pytest.raises(ValueError, match=r"'sum' \(Sum\) was called with 2 arguments by position.*names for them"):
        model.get_config()


def test_a_subclassed_model_has_no_config_of_its_own():
    class Mine(Model):
        def call(self, x):
            return x

    with pytest.raises(NotImplementedError, match="Model 'mine' is subclassed"):
        Mine().get_config()


def test_configs_know_wrapped_and_anonymous_layers():
    x = Input((5, 3))
    model = Model(x, Lambda(torch.abs, name="size")(Bidirectional(LSTM(2))(x)))
    again = Model.from_config(plain(model.get_config()), {"abs": torch.abs})
    again.set_weights(model.get_weights())
    data = torch.randn(2, 5, 3)
    torch.testing.assert_close(again(data), model(data))
