"""What ported code reads although it begins with an underscore: on symbolic tensors, layers and nodes."""

from __future__ import annotations

import numpy as np
import pytest

from torchkeras import config, set_keras_version
from torchkeras.layers import GRU, LSTM, BatchNormalization, Convolution2D, Dense, Dropout, Embedding, Input, add
from torchkeras.models import Model, Sequential


@pytest.fixture(params=["1.2.2", "2.2.4", "2.4.0"])
def graph(request):
    set_keras_version(request.param)
    ids = Input((5,), name="ids")
    vectors = Embedding(10, 4, mask_zero=True, name="vectors")(ids)
    dropped = Dropout(0.5, name="dropped")(vectors)
    last = LSTM(3, name="last")(dropped)
    return ids, vectors, dropped, last


def test_symbolic_tensors_tell_their_shape_history_and_mask(graph):
    ids, vectors, dropped, last = graph
    assert [tensor._keras_shape for tensor in graph] == [(None, 5), (None, 5, 4), (None, 5, 4), (None, 3)]
    layer, node_index, tensor_index = dropped._keras_history
    assert (layer.name, node_index, tensor_index) == ("dropped", 0, 0)
    assert ids._keras_mask is None
    assert vectors._keras_mask._keras_shape == (None, 5)
    assert last._keras_mask is None


def test_symbolic_tensors_tell_whether_they_depend_on_the_phase(graph):
    assert [tensor._uses_learning_phase for tensor in graph] == [False, False, True, True]
    x = Input((4,))
    assert not Dropout(0.0)(x)._uses_learning_phase
    assert not GRU(2)(Input((3, 2)))._uses_learning_phase
    assert GRU(2, dropout=0.3)(Input((3, 2)))._uses_learning_phase
    assert BatchNormalization()(x)._uses_learning_phase


def test_nodes_tell_where_they_stand(graph):
    _, vectors, dropped, last = graph
    one, two = Dense(2, name="one"), Dense(2, name="two")
    a, b = one(last), two(last)
    total = add([a, b])
    layer = total._keras_history[0]
    (node,) = layer._inbound_nodes
    assert node.outbound_layer is layer
    assert [inner.name for inner in node.inbound_layers] == ["one", "two"]
    assert (node.node_indices, node.tensor_indices) == ([0, 0], [0, 0])
    assert (node.input_tensors[0] is a, node.output_tensors[0] is total) == (True, True)
    assert (node.input_shapes, node.output_shapes) == ([(None, 2), (None, 2)], [(None, 2)])
    assert (node.input_masks, node.output_masks, node.arguments) == ([None, None], [None], {})
    (after,) = one._outbound_nodes
    assert after is node
    (masked,) = dropped._keras_history[0]._inbound_nodes
    assert masked.input_masks == [vectors._keras_mask]


def test_an_input_layer_gives_its_own_tensor(graph):
    ids, *_, last = graph
    model = Model(ids, last)
    assert model.layers[0].input is ids
    assert model.layers[0].output is ids
    assert model.layers[0].get_input_at(0) is ids


def test_weights_written_under_keras_1_are_read_again(tmp_path):
    set_keras_version("1.2.2")
    config.set_image_data_format("channels_first")
    model = Sequential([Convolution2D(4, 3, 2, input_shape=(3, 6, 6))])
    model.save_weights(str(tmp_path / "w.h5"))
    other = Sequential([Convolution2D(4, 3, 2, input_shape=(3, 6, 6))])
    other.load_weights(str(tmp_path / "w.h5"))
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    sequence = Sequential([LSTM(3, input_shape=(4, 2))])
    sequence.save_weights(str(tmp_path / "s.h5"))
    again = Sequential([LSTM(3, input_shape=(4, 2))])
    again.load_weights(str(tmp_path / "s.h5"))
    np.testing.assert_array_equal(again.get_weights()[1], sequence.get_weights()[1])
