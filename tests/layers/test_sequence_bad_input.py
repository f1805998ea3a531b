"""Sequences that cannot be run are refused with who, what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras.layers import GRU, LSTM, RNN, Bidirectional, ConvLSTM2D, Dense, Embedding, Input, TimeDistributed
from torchkeras.models import Sequential

X = np.ones((4, 5, 3), dtype="float32")


@pytest.mark.parametrize("shape", [(4, 6), (3, 5), (4,)])
@pytest.mark.parametrize("as_tensor", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: LSTM(2),
        lambda: LSTM(2, recurrent_activation="hard_sigmoid"),
        lambda: Bidirectional(GRU(2)),
        lambda: RNN(torch.nn.LSTMCell(3, 2)),
        lambda: TimeDistributed(Dense(2)),
    ],
    ids=["fused", "steps", "bidirectional", "torch", "distributed"],
)
def test_a_mask_of_another_shape_is_named(make, shape, as_tensor):
    mask = torch.ones(shape, dtype=torch.bool)
    with pytest.raises(ValueError, match=rf"inputs of shape \(4, 5, 3\), but got a mask of shape \({shape[0]},"):
        make()(X, mask=mask if as_tensor else mask.numpy())


def test_a_mask_may_be_an_array():
    layer, mask = LSTM(2), np.array([[True, True, False, True, False]] * 4)
    torch.testing.assert_close(layer(X, mask=mask), layer(X, mask=torch.from_numpy(mask)))


@pytest.mark.parametrize("bad", [-3, 5])
def test_fit_names_the_id_that_is_out_of_range(bad):
    model = Sequential([Embedding(5, 2, mask_zero=True, input_shape=(None,)), LSTM(2), Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    for data in (np.array([[1, bad]]), [np.array([1, bad])] * 2 + [np.array([1])]):
        with pytest.raises(IndexError, match=rf"knows the ids 0 to 4 \(input_dim=5\), but got the id {bad} "):
            model.fit(data, np.ones(len(data)), verbose=0)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


def test_a_stateful_layer_needs_a_fixed_batch_size():
    with pytest.raises(ValueError, match=r"is stateful, so it needs to know its batch size, but got an input of shape \(None, None, 3\)"):
        Sequential([LSTM(2, stateful=True, input_shape=(None, 3))])
    with pytest.raises(ValueError, match=r"is stateful, so it needs to know its batch size, but got an input of shape \(None, 5, 3\)"):
        Bidirectional(GRU(2, stateful=True))(Input((5, 3)))


def test_a_batch_that_does_not_divide_is_refused():
    model = Sequential([LSTM(2, stateful=True, batch_input_shape=(2, None, 3)), Dense(1)])
    model.compile("sgd", "mse")
    for call in (lambda x: model.fit(x, np.ones(3), verbose=0), lambda x: model.evaluate(x, np.ones(3), verbose=0), model.predict):
        with pytest.raises(ValueError, match=r"must be divisible by the batch size, but .* got 3 samples in batches of 2"):
            call(X[:3])
    with pytest.raises(ValueError, match="`batch_size` argument value 4 is incompatible with the batch size 2"):
        model.fit(X, np.ones(4), batch_size=4, verbose=0)
    model.predict(X)
    with pytest.raises(ValueError, match="keeps the states of 2 rows, but got a batch of 4"):
        model(X)


@pytest.mark.parametrize(
    ("make", "states", "match"),
    [
        (lambda: LSTM(2), [(4, 2), (4, 3)], r"Initial state 1 of 'lstm\w*' must have the shape \(4, 2\), but got \(4, 3\)"),
        (lambda: GRU(2), [(3, 2)], r"Initial state 0 of 'gru\w*' must have the shape \(4, 2\), but got \(3, 2\)"),
        (lambda: LSTM(2), [(4, 2)], "has 2 states, but was passed 1 initial states"),
        (lambda: Bidirectional(GRU(2)), [(4, 2), (4, 1)], r"Initial state 0 of 'backward_gru\w*' must have the shape \(4, 2\), but got \(4, 1\)"),
    ],
)
def test_initial_states_of_another_size_are_named(make, states, match):
    with pytest.raises(ValueError, match=match):
        make()(X, initial_state=[np.zeros(shape, dtype="float32") for shape in states])


@pytest.mark.parametrize("make", [lambda: LSTM(2), lambda: Bidirectional(GRU(2)), lambda: RNN(torch.nn.LSTMCell(3, 2))])
def test_sequences_of_length_0_are_refused(make):
    with pytest.raises(ValueError, match=r"at least one time step, but got sequences of length 0. Drop them"):
        make()(np.ones((2, 0, 3), dtype="float32"))
    model = Sequential([make(), Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="got sequences of length 0"):
        model.fit(np.ones((2, 0, 3)), np.ones(2), verbose=0)
    with pytest.raises(ValueError, match="Row 1 has no steps"):
        model.fit([np.ones((2, 3)), np.ones((0, 3))], np.ones(2), verbose=0)


def test_sequences_of_images_of_length_0_are_refused():
    with pytest.raises(ValueError, match="got sequences of length 0"):
        ConvLSTM2D(2, 2)(np.ones((2, 0, 4, 4, 1), dtype="float32"))
