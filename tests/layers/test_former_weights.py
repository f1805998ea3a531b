"""Weights in the form of Keras 1: gates apart, kernels for channels first in Theano's order of axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import backend as K
from torchkeras import layers
from torchkeras.models import Sequential

# the names that Keras 1.2.2 gives, in its order
LSTM = [f"lstm_1_{what}_{gate}:0" for gate in "icfo" for what in "WUb"]
GRU = [f"gru_1_{what}_{gate}:0" for gate in "zrh" for what in "WUb"]


def built(kind, version="1.2.2", shape=(3, 5), **kwargs):
    with torchkeras.using_keras_version(version):
        layer = kind(**kwargs)
        layer(torch.zeros(2, *shape))
    return layer


def numbered(layer):
    return [np.full(tuple(weight.shape), number, "float32") for number, weight in enumerate(layer.weights)]


@pytest.mark.parametrize(("kind", "names"), [(layers.LSTM, LSTM), (layers.GRU, GRU)])
def test_keras_1_lists_each_gate_apart(kind, names):
    layer = built(kind, units=4, name=names[0].partition("_W")[0])
    assert [weight.name for weight in layer.weights] == names
    assert [array.shape for array in layer.get_weights()] == [(5, 4), (4, 4), (4,)] * (len(names) // 3)
    values = numbered(layer)
    layer.set_weights(values)
    for one, two in zip(layer.get_weights(), values, strict=True):
        np.testing.assert_array_equal(one, two)


def test_gates_go_to_their_places():
    lstm = built(layers.LSTM, units=1, shape=(3, 2))
    lstm.set_weights(numbered(lstm))
    np.testing.assert_array_equal(lstm.cell.kernel[0].detach(), [0, 6, 3, 9])  # i f c o
    np.testing.assert_array_equal(lstm.cell.bias.detach(), [2, 8, 5, 11])
    gru = built(layers.GRU, units=1, shape=(3, 2))
    gru.set_weights(numbered(gru))
    np.testing.assert_array_equal(gru.cell.kernel[0].detach(), [0, 3, 6])  # z r h
    np.testing.assert_array_equal(gru.cell.weight_ih[:, 0].detach(), [3, 0, 6])  # as torch has them


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_one_gate_is_written_alone(kind):
    layer = built(kind, units=4)
    layer.set_weights(numbered(layer))
    first, *rest = layer.weights
    K.batch_set_value([(first, np.full((5, 4), 50.0)), (rest[1], np.full(4, 60.0))])
    assert [array.flat[0] for array in layer.get_weights()] == [50, 1, 60, *range(3, 3 + len(rest) - 2)]
    np.testing.assert_array_equal(K.get_value(first), np.full((5, 4), 50.0))
    with pytest.raises(ValueError, match=r"has the shape \(5, 4\), but got a value of shape \(4, 5\)"):
        first.assign(np.zeros((4, 5)))


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
def test_consume_less_gpu_has_the_gates_side_by_side(kind):
    layer = built(kind, output_dim=4, consume_less="gpu")
    assert len(layer.get_weights()) == 3


@pytest.mark.parametrize("kind", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_later_releases_list_three_arrays_and_take_both_forms(kind, version):
    kwargs = {"units": 4, **({"reset_after": False} if kind is layers.GRU else {})}
    old, new = built(kind, **kwargs), built(kind, version, **kwargs)
    assert len(new.get_weights()) == 3
    new.set_weights(old.get_weights())
    for one, two in zip(new.stored_weights, old.stored_weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    old.set_weights([array + 1 for array in new.get_weights()])
    np.testing.assert_array_equal(old.cell.kernel.detach(), new.cell.kernel.detach() + 1)


def test_a_wrong_number_is_refused_by_both_forms():
    with pytest.raises(ValueError, match=r"has 12 weights .*but set_weights got 4 arrays"):
        built(layers.LSTM, units=4).set_weights([np.zeros(4)] * 4)
    with pytest.raises(ValueError, match=r"has 3 weights .*but set_weights got 12 arrays"):
        built(layers.LSTM, "2.2.4", units=4).set_weights([np.zeros(4)] * 12)
    with pytest.raises(ValueError, match=r"has 3 weights .*but set_weights got 9 arrays"):  # a bias of its own for the reset gate
        built(layers.GRU, "2.4.0", units=4).set_weights(built(layers.GRU, units=4).get_weights())


def test_both_sides_of_a_bidirectional_and_models_follow():
    with torchkeras.using_keras_version("1.2.2"):
        model = Sequential([layers.Bidirectional(layers.LSTM(2, return_sequences=True), input_shape=(3, 5)), layers.GRU(2), layers.Dense(1)])
    assert len(model.layers[0].get_weights()) == 24
    arrays = model.get_weights()
    assert len(arrays) == len(model.weights) == 24 + 9 + 2
    model.set_weights([array + 1 for array in arrays])
    for one, two in zip(model.get_weights(), arrays, strict=True):
        np.testing.assert_allclose(one, two + 1)
    assert model.count_params() == sum(array.size for array in arrays)
    assert len(model.trainable_weights) == 6 + 3 + 2  # what optimizers train is as it is stored


def test_initial_weights_may_have_keras_1_s_form():
    arrays = [array + 1 for array in built(layers.LSTM, units=4).get_weights()]
    layer = built(layers.LSTM, units=4, weights=arrays)
    for one, two in zip(layer.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("kind", "kwargs", "shape", "former"),
    [
        (layers.Conv2D, {"filters": 4, "kernel_size": (2, 3), "data_format": "channels_first"}, (5, 6, 7), (4, 5, 2, 3)),
        (layers.Conv2D, {"filters": 4, "kernel_size": (2, 3), "data_format": "channels_last"}, (6, 7, 5), (2, 3, 5, 4)),
        (layers.Conv3D, {"filters": 4, "kernel_size": (1, 2, 3), "data_format": "channels_first"}, (5, 3, 6, 7), (4, 5, 1, 2, 3)),
        (layers.Conv1D, {"filters": 4, "kernel_size": 3}, (6, 5), (3, 1, 5, 4)),
        (layers.Conv2DTranspose, {"filters": 4, "kernel_size": (2, 3), "data_format": "channels_last"}, (6, 7, 5), (2, 3, 5, 4)),
        (layers.Conv2DTranspose, {"filters": 4, "kernel_size": (2, 3), "data_format": "channels_first"}, (5, 6, 7), (4, 5, 2, 3)),
        (layers.SeparableConv2D, {"filters": 4, "kernel_size": (2, 3), "data_format": "channels_first"}, (5, 6, 7), (1, 5, 2, 3)),
        (layers.ConvLSTM2D, {"filters": 4, "kernel_size": (2, 3), "data_format": "channels_first"}, (2, 5, 6, 7), (4, 5, 2, 3)),
    ],
)
def test_kernels_have_the_axes_of_keras_1(kind, kwargs, shape, former):
    layer = built(kind, shape=shape, **kwargs)
    assert layer.get_weights()[0].shape == former
    kept = [weight.numpy() for weight in layer.stored_weights]
    values = [array + 1 for array in layer.get_weights()]
    layer.set_weights(values)
    for one, two in zip(layer.stored_weights, kept, strict=True):
        np.testing.assert_allclose(one.numpy(), two + 1)
