"""Initial states, constants, states kept across batches, and masks, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchkeras.generations import using_keras_version
from torchkeras.layers.base import Layer, get_mask, set_mask
from torchkeras.layers.convolutional_recurrent import ConvLSTM2D
from torchkeras.layers.embeddings import Embedding
from torchkeras.layers.input_layer import Input
from torchkeras.layers.masking import Masking
from torchkeras.layers.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, SimpleRNN
from torchkeras.layers.recurrent.calling import flat_sizes
from torchkeras.models import Model

LAYERS = {
    "LSTM": lambda **k: LSTM(3, **k),
    "GRU": lambda **k: GRU(3, **k),
    "SimpleRNN": lambda **k: SimpleRNN(3, activation="relu", **k),
    "slow gates": lambda **k: LSTM(3, recurrent_activation="hard_sigmoid", **k),
    "reset before": lambda **k: GRU(3, reset_after=False, **k),
    "stack": lambda **k: RNN([LSTMCell(2), GRUCell(3)], **k),
    "torch": lambda **k: RNN(torch.nn.GRUCell(2, 3), **k),
    "conv": lambda **k: ConvLSTM2D(3, 3, padding="same", **k),
}


def some_input(name, batch, steps):
    return torch.randn(batch, steps, 3, 4, 2) if name == "conv" else torch.randn(batch, steps, 2)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(LAYERS)),
    mask=st.integers(1, 5).flatmap(lambda steps: st.lists(st.lists(st.booleans(), min_size=steps, max_size=steps), min_size=1, max_size=4)),
    form=st.sampled_from(["auto", "dense", "packed", "scan"]),
    backwards=st.booleans(),
)
def test_a_masked_row_is_the_row_alone_on_its_valid_steps(name, mask, form, backwards):
    mask = torch.tensor(mask)
    layer = LAYERS[name](return_sequences=True, return_state=True, go_backwards=backwards, masked=form)
    x = some_input(name, *mask.shape)
    together = layer(x, mask=mask)
    for row in range(len(mask)):
        if mask[row].any():
            alone = layer(x[row : row + 1, mask[row]])
            shown = mask[row].flip(0) if backwards else mask[row]
            torch.testing.assert_close(together[0][row : row + 1, shown], alone[0], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close([state[row : row + 1] for state in flat_sizes(together[1:])], flat_sizes(alone[1:]), rtol=1e-5, atol=1e-6)
        else:
            assert not any(state[row].any() for state in flat_sizes(together[1:]))


@pytest.mark.parametrize("name", LAYERS)
def test_two_halves_are_the_whole(name):
    """States handed on by call, by a stateful layer, or not at all: the same."""
    x = some_input(name, 2, 6)
    whole = LAYERS[name](return_sequences=True, return_state=True)
    expected = whole(x)
    first = whole(x[:, :4])
    second = whole(x[:, 4:], initial_state=first[1:])
    torch.testing.assert_close(second[0], expected[0][:, 4:])
    torch.testing.assert_close(second[1:], expected[1:])

    kept = LAYERS[name](return_sequences=True, return_state=True, stateful=True)
    kept(x)
    kept.load_state_dict(whole.state_dict())
    kept.reset_states()
    kept(x[:, :4])
    torch.testing.assert_close(kept(x[:, 4:])[0], expected[0][:, 4:])
    torch.testing.assert_close(kept.states, flat_sizes(expected[1:]))
    kept.reset_states()
    assert not any(state.any() for state in kept.states)
    torch.testing.assert_close(kept(x)[0], expected[0])


def test_kept_states_are_detached_and_follow_the_layer():
    layer = LSTM(3, stateful=True)
    x = torch.randn(2, 4, 2)
    layer(x).sum().backward()
    layer(x).sum().backward()  # no graph of the batch before
    assert not any(state.requires_grad for state in layer.states)
    assert all(state.dtype is torch.float64 for state in layer.double().states)
    assert not [name for name in layer.state_dict() if "state" in name]


def test_states_kept_by_inference_serve_training():
    layer = LSTM(3, stateful=True)
    x = torch.randn(2, 4, 2)
    with torch.inference_mode():
        layer(x)
    layer(x).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_states_are_zeros_from_the_start_where_the_batch_is_known():
    layer = LSTM(3, stateful=True)
    assert layer.states == [None, None]
    layer(Input(batch_shape=(4, 5, 2)))
    assert [tuple(state.shape) for state in layer.states] == [(4, 3), (4, 3)] and not any(state.any() for state in layer.states)


def test_states_from_the_start_have_memory_of_their_own():
    layer = LSTM(3, stateful=True)
    layer.build((2, 4, 1))
    hidden, cell = layer.states
    hidden.fill_(1.0)
    assert not cell.any()


def test_states_can_be_set():
    layer = LSTM(3, stateful=True, return_state=True)
    x, start = torch.randn(2, 4, 2), [np.random.randn(2, 3), np.random.randn(2, 3)]
    layer(x)
    layer.reset_states(start)
    expected = LSTM(3, return_state=True)
    expected(x)
    expected.set_weights(layer.get_weights())
    torch.testing.assert_close(layer(x), expected(x, initial_state=[torch.as_tensor(s).float() for s in start]))


@pytest.mark.parametrize(("version", "taken"), [("2.2.4", True), ("2.4.0", False)])
def test_an_initial_state_meets_a_recorded_one(version, taken):
    """Keras 2.2.4 takes what it is given; tf.keras only while the recorded states are zero."""
    with using_keras_version(version):
        layer = GRU(3, stateful=True)
        plain = GRU(3)
    x, start = torch.randn(2, 4, 2), torch.randn(2, 3)
    plain(x)
    layer(x)
    layer.set_weights(plain.get_weights())
    layer.reset_states()
    torch.testing.assert_close(layer(x, initial_state=start), plain(x, initial_state=start))
    recorded = layer.states[0]
    torch.testing.assert_close(layer(x, initial_state=start), plain(x, initial_state=start if taken else recorded))


def test_initial_states_may_come_in_the_list_of_inputs():
    layer = LSTM(3)
    x, h, c = torch.randn(2, 4, 2), torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(layer([x, h, c]), layer(x, initial_state=[h, c]))


def test_symbolic_initial_states():
    x, h, c = Input((None, 2)), Input((3,)), Input((3,))
    encoder, decoder = LSTM(3, return_state=True), LSTM(3, return_sequences=True)
    _, *states = encoder(x, initial_state=[h, c])
    model = Model([x, h, c], decoder(x, initial_state=states))
    values = torch.randn(2, 4, 2), torch.randn(2, 3), torch.randn(2, 3)
    expected = decoder(values[0], initial_state=encoder(values[0], initial_state=list(values[1:]))[1:])
    torch.testing.assert_close(model(list(values)), expected)
    again = Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    torch.testing.assert_close(again(list(values)), expected)


class Attention(Layer):
    """A cell that adds what its constants say."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.seen = input_shape
        self.add_weight("kernel", (self.units, self.units), initializer="identity")

    def call(self, inputs, states, constants):
        output = inputs + states[0] @ self.kernel + constants[0]
        return output, [output]


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_constants_reach_every_step(version):
    with using_keras_version(version):
        layer = RNN(Attention(2), return_sequences=True)
    x, constant = torch.randn(3, 4, 2), torch.randn(3, 2)
    y = layer(x, constants=[constant])
    torch.testing.assert_close(y, (x + constant.unsqueeze(1)).cumsum(1))
    torch.testing.assert_close(layer([x, torch.zeros(3, 2), constant]), y)
    assert layer.get_config()["num_constants"] == 1
    # Keras 2.2.4 tells the cell the shapes of the constants too
    assert layer.cell.seen == ([(3, 2), (3, 2)] if version == "2.2.4" else (3, 2))


def test_masks_come_from_embedding_and_masking():
    ids = torch.tensor([[0, 0, 4, 2], [5, 0, 0, 0], [0, 0, 0, 0]])
    embedding, layer = Embedding(6, 2, mask_zero=True), LSTM(3, return_sequences=True, return_state=True)
    y, *states = layer(embedding(ids))
    torch.testing.assert_close(get_mask(y), ids != 0)
    assert get_mask(states[0]) is None
    expected = layer(embedding.weight[ids], mask=ids != 0)
    torch.testing.assert_close([y, *states], expected)
    x = torch.randn(2, 4, 2)
    x[0, 1] = 0
    torch.testing.assert_close(layer(Masking()(x)), layer(x, mask=(x != 0).any(-1)))


def test_a_model_hands_masks_on():
    x = Input((None,))
    layer = GRU(3, return_sequences=True)
    hidden = layer(Embedding(6, 2, mask_zero=True)(x))
    model = Model(x, hidden)
    ids = torch.tensor([[0, 0, 4, 2], [5, 3, 0, 0]])
    torch.testing.assert_close(get_mask(model(ids)), ids != 0)


def test_unrolled_layers_of_keras_2_put_out_zeros_before_the_first_valid_step():
    mask = torch.tensor([[0, 1, 0]]).bool()
    with using_keras_version("2.2.4"):
        rolled, unrolled = SimpleRNN(3, return_sequences=True), SimpleRNN(3, return_sequences=True, unroll=True)
    x, start = torch.randn(1, 3, 2), torch.randn(1, 3)
    rolled(x)
    unrolled(x)
    unrolled.set_weights(rolled.get_weights())
    first, second = rolled(x, mask=mask, initial_state=start), unrolled(x, mask=mask, initial_state=start)
    torch.testing.assert_close(first[:, 0], start)
    assert not second[:, 0].any()
    torch.testing.assert_close(first[:, 1:], second[:, 1:])


def test_masks_of_numbers_are_read_as_truth():
    layer, x = GRU(3), torch.randn(2, 4, 2)
    mask = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 1]])
    torch.testing.assert_close(layer(x, mask=mask.float()), layer(x, mask=mask.bool()))
    torch.testing.assert_close(layer(x, mask=mask.unsqueeze(2)), layer(x, mask=mask.bool()))


def test_zero_output_for_mask():
    layer, x = LSTM(3, return_sequences=True, zero_output_for_mask=True), torch.randn(2, 4, 2)
    mask = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 1]]).bool()
    y = layer(x, mask=mask)
    assert not y[~mask].any() and y[mask].all()


class TestErrors:
    def test_initial_states_of_another_number_or_size(self):
        layer, x = LSTM(3, name="lstm"), torch.randn(2, 4, 2)
        with pytest.raises(ValueError, match="'lstm' has 2 states, but was passed 1 initial states"):
            layer(x, initial_state=torch.randn(2, 3))
        with pytest.raises(ValueError, match=r"Initial state 1 of 'lstm' must have the shape \(2, 3\), but got \(2, 4\)"):
            layer(x, initial_state=[torch.randn(2, 3), torch.randn(2, 4)])
        with pytest.raises(ValueError, match=r"Initial state 0 of 'lstm' must have the shape \(2, 3\), but got \(3, 3\)"):
            layer(x, initial_state=[torch.randn(3, 3), torch.randn(3, 3)])

    def test_symbolic_and_plain_states_do_not_mix(self):
        with pytest.raises(ValueError, match=r"must be all symbolic .* but got a mix"):
            LSTM(3)(Input((4, 2)), initial_state=[Input((3,)), torch.randn(2, 3)])

    def test_stateful_without_a_fixed_batch_size(self):
        with pytest.raises(ValueError, match=r"'lstm' is stateful, so it needs to know its batch size, but got an input of shape \(None, 4, 2\)"):
            LSTM(3, stateful=True, name="lstm")(Input((4, 2)))

    def test_a_batch_of_another_size(self):
        layer = LSTM(3, stateful=True, name="lstm")
        layer(torch.randn(4, 5, 2))
        with pytest.raises(ValueError, match="'lstm' is stateful and keeps the states of 4 rows, but got a batch of 3"):
            layer(torch.randn(3, 5, 2))
        layer.reset_states()
        assert layer(torch.randn(3, 5, 2)).shape == (3, 3)

    def test_resetting(self):
        with pytest.raises(AttributeError, match="'lstm' is not stateful, so it has no states to reset"):
            LSTM(3, name="lstm").reset_states()
        layer = LSTM(3, stateful=True, name="lstm")
        layer(torch.randn(4, 5, 2))
        with pytest.raises(ValueError, match=r"'lstm' has 2 states, but reset_states\(\) got 1"):
            layer.reset_states([np.zeros((4, 3))])
        with pytest.raises(ValueError, match=r"State 1 of 'lstm' must have the shape \(4, 3\), but reset_states\(\) got \(4, 2\)"):
            layer.reset_states([np.zeros((4, 3)), np.zeros((4, 2))])

    def test_constants_for_a_cell_without_them(self):
        with pytest.raises(ValueError, match="got constants, but its cell LSTMCell has no argument `constants`"):
            LSTM(3)(torch.randn(2, 4, 2), constants=[torch.randn(2, 3)])

    def test_stacks_of_unequal_cells_under_a_mask_in_keras_2(self):
        with using_keras_version("2.2.4"):
            layer = RNN([LSTMCell(2), LSTMCell(3)])
        with pytest.raises(ValueError, match=r"Stacked cells of the sizes \[2, 3\] take no mask in Keras 2.2.4"):
            layer(torch.randn(2, 4, 2), mask=torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool())

    def test_a_mask_that_hangs_on_the_input_counts(self):
        x = torch.randn(2, 4, 2)
        set_mask(x, torch.ones(2, 3, dtype=torch.bool))
        with pytest.raises(ValueError, match=r"but got a mask of shape \(2, 3\)"):
            LSTM(3)(x)
