"""Functional models: everything that Keras programs do with them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras.generations import set_keras_version
from torchkeras.layers import (
    LSTM,
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Input,
    InputLayer,
    Lambda,
    Layer,
    TimeDistributed,
    concatenate,
)
from torchkeras.models import Model, Sequential, load_model


def names(model):
    return [layer.name for layer in model.layers]


# -- inputs


def test_the_ways_to_write_an_input():
    for made in (Input((3,)), Input(shape=(3,)), Input(shape=[3]), Input(shape=3), Input(input_shape=(3,)), Input(batch_shape=(None, 3))):
        assert made.shape == (None, 3)
        assert made.dtype is torch.float32
    assert Input((3,), 5).shape == (5, 3)
    assert Input(None, (5, 3)).shape == (5, 3)  # the order of Keras 2.2.4
    assert Input(()).shape == (None,)
    ids = Input((None,), dtype="int32", name="ids")
    assert (ids.shape, ids.dtype, ids.name, ids.keras_history[0].name) == ((None, None), torch.int32, "ids", "ids")
    assert Input((3,), dtype=np.float64).dtype is torch.float64
    assert InputLayer((3,), name="own").output.name == "own"
    assert Input((3,)).shape.as_list() == [None, 3]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, r"An input needs a shape: give shape=\(...\)"),
        ({"shape": (3,), "sparse": True}, ValueError, "InputLayer makes dense inputs only"),
        ({"shape": (3,), "dtype": "float33"}, ValueError, "'float33' is no data type"),
        ({"shape": (3,), "shapes": 1}, TypeError, "Input got an unexpected keyword argument 'shapes'"),
    ],
)
def test_a_wrong_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Input(**arguments)


def test_an_input_on_a_tensor_of_another_model():
    x = Input((4,))
    model = Model(x, Dense(3)(x))
    start = Input(tensor=model.output)
    assert start.shape == (None, 3)


# -- shapes of graphs


def test_several_inputs_and_outputs_train():
    text, number = Input((6,), dtype="int32", name="text"), Input((2,), name="number")
    h = LSTM(4)(Embedding(10, 3)(text))
    h = concatenate([h, number])
    model = Model(inputs=[text, number], outputs=[Dense(1, name="price")(h), Dense(3, activation="softmax", name="kind")(h)])
    assert model.input_names == ["text", "number"]
    assert model.output_names == ["price", "kind"]
    assert model.input_shape == [(None, 6), (None, 2)]
    assert model.output_shape == [(None, 1), (None, 3)]
    model.compile("adam", {"price": "mse", "kind": "categorical_crossentropy"}, loss_weights={"price": 0.5, "kind": 1.0})
    data = {"text": np.zeros((8, 6), "int32"), "number": np.ones((8, 2))}
    history = model.fit(data, {"price": np.ones((8, 1)), "kind": np.eye(3)[np.zeros(8, int)]}, epochs=2, verbose=0)
    assert set(history.history) == {"loss", "price_loss", "kind_loss"}
    assert history.history["loss"][1] < history.history["loss"][0]


def test_siamese_nets_share_their_layers():
    tower = Sequential([Dense(4, activation="relu", input_shape=(3,)), Dense(2)])
    left, right = Input((3,)), Input((3,))
    model = Model([left, right], Lambda(lambda pair: torch.abs(pair[0] - pair[1]))([tower(left), tower(right)]))
    assert len(model.weights) == 4
    data = torch.randn(2, 3)
    assert (model([data, data]) == 0).all()
    model([data, -data]).sum().backward()
    assert tower.layers[0].weight.grad is not None


def test_models_from_intermediate_tensors():
    x = Input((4,))
    model = Model(x, Dense(2, name="last")(Dense(3, name="middle")(x)))
    middle = Model(model.input, model.get_layer("middle").output)
    assert middle.output_shape == (None, 3)
    head = Model(model.get_layer("middle").output, model.output)
    data = torch.randn(2, 4)
    torch.testing.assert_close(head(middle(data)), model(data))
    assert head.layers[-1] is model.layers[-1]
    both = Model(model.inputs, [model.get_layer("middle").output, *model.outputs])
    assert both.output_shape == [(None, 3), (None, 2)]
    stack = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
    part = Model(stack.input, stack.layers[0].output)
    torch.testing.assert_close(part(data), stack.layers[0](data))


def test_an_input_may_be_reused_across_models():
    x = Input((4,))
    code = Dense(2, name="code")(x)
    encoder = Model(x, code)
    auto = Model(x, Dense(4)(code))
    assert encoder.layers[1] is auto.layers[1]
    data = torch.randn(2, 4)
    torch.testing.assert_close(auto.layers[2](encoder(data)), auto(data))


def test_nested_models_are_layers():
    inner_in = Input((3,))
    inner = Model(inner_in, [Dense(2)(inner_in), Dense(3)(inner_in)], name="inner")
    x = Input((3,))
    a, b = inner(x)
    c, _ = inner(b)
    model = Model(x, Add()([a, c]))
    assert names(model) == ["input_2", "inner", "add"]
    data = torch.randn(2, 3)
    first, second = inner(data)
    torch.testing.assert_close(model(data), first + inner(second)[0])
    stack = Sequential([Sequential([Dense(4, input_shape=(3,)), Activation("relu")]), Sequential([Dense(2)])])
    assert stack.output_shape == (None, 2)
    assert stack(data).shape == (2, 2)
    deep = Sequential([TimeDistributed(Sequential([Dense(2)])), GlobalAveragePooling1D()])
    assert deep(torch.randn(2, 5, 3)).shape == (2, 2)


def test_residual_and_branching_nets():
    x = h = Input((8, 8, 2))
    for _ in range(2):
        block = Conv2D(2, 3, padding="same")(BatchNormalization()(h))
        h = h + block
    h = Concatenate()([Flatten()(h), GlobalAveragePooling2D()(h)])
    model = Model(x, Dense(1)(h))
    assert model.layers[-2].output_shape == (None, 8 * 8 * 2 + 2)
    model.compile("sgd", "mse")
    model.fit(np.random.randn(4, 8, 8, 2), np.zeros(4), verbose=0)


def test_unknown_dimensions():
    x = Input((None, None, 3))
    image = Model(x, Dense(2)(GlobalAveragePooling2D()(Conv2D(4, 3)(x))))
    assert image.layers[1].output_shape == (None, None, None, 4)
    assert image(torch.randn(1, 9, 7, 3)).shape == image(torch.randn(1, 5, 30, 3)).shape == (1, 2)
    words = Input((None,), dtype="int32")
    text = Model(words, LSTM(3)(Embedding(9, 2)(words)))
    assert text.layers[1].output_shape == (None, None, 2)
    assert text(torch.ones(2, 4, dtype=torch.int64)).shape == text(torch.ones(2, 9, dtype=torch.int64)).shape


def test_order_of_layers():
    """By depth from the outputs; within a depth, as a walk back from the outputs meets them. As tf.keras 2.4.0 printed it."""
    a, b, c = (Input((2,), name=name) for name in "abc")
    left = Dense(2, name="left")(b)
    right = Dense(2, name="right")(a)
    deep = Dense(2, name="deep")(right)
    total = Add(name="sum")([left, deep])
    assert names(Model([a, b], total)) == ["a", "b", "right", "left", "deep", "sum"]
    assert names(Model([c, b, a], total)) == ["a", "b", "right", "left", "deep", "c", "sum"]
    assert names(Model([a, b], [left, deep])) == ["a", "b", "right", "left", "deep"]
    shared = Dense(2, name="shared")
    once = shared(a)
    twice = shared(once)
    other = Dense(2, name="other")(b)
    assert names(Model([a, b], [Add(name="both")([other, twice]), once])) == ["a", "b", "shared", "other", "both"]


def test_access_to_the_calls_of_a_layer():
    a, b = Input((3,)), Input((5, 3))
    shared = Dense(2, name="shared")
    first, second = shared(a), shared(b)
    assert shared.get_output_at(0) is first
    assert shared.get_output_at(-1) is second
    assert shared.get_input_at(1) is b
    assert shared.get_output_shape_at(1) == (None, 5, 2)
    assert shared.get_input_shape_at(0) == (None, 3)
    assert shared.get_output_mask_at(0) is None
    assert [len(shared.inbound_nodes), len(shared.outbound_nodes)] == [2, 0]
    assert shared.inbound_nodes[0].inbound_layers == [a.keras_history[0]]
    assert (shared.input, shared.output) == (a, first)
    for what in ("input", "output"):
        set_keras_version("2.2.4")
        with pytest.raises(AttributeError, match=f"'shared' has multiple inbound nodes, so its '{what}' is ill-defined. Use `get_{what}_at"):
            getattr(shared, what)
        set_keras_version("2.4.0")
        with pytest.raises(AttributeError, match=f"multiple inbound nodes with different {what} shapes"):
            getattr(shared, f"{what}_shape")
    with pytest.raises(ValueError, match="Asked to get output at node 2, but layer 'shared' has only 2 inbound nodes"):
        shared.get_output_at(2)
    with pytest.raises(AttributeError, match="'fresh' has never been called on a symbolic tensor and thus has no defined output"):
        Dense(2, name="fresh").output  # noqa: B018
    lstm = LSTM(2, return_state=True)
    lstm(b)
    assert isinstance(lstm.output, list)
    assert lstm.output_shape == [(None, 2)] * 3


def test_freezing_a_pretrained_part():
    base = Sequential([Dense(4, input_shape=(3,)), Dense(4)], name="base")
    base.trainable = False
    x = Input((3,))
    model = Model(x, Dense(1, name="head")(base(x)))
    assert [weight.name for weight in model.trainable_weights] == ["head/kernel:0", "head/bias:0"]
    assert len(model.weights) == 6
    model.compile("sgd", "mse")
    before = base.get_weights()
    model.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    np.testing.assert_equal(base.get_weights(), before)
    for layer in base.layers[1:]:
        layer.trainable = True
    base.trainable = True
    base.layers[0].trainable = False
    model.compile("sgd", "mse")
    assert len(model.trainable_weights) == 4


@pytest.mark.parametrize("version", ["1.2.2", "2.2.4", "2.4.0"])
def test_automatic_names(version):
    set_keras_version(version)
    x = Input((3,))
    h = Dense(2)(x)
    model = Model(x, Dense(2)(h))
    first = ["dense", "dense_1"] if version == "2.4.0" else ["dense_1", "dense_2"]
    assert names(model) == ["input_1", *first]
    assert model.name == ("functional_1" if version == "2.4.0" else "model_1")


def test_copies_are_models_of_their_own():
    x = Input((3,))
    model = Model(x, [Dense(2)(x), nn.Linear(3, 1)(x) * 2])
    data = torch.randn(2, 3)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(twin(data), model(data))
        assert not {id(tensor) for tensor in twin.parameters()} & {id(tensor) for tensor in model.parameters()}
        further = Model(twin.inputs, Dense(1)(twin.get_layer("dense").output))
        assert further(data).shape == (2, 1)
        assert twin.output_names == model.output_names


# -- errors


def test_a_disconnected_graph_is_told_with_its_layers():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    out = Dense(2, name="last")(Dense(2, name="first")(b))
    with pytest.raises(ValueError, match=r"Graph disconnected: cannot obtain value for .*made by 'b'>.*Layers on the way to it: \['last', 'first'\]"):
        Model(a, out)
    with pytest.raises(ValueError, match="Graph disconnected"):
        Model(a, Add()([Dense(2)(a), out]))


def test_models_of_other_things_than_symbolic_tensors_are_refused():
    x = Input((3,))
    with pytest.raises(ValueError, match=r"The outputs of model 'mine' must be symbolic tensors, made by Input.. and layers, but got Tensor"):
        Model(x, torch.zeros(2, 3), name="mine")
    with pytest.raises(ValueError, match=r"The inputs of model 'mine' must be symbolic tensors.*but got ndarray"):
        Model(np.zeros((2, 3)), x, name="mine")
    with pytest.raises(ValueError, match="Model 'mine' got inputs but no outputs"):
        Model(x, name="mine")
    with pytest.raises(ValueError, match="The list of inputs passed to model 'mine' is redundant"):
        Model([x, x], Dense(2)(x), name="mine")


def test_two_layers_of_one_name_are_refused():
    x = Input((3,))
    with pytest.raises(ValueError, match=r"The name 'same' is used 2 times in model 'mine'.*give name="):
        Model(x, Dense(2, name="same")(Dense(2, name="same")(x)), name="mine")


def test_layers_are_found_by_name_or_index():
    x = Input((3,))
    model = Model(x, Dense(2, name="dense_big")(x), name="mine")
    assert model.get_layer("dense_big") is model.get_layer(index=1)
    with pytest.raises(ValueError, match=r"No such layer: 'dense_bug' in model 'mine'. Did you mean 'dense_big'"):
        model.get_layer("dense_bug")
    with pytest.raises(ValueError, match="retrieve layer at index 5 but model 'mine' only has 2 layers"):
        model.get_layer(index=5)
    with pytest.raises(ValueError, match="either a layer name or layer index"):
        model.get_layer()


def test_a_layer_that_does_not_fit_is_named():
    x = Input((4, 4))
    with pytest.raises(ValueError, match=r"'conv' .*\(None, 4, 4\)|conv.*expected"):
        Conv2D(2, 3, name="conv")(x)


def test_a_call_that_returns_nothing_is_told():
    class Forgot(Layer):
        def call(self, x):
            x * 2

    with pytest.raises(ValueError, match=r"call\(\) of layer 'forgot' \(Forgot\) gave None for a symbolic input.*Does it return its result"):
        Forgot()(Input((3,)))


def test_a_layer_that_does_not_fit_inside_a_model_is_named():
    inner = Sequential([Lambda(lambda x: x[..., :2], input_shape=(3,)), nn.Linear(2, 4, bias=False)], name="inner")
    with pytest.raises(
        ValueError, match=r"Layer 'inner' \(Sequential\) could not be run on inputs of shape \(None, 1\): .*\(in Linear 'linear'\)\. Ch"
    ):
        inner(Input((1,)))


@pytest.mark.parametrize("name", ["built", "history", "loss", "optimizer", "run_eagerly", "stop_training", "training"])
def test_layers_may_have_the_names_of_what_models_keep(name, tmp_path):
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    inputs = Input((3,))
    for net in (Model(inputs, Dense(2, name=name)(inputs)), Sequential([Dense(2, name=name, input_shape=(3,))])):
        net.compile("sgd", "mse")
        net.fit(x, y, verbose=0)
        net.save(tmp_path / "net.h5")
        again = load_model(tmp_path / "net.h5")
        assert again.get_layer(name).name == name
        np.testing.assert_array_equal(again.predict(x), net.predict(x))
