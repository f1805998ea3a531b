"""Cells: one step of each, stacks of them, a user's own, torch's own, dropout."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from torchkeras.generations import using_keras_version
from torchkeras.layers.base import Layer
from torchkeras.layers.convolutional_recurrent import ConvLSTM2D, ConvLSTM2DCell, ConvRNN2D
from torchkeras.layers.input_layer import Input
from torchkeras.layers.recurrent import GRU, LSTM, RNN, AbstractRNNCell, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells
from torchkeras.layers.recurrent.calling import flat_sizes
from torchkeras.models import Model

CELLS = {
    "SimpleRNNCell": lambda **k: SimpleRNNCell(3, **k),
    "LSTMCell": lambda **k: LSTMCell(3, **k),
    "LSTMCell hard": lambda **k: LSTMCell(3, recurrent_activation="hard_sigmoid", **k),
    "GRUCell": lambda **k: GRUCell(3, **k),
    "GRUCell before": lambda **k: GRUCell(3, reset_after=False, **k),
    "ConvLSTM2DCell": lambda **k: ConvLSTM2DCell(3, 3, padding="same", **k),
}


def some_input(name, batch=2, steps=4):
    return torch.randn(batch, steps, 3, 4, 2) if "Conv" in name else torch.randn(batch, steps, 2)


def layer_of(cell, **kwargs):
    return (ConvRNN2D if isinstance(cell, ConvLSTM2DCell) else RNN)(cell, **kwargs)


@pytest.mark.parametrize("name", CELLS)
def test_step_by_step_is_the_layer(name):
    cell, x = CELLS[name](), some_input(name)
    layer = layer_of(cell, return_sequences=True, return_state=True)
    y, *finals = layer(x)
    states = cell.get_initial_state(inputs=x[:, 0])
    states = states if isinstance(states, list) else [states]
    for time in range(x.shape[1]):
        output, states = cell(x[:, time], states)
        torch.testing.assert_close(output, y[:, time], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(states, finals, rtol=1e-5, atol=1e-6)


def test_initial_states_without_inputs():
    for cell, count in ((LSTMCell(3), 2), (GRUCell(3), 1)):
        states = cell.get_initial_state(batch_size=4, dtype="float64")
        states = states if isinstance(states, list) else [states]
        assert [(tuple(s.shape), s.dtype) for s in states] == [((4, 3), torch.float64)] * count
    stacked = StackedRNNCells([LSTMCell(3), GRUCell(2)]).get_initial_state(batch_size=4, dtype="float32")
    assert [s.shape[1] for part in stacked for s in (part if isinstance(part, list) else [part])] == [3, 3, 2]


def test_a_stack_runs_cell_by_cell_as_it_does_step_by_step():
    class OneByOne(StackedRNNCells):
        def call(self, inputs, states, constants=None, training=None, **kwargs):
            return super().call(inputs, states, constants, training, **kwargs)

    cells = [LSTMCell(3), GRUCell(4), SimpleRNNCell(2)]
    x = torch.randn(3, 5, 2)
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]).bool()
    for options in ({}, {"go_backwards": True}, {"zero_output_for_mask": True}):
        fast = RNN(cells, return_sequences=True, return_state=True, **options)
        slow = RNN(OneByOne(cells), return_sequences=True, return_state=True, **options)
        for given in ({}, {"mask": mask}):
            torch.testing.assert_close(slow(x, **given), fast(x, **given), rtol=1e-5, atol=1e-6)


def test_the_order_of_a_stacks_states():
    cells = [LSTMCell(2), GRUCell(3)]
    assert StackedRNNCells(cells).state_size == ([2, 2], 3)
    with using_keras_version("2.2.4"):
        assert StackedRNNCells(cells).state_size == (2, 2, 3)
        with pytest.warns(UserWarning, match="reverse_state_order=True in StackedRNNCells is deprecated"):
            backwards = StackedRNNCells(cells, reverse_state_order=True)
        assert backwards.state_size == (3, 2, 2)
        assert backwards.get_config()["reverse_state_order"] is True
    layer = RNN(backwards, return_state=True)
    output, *states = layer(torch.randn(2, 4, 2))
    assert [state.shape[1] for state in states] == [3, 2, 2]
    torch.testing.assert_close(output, states[0])
    assert StackedRNNCells(cells).output_size == 3


class Momentum(AbstractRNNCell):
    """A user's cell whose output is none of its states; one state has two axes."""

    state_size = [torch.Size((2, 1)), 2]
    output_size = 2

    def call(self, inputs, states):
        speed = 0.5 * states[0] + inputs.unsqueeze(-1)
        place = states[1] + speed.squeeze(-1)
        return -place, [speed, place]


def test_a_users_cell():
    x = torch.ones(1, 3, 2)
    layer = RNN(Momentum(), return_sequences=True, return_state=True)
    y, speed, place = layer(x)
    assert y[0, :, 0].tolist() == [-1, -2.5, -4.25] and speed.shape == (1, 2, 1)
    torch.testing.assert_close(place, -y[:, -1])
    masked, *_ = layer(x, mask=torch.tensor([[0, 1, 0]]).bool())
    assert masked[0, :, 0].tolist() == [0, -1, -1]
    assert tuple(layer(Input((None, 2)))[1].shape) == (None, 2, 1)
    with pytest.raises(ValueError, match="masked='packed' moves time steps"):
        RNN(Momentum(), masked="packed")(x, mask=torch.tensor([[0, 1, 0]]).bool())


def test_a_cell_that_is_no_module():
    class Plain:
        state_size = 2

        def call(self, inputs, states):
            return inputs + states[0], [inputs + states[0]]

    x = torch.randn(2, 3, 2)
    torch.testing.assert_close(RNN(Plain(), return_sequences=True)(x), x.cumsum(1))


def test_a_cell_with_nested_inputs():
    class Gated(Layer):
        state_size = 2

        def build(self, input_shape):
            self.seen = input_shape

        def call(self, inputs, states):
            value, gate = inputs
            return gate * value + states[0], [gate * value + states[0]]

    layer = RNN(Gated(), return_sequences=True)
    value, gate = torch.randn(2, 3, 2), torch.rand(2, 3, 2)
    torch.testing.assert_close(layer((value, gate)), (value * gate).cumsum(1))
    mask = torch.tensor([[1, 0, 1], [0, 1, 1]]).bool()
    torch.testing.assert_close(layer((value, gate), mask=mask), (value * gate * mask.unsqueeze(2)).cumsum(1))


@pytest.mark.parametrize(
    ("cell", "module"),
    [
        (torch.nn.LSTMCell(2, 3), torch.nn.LSTM(2, 3, batch_first=True)),
        (torch.nn.GRUCell(2, 3), torch.nn.GRU(2, 3, batch_first=True)),
        (torch.nn.RNNCell(2, 3), torch.nn.RNN(2, 3, batch_first=True)),
        (torch.nn.RNNCell(2, 3, nonlinearity="relu", bias=False), torch.nn.RNN(2, 3, batch_first=True, nonlinearity="relu", bias=False)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_torchs_own_cells(cell, module):
    module.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = torch.randn(2, 4, 2)
    torch.testing.assert_close(RNN(cell, return_sequences=True)(x), module(x)[0])
    mixed = RNN([cell, LSTMCell(4)], return_state=True)
    assert mixed(x)[0].shape == (2, 4)
    with pytest.raises(ValueError, match="cannot be written to a config"):
        RNN(cell).get_config()


def test_torchs_cells_in_a_users_stack():
    class Doubled(StackedRNNCells):
        def call(self, inputs, states, constants=None, training=None, **kwargs):
            return super().call(2 * inputs, states, constants, training, **kwargs)

    cell = torch.nn.LSTMCell(2, 3)
    x = torch.randn(2, 4, 2)
    torch.testing.assert_close(RNN(Doubled([cell]))(x), RNN(cell)(2 * x))


def test_a_subclass_with_its_own_call_is_called():
    class Negated(SimpleRNNCell):
        def call(self, inputs, states, training=None):
            return super().call(-inputs, states, training)

    cell = Negated(3)
    x = torch.randn(2, 4, 2)
    y = RNN(cell)(x)
    plain = SimpleRNN(3)
    plain(x)
    plain.set_weights(cell.get_weights())
    torch.testing.assert_close(y, plain(-x))


class TestDropout:
    @pytest.mark.parametrize("implementation", [1, 2])
    @pytest.mark.parametrize("make", [LSTM, GRU], ids=["LSTM", "GRU"])
    def test_inputs_are_dropped_alike_at_every_step(self, make, implementation):
        """With recurrent weights of zero, equal inputs give a GRU's or LSTM's gates equal sums at each step."""
        layer = make(3, dropout=0.5, implementation=implementation, return_sequences=True)
        x = torch.randn(4, 1, 6).expand(4, 5, 6)
        layer(x)
        recurrence, taken, _ = layer.cell.recurrence(x, True)
        projected = taken if recurrence.project is None else recurrence.project(taken)
        torch.testing.assert_close(projected, projected[:, :1].expand_as(projected))
        assert not torch.equal(projected, recurrence.project(x) if recurrence.project else layer.cell.recurrence(x, False)[0].project(x))

    def test_implementation_1_drops_for_each_gate(self):
        x = torch.ones(400, 2, 1)
        for implementation, equal in ((1, False), (2, True)):
            layer = LSTM(1, dropout=0.5, implementation=implementation, kernel_initializer="ones", use_bias=False)
            layer(x)
            recurrence, taken, _ = layer.cell.recurrence(x, True)
            gates = (taken if recurrence.project is None else recurrence.project(taken))[:, 0]
            assert bool((gates == gates[:, :1]).all()) is equal
            assert set(gates.unique().tolist()) == {0.0, 2.0}  # kept values are scaled
            assert abs(gates.mean().item() - 1) < 0.15  # 400 draws or more: three sigma

    def test_the_state_is_dropped_alike_at_every_step(self):
        layer = SimpleRNN(
            1, activation="linear", recurrent_dropout=0.5, recurrent_initializer="ones", kernel_initializer="ones", return_sequences=True
        )
        x = torch.ones(100, 4, 1)
        layer(x)
        y = layer.train()(x)[:, :, 0]
        assert set(map(tuple, y.tolist())) == {(1.0, 1.0, 1.0, 1.0), (1.0, 3.0, 7.0, 15.0)}

    @pytest.mark.parametrize(
        "make", [lambda **k: SimpleRNN(3, **k), lambda **k: LSTM(3, **k), lambda **k: GRU(3, **k), lambda **k: ConvLSTM2D(2, 3, **k)]
    )
    @pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5)])
    def test_only_training_drops(self, make, rates):
        layer = make(dropout=rates[0], recurrent_dropout=rates[1])
        x = torch.randn(2, 4, 5, 5, 2) if isinstance(layer, ConvLSTM2D) else torch.randn(2, 4, 5)
        y = layer(x)
        torch.testing.assert_close(layer(x), y)
        torch.testing.assert_close(layer(x, training=False), y)
        assert not torch.equal(layer(x, training=True), y)
        layer.train()
        assert not torch.equal(layer(x), y) and not torch.equal(layer(x), layer(x))
        torch.testing.assert_close(layer(x, training=False), y)

    @pytest.mark.parametrize("name", CELLS)
    def test_a_cell_keeps_its_masks_until_they_are_reset(self, name):
        cell, x = CELLS[name](dropout=0.5, recurrent_dropout=0.5), some_input(name, batch=8)[:, 0]
        states = cell.get_initial_state(inputs=x) if "Conv" not in name else [torch.randn(8, 3, 4, 3) for _ in range(2)]
        states = [torch.randn_like(state) for state in (states if isinstance(states, list) else [states])]
        cell(x, states)
        first = cell(x, states, training=True)[0]
        torch.testing.assert_close(cell(x, states, training=True)[0], first)
        cell.reset_dropout_mask()
        cell.reset_recurrent_dropout_mask()
        assert not torch.equal(cell(x, states, training=True)[0], first)

    def test_masks_by_keras_names(self):
        cell, x = LSTMCell(3, dropout=0.5), torch.ones(50, 4)
        masks = cell.get_dropout_mask_for_cell(x, True, count=4)
        assert len(masks) == 4 and set(torch.stack(masks).unique().tolist()) == {0.0, 2.0}
        assert cell.get_recurrent_dropout_mask_for_cell(x, True, count=4) is None
        assert all(mask.eq(1).all() for mask in cell.get_dropout_mask_for_cell(x, False, count=4))

    def test_a_stack_draws_new_masks_for_each_batch(self):
        class Mine(StackedRNNCells):
            def call(self, inputs, states, constants=None, training=None, **kwargs):
                return super().call(inputs, states, constants, training, **kwargs)

        layer = RNN(Mine([LSTMCell(3, dropout=0.5), LSTMCell(3, recurrent_dropout=0.5)]))
        x = torch.randn(4, 5, 6)
        layer(x)
        assert not torch.equal(layer(x, training=True), layer(x, training=True))

    def test_recurrent_dropout_falls_back_to_masks_by_gate_in_tf_keras(self):
        assert LSTM(3, recurrent_dropout=0.1).implementation == 1 and LSTM(3, dropout=0.1).implementation == 2
        with using_keras_version("2.2.4"):
            assert LSTM(3, recurrent_dropout=0.1, implementation=2).implementation == 2
        assert GRU(3, dropout=7).dropout == 1.0


def test_defaults_follow_the_release():
    assert LSTM(3).recurrent_activation.__name__ == "sigmoid" and GRU(3).reset_after and GRU(3).implementation == 2
    with using_keras_version("2.2.4"):
        layer = GRU(3)
    assert layer.recurrent_activation.__name__ == "hard_sigmoid" and not layer.reset_after and layer.implementation == 1


@pytest.mark.parametrize("name", CELLS)
def test_gradients_by_finite_differences(name):
    cell = CELLS[name]()
    layer, x = layer_of(cell, return_sequences=True), some_input(name).double()
    layer(x.float())
    layer.double()
    mask = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 0]]).bool()
    parameters = dict(layer.named_parameters())
    names = list(parameters)
    keep = torch.rand_like(parameters[names[0]])  # away from the corners of hard_sigmoid
    assert keep.dtype is torch.float64

    def output(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,), {"mask": mask})

    assert torch.autograd.gradcheck(output, (x.requires_grad_(), *(p.detach().requires_grad_() for p in parameters.values())))


def test_an_abstract_cell_says_what_it_lacks():
    cell = AbstractRNNCell(name="mine")
    for attribute, call in (("state_size", lambda: cell.state_size), ("output_size", lambda: cell.output_size)):
        with pytest.raises(NotImplementedError, match=f"Cell 'mine' .* needs {attribute}"):
            call()
    with pytest.raises(NotImplementedError, match=r"needs call\(inputs, states\)"):
        cell.call(None, None)


def test_copies_of_layers_share_nothing():
    layer = LSTM(3, stateful=True)
    layer(torch.randn(2, 4, 2))
    other = copy.deepcopy(layer)
    other.reset_states([np.ones((2, 3)), np.ones((2, 3))])
    assert not torch.equal(layer.states[0], other.states[0])


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_states_of_stacked_cells_come_as_the_release_nests_them(version):
    with using_keras_version(version):
        layer, inputs = RNN([LSTMCell(3), GRUCell(2), LSTMCell(4)], return_state=True), Input((5, 2))
        model = Model(inputs, layer(inputs))
    x = torch.randn(2, 5, 2)
    output, *states = layer(x)
    flat = flat_sizes(states)
    sizes = [[3, 3], 2, [4, 4]] if version == "2.4.0" else [3, 3, 2, 4, 4]
    assert [[part.shape[1] for part in each] if isinstance(each, list) else each.shape[1] for each in states] == sizes
    torch.testing.assert_close(output, flat[-2])
    for found in (
        model.predict(x.numpy(), batch_size=1),
        model.predict_on_batch(x.numpy()),
        Model.from_config(model.get_config()).predict(x.numpy()),
    ):
        assert len(found) == len(states) + 1
        assert [part.shape for part in flat_sizes(found[1:])] == [tuple(part.shape) for part in flat]
    np.testing.assert_allclose(flat_sizes(model.predict(x.numpy())[1:])[3], flat[3].detach(), rtol=1e-5, atol=1e-6)
    # handed on as they came, or flat
    torch.testing.assert_close(layer(x, initial_state=states), layer(x, initial_state=flat))
