"""Recurrent layers that torch.nn has no like of are written out as linear parts and a loop."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from tests.exporting.checks import exported
from torchkeras import generations, layers
from torchkeras.layers import Dense, Input
from torchkeras.models import Model, Sequential

MAKE = {
    "lstm of Keras 2": lambda: layers.LSTM(2, recurrent_activation="hard_sigmoid"),
    "sequence": lambda: layers.LSTM(2, recurrent_activation="hard_sigmoid", return_sequences=True, return_state=True),
    "softmax": lambda: layers.LSTM(3, activation="softmax", use_bias=False),
    "gru of Keras 2": lambda: layers.GRU(2, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True),
    "gru with two biases": lambda: layers.GRU(2, activation="relu", return_state=True),
    "simple": lambda: layers.SimpleRNN(2, activation="softsign", go_backwards=True, return_sequences=True),
    "module": lambda: layers.SimpleRNN(2, activation=nn.PReLU(2)),
    "cell": lambda: layers.RNN(layers.GRUCell(2, reset_after=False)),
    "both": lambda: layers.Bidirectional(layers.LSTM(2, recurrent_activation="hard_sigmoid", return_sequences=True), merge_mode="ave"),
    "both, one of torch": lambda: layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2, activation="relu", go_backwards=True)),
    "time first": lambda: layers.LSTM(2, activation="elu", time_major=True, return_sequences=True),
}


def of_random_weights(model: Model) -> Model:
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(size=weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("which", MAKE)
def test_the_loop_computes_the_layer(which):
    x = Input(batch_shape=(4, 5, 3)) if which == "time first" else Input((5, 3))
    _, text = exported(of_random_weights(Model(x, MAKE[which]()(x))), 2 * torch.randn(4, 5, 3))
    assert "for step in range(" in text


def test_states_go_from_one_loop_to_the_next():
    first, second, name = Input((4, 3)), Input((2, 3)), Input((3,), name="step")
    encoded, state = layers.GRU(2, reset_after=False, return_state=True)(first)
    decoded = layers.GRU(2, reset_after=False, return_sequences=True)(second, initial_state=[state])
    model = of_random_weights(Model([first, second, name], [encoded, decoded, Dense(1)(name)]))
    _, text = exported(model, torch.randn(5, 4, 3), torch.randn(5, 2, 3), torch.randn(5, 3))
    assert "for step_2 in range(4)" in text and "for step_3 in range(2)" in text  # an input has the name


def test_a_layer_called_twice_has_one_set_of_weights():
    x, y = Input((3, 2)), Input((3, 2))
    shared = layers.LSTM(2, recurrent_activation="hard_sigmoid")
    module, _ = exported(of_random_weights(Model([x, y], [shared(x), shared(y)])), torch.randn(2, 3, 2), torch.randn(2, 3, 2))
    assert sorted(dict(module.named_parameters())) == ["lstm_input.bias", "lstm_input.weight", "lstm_recurrent.weight"]


def test_it_trains_as_the_layer_does():
    with generations.using_keras_version("2.2.4"):
        model = Sequential([layers.GRU(2, input_shape=(4, 3)), Dense(1)])
    module = model.to_torch()
    x, y = torch.randn(6, 4, 3), torch.randn(6, 1)
    model.compile(torch.optim.SGD(model.parameters(), 0.1), nn.MSELoss())
    ours = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(3):
        model.train_on_batch(x, y)
        ours.zero_grad()
        nn.functional.mse_loss(module(x), y).backward()
        ours.step()
    torch.testing.assert_close(module(x), model(x).as_subclass(torch.Tensor), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reset_after", [True, False])
def test_frozen_weights_stay_frozen_and_copies_need_no_class(reset_after):
    x = Input((3, 2))
    layer = layers.GRU(2, activation="elu", reset_after=reset_after, trainable=False)
    module = Model(x, Dense(1)(layer(x))).to_torch()
    assert [name for name, parameter in module.named_parameters() if parameter.requires_grad] == ["dense.weight", "dense.bias"]
    values = torch.randn(2, 3, 2)
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(values), module(values))
