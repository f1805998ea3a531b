"""The plan runs a graph as its layers would be called one by one, keeps no more than it must, and follows changes of the model."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import graph as benchmark
from torchkeras.layers import LSTM, Activation, Add, Dense, Dropout, Embedding, Input, Lambda, Layer, Masking
from torchkeras.layers.base import get_mask
from torchkeras.models import Model


@pytest.mark.parametrize("make", [*benchmark.WORKLOADS, *benchmark.INFORMATION], ids=lambda make: make.__name__)
def test_a_plan_computes_what_the_layers_compute(make):
    work = make()
    torch.testing.assert_close(work.model(work.data), work.by_hand(work.data))


def test_values_go_as_soon_as_nothing_needs_them():
    alive: list[weakref.ref] = []
    most = []

    def watch(x):
        most.append(sum(1 for ref in alive if ref() is not None))
        y = x + 1
        alive.append(weakref.ref(y))
        return y

    x = Input((3,))
    h = Lambda(watch)(x)
    for _ in range(10):
        h = Add()([Lambda(watch)(h), h])
    model = Model(x, h)
    most.clear()
    alive.clear()
    with torch.no_grad():
        model(torch.zeros(2, 3))
    assert len(most) == 11
    assert max(most) <= 2


def test_every_form_of_call():
    class Strange(Layer):
        """Several arguments by position and keyword, nested outputs, `training`."""

        def call(self, a, b, *, scale=1.0, extra=None, training=None):
            return {"sum": (a + b) * scale, "pair": [a - b, extra[0] * (2.0 if training else 3.0)]}

    a, b, c = Input((3,)), Input((3,)), Input((3,))
    made = Strange()(a, b, scale=2.0, extra=[c])
    model = Model({"a": a, "b": b, "c": c}, {"out": made["sum"], "rest": made["pair"]})
    x, y, z = torch.randn(3, 2, 3)
    got = model({"c": z, "a": x, "b": y})
    torch.testing.assert_close(got, {"out": (x + y) * 2, "rest": [x - y, z * 3]})
    torch.testing.assert_close(model({"a": x, "b": y, "c": z}, training=True)["rest"][1], z * 2)
    assert model.output_names == ["strange", "strange_1", "strange_2"]


def test_outputs_may_be_inputs_and_repeat():
    x = Input((3,))
    h = Dense(2)(x)
    model = Model(x, [h, x, h])
    data = torch.randn(2, 3)
    first, second, third = model(data)
    assert second is data
    assert first is third


def test_training_reaches_layers_for_one_call():
    x = Input((200,))
    model = Model(x, Dropout(0.5)(Activation("linear")(x)))
    data = torch.ones(2, 200)
    assert (model(data) == 1).all()
    assert (model(data, training=True) == 0).any()
    assert not any(module.training for module in model.modules())
    model.train()
    assert (model(data) == 0).any()
    assert (model(data, training=False) == 1).all()


def test_masks_travel_through_every_kind_of_step():
    x = Input((4,), dtype="int32")
    h = Embedding(5, 3, mask_zero=True)(x)
    h = Activation("tanh")(h)
    h = Add()([h, Activation("linear")(h)])
    out, last, _ = LSTM(2, return_sequences=True, return_state=True)(h)
    model = Model(x, [out, last])
    data = torch.tensor([[1, 2, 0, 0], [3, 0, 1, 2]])
    got, final = model(data)
    assert get_mask(got).tolist() == (data != 0).tolist()
    embedding, tanh, linear, add, lstm = (model.layers[index] for index in (1, 2, 3, 4, 5))
    value = tanh(embedding(data))
    expected, expected_last, _ = lstm(add([value, linear(value)]))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(final, expected_last)


def test_a_mask_given_to_the_model_is_that_of_its_input():
    x = Input((4, 3))
    model = Model(x, LSTM(2)(x))
    data = torch.randn(2, 4, 3)
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    torch.testing.assert_close(model(data, mask=mask)[0], model(data[:1, :2])[0])
    masked = Masking()(Input((4, 3)))
    assert masked.keras_mask is not None


def test_a_layer_may_be_replaced():
    x = Input((3,))
    h = Dense(4, name="first")(x)
    model = Model(x, Dense(2, name="second")(h))
    data = torch.randn(2, 3)
    model(data)

    class Doubling(Layer):
        def call(self, inputs, training=None):
            assert training is not None
            return inputs.repeat(1, 2)[:, :4]

    model.first = Doubling()
    torch.testing.assert_close(model(data), model.second(data.repeat(1, 2)[:, :4]))
    model.first = nn.Linear(3, 4)
    torch.testing.assert_close(model(data), model.second(model.first(data)))
    assert model.layers[1] is model.first


def test_hooks_of_layers_are_called():
    x = Input((3,))
    model = Model(x, Add()([Dense(3, name="dense")(x), x]) * 2)
    seen = []
    for layer in model.layers[1:]:
        layer.register_forward_hook(lambda module, args, output: seen.append(module))
    model(torch.zeros(1, 3))
    assert [type(module).__name__ for module in seen] == ["Dense", "Add", "TorchOp"]


def test_a_class_with_a_door_of_its_own_is_not_passed_by():
    class Counted(Dense):
        calls = 0

        def __call__(self, *args, **kwargs):
            Counted.calls += 1
            return super().__call__(*args, **kwargs)

    x = Input((3,))
    model = Model(x, Counted(2)(x))
    Counted.calls = 0
    model(torch.zeros(1, 3))
    assert Counted.calls == 1


def test_a_wrong_number_or_name_of_inputs_is_told():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    model = Model([a, b], Add()([a, b]), name="two")
    data = np.zeros((1, 3), "float32")
    with pytest.raises(ValueError, match=r"Model 'two' has 2 inputs \(a, b\), but it was called with 1"):
        model(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"Model 'two' needs the inputs \['a', 'b'\], but the dict has no \['b'\]"):
        model({"a": data, "c": data})
    torch.testing.assert_close(model([data, data]), torch.zeros(1, 3))
