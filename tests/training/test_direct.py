"""The shortest way through a chain of layers is the model's own way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras.layers import LSTM, Dense, Input, Masking, concatenate
from torchkeras.layers.masks import set_mask
from torchkeras.models import Model, Sequential
from torchkeras.training.direct import direct_call

X = torch.from_numpy(np.random.default_rng(0).random((6, 4)).astype("float32"))


def chain() -> Model:
    return Sequential([Dense(5, activation="relu", input_shape=(4,), name="a"), Dense(3, name="b")])


def test_it_gives_what_the_model_gives():
    model = chain()
    call = direct_call(model)
    assert call is not model
    torch.testing.assert_close(call(X), model(X))
    torch.testing.assert_close(call((X * 10).long()), model((X * 10).long()))  # cast as the model casts


def test_hooks_registered_later_run():
    model, seen = chain(), []
    call = direct_call(model)
    handle = model.register_forward_hook(lambda module, args, output: seen.append("model"))
    model.layers[0].register_forward_hook(lambda module, args, output: seen.append("layer"))
    call(X)
    handle.remove()
    call(X)
    assert seen == ["layer", "model", "layer"]


def test_a_mask_that_hangs_on_the_input_is_not_lost():
    model = Sequential([LSTM(2, input_shape=(3, 4))])
    x = torch.randn(5, 3, 4)
    plain = direct_call(model)(x)
    set_mask(x, torch.tensor([[True, True, False]]).expand(5, 3))
    torch.testing.assert_close(direct_call(model)(x), model(x))
    assert not torch.equal(plain, direct_call(model)(x))


def test_a_replaced_layer_counts():
    model = chain()
    call = direct_call(model)
    model.b = torch.nn.Linear(5, 2)
    assert call(X).shape == (6, 2)


def test_a_model_with_masks_is_called_as_it_is():
    model = Sequential([Masking(input_shape=(3, 4)), Dense(2)])
    assert direct_call(model) is model


def graph() -> Model:
    first, second = Input((4,), name="first"), Input((2,), name="second")
    hidden = Dense(5, activation="relu", name="a")(concatenate([first, second]))
    return Model([first, second], [Dense(3, name="b")(hidden), Dense(1, name="c")(hidden)])


PAIR = [X, X[:, :2]]


@pytest.mark.parametrize(
    "given",
    [PAIR, tuple(PAIR), dict(zip(["first", "second"], PAIR, strict=True)), [(X * 10).long(), X[:, :2]]],
    ids=["list", "tuple", "dict", "whole"],
)
def test_a_graph_gives_what_the_model_gives(given):
    model = graph()
    call = direct_call(model)
    assert call is not model
    for found, expected in zip(call(given), model(given), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_graph_of_one_input_and_several_outputs_goes_straight():
    inputs = Input((4,))
    model = Model(inputs, {"same": inputs, "made": Dense(2)(inputs)})
    found = direct_call(model)(X)
    assert found.keys() == {"same", "made"}
    torch.testing.assert_close(found["made"], model(X)["made"])


def test_a_graph_goes_straight(monkeypatch):
    model = graph()
    call = direct_call(model)
    model(PAIR)  # the first call makes the plan
    monkeypatch.setattr(type(model), "__call__", lambda *args: pytest.fail("the model was called"))
    call(PAIR)


def test_hooks_masks_and_other_ranks_reach_the_model_of_a_graph():
    model, seen = graph(), []
    call = direct_call(model)
    model.register_forward_hook(lambda module, args, output: seen.append("model"))
    call(PAIR)
    assert seen == ["model"]
    model = graph()
    call, before = direct_call(model), model.__call__
    with pytest.raises(ValueError, match="2 inputs"):
        call([X])
    assert call([X[:, None], X[:, None, :2]])[0].shape == before([X[:, None], X[:, None, :2]])[0].shape


def test_a_replaced_layer_of_a_graph_counts():
    model = graph()
    call = direct_call(model)
    call(PAIR)
    model.b = torch.nn.Linear(5, 7)
    assert call(PAIR)[0].shape == (6, 7)
    assert call(PAIR)[0].shape == (6, 7)


def test_a_subclass_keeps_its_own_call():
    class Sub(Model):
        def call(self, inputs):
            return inputs

    inputs = Input((4,))
    model = Sub()
    assert direct_call(model) is model
    assert direct_call(Model(inputs, Dense(2)(inputs))) is not model
