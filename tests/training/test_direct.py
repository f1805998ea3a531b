"""The shortest way through a chain of layers is the model's own way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras.layers import LSTM, Dense, Input, Masking
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


@pytest.mark.parametrize("make", [lambda: Sequential([Masking(input_shape=(3, 4)), Dense(2)]), lambda: Model(i := Input((4,)), [i, Dense(2)(i)])])
def test_other_models_are_called_as_they_are(make):
    model = make()
    assert direct_call(model) is model


def test_a_subclass_keeps_its_own_call():
    class Sub(Model):
        def call(self, inputs):
            return inputs

    inputs = Input((4,))
    model = Sub()
    assert direct_call(model) is model
    assert direct_call(Model(inputs, Dense(2)(inputs))) is not model
