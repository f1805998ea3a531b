"""What `to_torch()` refuses, and names that must stay names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.exporting.checks import exported
from torchkeras import backend as K
from torchkeras import layers
from torchkeras.exporting import ExportError, to_torch
from torchkeras.layers import Dense, Input
from torchkeras.models import Model, Sequential


class Own(Dense):
    def call(self, inputs):
        return super().call(inputs) + 1


class Subclassed(Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Lambda(lambda x: x + 1, name="mine"), r"layer 'mine' \(Lambda\): it calls the Python function"),
        (lambda: layers.LocallyConnected1D(2, 2, name="local"), r"layer 'local' \(LocallyConnected1D\): its class has no like"),
        (lambda: layers.LSTM(2, recurrent_dropout=0.25), "recurrent_dropout=0.25"),
        (lambda: layers.LSTM(2, dropout=0.25, implementation=1), "implementation=2"),
        (lambda: Own(2, name="own"), r"layer 'own' \(Own\): its class is derived"),
        (lambda: Dense(2, activation=lambda x: x), "is no function of torch"),
        (lambda: layers.AlphaDropout(0.5, noise_shape=(None, 1, 1)), "noise_shape"),
        (lambda: layers.BatchNormalization(renorm=True), "renorm"),
        (lambda: Subclassed(name="sub"), "model 'sub'|layer 'sub'"),
        (lambda: nn.Sequential(Dense(2)), "the torchkeras layer 'dense'"),
    ],
)
def test_what_has_no_plain_form_is_named(make, words):
    x = Input((5, 3))
    with pytest.raises(ExportError, match=words):
        Model(x, make()(x)).to_torch()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.LSTM(2, recurrent_activation="hard_sigmoid", name="old"), r"layer 'old' \(LSTM\): .*recurrent_activation=hard_sigmoid"),
        (lambda: layers.GRU(2, reset_after=False), "reset_after=False, and nn.GRU computes tanh and sigmoid and reset_after=True only"),
        (lambda: layers.SimpleRNN(2, activation="elu"), "activation=elu, and nn.RNN computes tanh or relu only"),
        (lambda: layers.Bidirectional(layers.LSTM(2, activation="relu")), "make the model with an Input of so many steps"),
    ],
)
def test_a_loop_is_not_written_for_any_number_of_steps(make, words):
    x = Input((None, 3))
    with pytest.raises(ExportError, match=words):
        Model(x, make()(x)).to_torch()


def test_masks_are_refused_only_where_they_count():
    ids = Input((5,), dtype="int32")
    vectors = layers.Embedding(9, 4, mask_zero=True)(ids)
    exported(Model(ids, layers.Flatten()(vectors)), torch.randint(0, 9, (2, 5)))
    with pytest.raises(ExportError, match=r"layer 'lstm' \(LSTM\): it heeds a mask \(by way of 'embedding'\)"):
        Model(ids, layers.LSTM(3)(vectors)).to_torch()


def test_stateful_layers_and_wrong_calls_are_refused():
    x = Input(batch_shape=(2, 5, 3))
    with pytest.raises(ExportError, match="it is stateful"):
        Model(x, layers.LSTM(2, stateful=True)(x)).to_torch()
    y = Input((5,))
    with pytest.raises(ExportError, match="training=True"):
        Model(y, layers.Dropout(0.5)(y, training=True)).to_torch()
    with pytest.raises(ExportError, match=r"it applies K\.square"):
        Model(y, K.square(y)).to_torch()
    with pytest.raises(ExportError, match="it was never built"):
        Sequential([Dense(2)]).to_torch()
    with pytest.raises(TypeError, match="takes a model of layers, but got Dense"):
        to_torch(Dense(2))


@pytest.mark.parametrize("name", ['x"""\nraise SystemExit\n"""', "class", "forward", "1 a.b", "", "F"])
def test_no_name_of_a_model_or_layer_becomes_code(name):
    x = Input((2,), name=name or "in")
    y = Dense(2, name=f"{name}_d")(x)
    inner_in = Input((2,))
    inner = Model(inner_in, Dense(2, name=name or "d")(inner_in), name=f"{name}_i")
    model = Model([x, Input((2,), name="other")], inner(y), name=name or "m")
    exported(model, torch.rand(2, 2), torch.rand(2, 2))
