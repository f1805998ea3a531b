"""Recurrent layers against genuine Keras, and as modules: configs, states of modules, symbolic calls, devices."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import torchkeras.layers.recurrent
from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer, make_layer
from tests.pretend import on_device, pretending
from torchkeras.layers.base import set_mask
from torchkeras.layers.convolutional_recurrent import ConvLSTM2D, ConvRNN2D
from torchkeras.layers.cudnn_recurrent import CuDNNGRU, CuDNNLSTM
from torchkeras.layers.input_layer import Input
from torchkeras.layers.raw_modules import not_watching
from torchkeras.layers.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, SimpleRNN, StackedRNNCells
from torchkeras.layers.recurrent.calling import flat_sizes
from torchkeras.models import Sequential
from torchkeras.ops.recurrent import set_known_lengths

CASES = golden("layer", "SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_variables_have_keras_names(case, keras_version):
    layer = make_layer(case)
    layer.build_now(tuple(case.array(case["inputs"][0]).shape))
    assert [weight.name for weight in layer.weights] == case["weight_names"]


MAKERS = {
    "SimpleRNN": lambda: SimpleRNN(4, dropout=0.1),
    "LSTM": lambda: LSTM(4, return_sequences=True, return_state=True, zero_output_for_mask=True, masked="packed"),
    "GRU": lambda: GRU(4, go_backwards=True, time_major=True),
    "RNN": lambda: RNN(LSTMCell(4)),
    "stack": lambda: RNN([LSTMCell(3), GRUCell(4)], unroll=True),
    "CuDNNLSTM": lambda: CuDNNLSTM(4),
    "CuDNNGRU": lambda: CuDNNGRU(4, return_sequences=True),
    "ConvLSTM2D": lambda: ConvLSTM2D(2, 3, padding="same"),
}


def some_input(name):
    return torch.randn(2, 3, 5, 5, 1) if name == "ConvLSTM2D" else torch.randn(2, 5, 3)


def first(output):
    return output[0] if isinstance(output, list) else output


@pytest.mark.parametrize("name", MAKERS)
def test_round_trips(name):
    """A layer made from the config, with the same weights, is the same; so are a copy and a pickle; a state_dict builds a new one."""
    layer, x = MAKERS[name](), some_input(name)
    y = first(layer(x))
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again(x)
    again.set_weights(layer.get_weights())
    fresh = MAKERS[name]()
    fresh.load_state_dict(layer.state_dict())
    for other in (again, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), fresh):
        torch.testing.assert_close(first(other(x)), y, rtol=0, atol=0)


@pytest.mark.parametrize("name", MAKERS)
def test_symbolic_shapes_are_the_real_ones(name):
    layer, x = MAKERS[name](), some_input(name)
    symbolic = first(layer(Input(tuple(x.shape[1:]))))
    real = first(layer(x))
    assert tuple(symbolic.shape)[1:] == tuple(real.shape)[1:]


def test_unknown_steps_stay_unknown():
    assert tuple(LSTM(4, return_sequences=True)(Input((None, 3))).shape) == (None, None, 4)
    assert LSTM(4).compute_output_shape((None, None, 3)) == (None, 4)
    assert tuple(ConvLSTM2D(2, 3)(Input((None, None, 8, 3))).shape) == (None, None, 6, 2)


@pytest.mark.parametrize("pair", [(LSTM, torch.nn.LSTM), (GRU, torch.nn.GRU), (SimpleRNN, torch.nn.RNN)], ids=lambda pair: pair[1].__name__)
def test_loads_the_state_dict_of_torchs_module(pair):
    keras, module = pair[0](4, return_sequences=True), pair[1](3, 4, batch_first=True)
    keras.load_state_dict(module.state_dict())
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(keras(x), module(x)[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(keras.weight_ih_l0, module.weight_ih_l0, rtol=0, atol=0)
    torch.testing.assert_close(keras.weight_hh_l0, module.weight_hh_l0, rtol=0, atol=0)
    torch.testing.assert_close(keras.bias_ih_l0 + keras.bias_hh_l0, module.bias_ih_l0 + module.bias_hh_l0, rtol=0, atol=0)


def test_only_the_biases_that_keras_trains_are_trained():
    for layer, shapes in (
        (LSTM(4), [(3, 16), (4, 16), (16,)]),
        (GRU(4), [(3, 12), (4, 12), (2, 12)]),
        (GRU(4, reset_after=False), [(3, 12), (4, 12), (12,)]),
    ):
        layer(torch.randn(2, 5, 3))
        assert [w.shape for w in layer.get_weights()] == shapes
        assert len(list(layer.parameters())) == 3
        assert set(layer.state_dict()) == {f"cell.{name}" for name, _ in layer.cell.named_parameters()}


def test_forget_gates_start_open():
    layer = LSTM(2)
    layer.build_now((None, None, 3))
    assert layer.get_weights()[2].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    layer = CuDNNLSTM(2)
    layer.build_now((None, None, 3))
    assert layer.get_weights()[2].tolist() == [0] * 10 + [1, 1] + [0] * 4
    closed = LSTM(2, unit_forget_bias=False)
    closed.build_now((None, None, 3))
    assert not closed.get_weights()[2].any()


@pytest.mark.parametrize("pair", [(CuDNNLSTM, LSTM, 4), (CuDNNGRU, GRU, 3)], ids=lambda pair: pair[0].__name__)
def test_cudnn_names_hold_their_weights_as_keras_does(pair):
    """Keras' own conversion: kernels of a gate are read in C order as (units, size), recurrent kernels are transposed, biases stand in a row."""
    cudnn, plain = pair[0](3, return_sequences=True), pair[1](3, return_sequences=True)
    x = torch.randn(2, 5, 4)
    y = cudnn(x)
    plain(x)
    kernel, recurrent, bias = cudnn.get_weights()
    gates = pair[2]
    kernel = np.concatenate([k.reshape(k.shape[1], k.shape[0]).T for k in np.split(kernel, gates, axis=1)], axis=1)
    recurrent = np.concatenate([k.T for k in np.split(recurrent, gates, axis=1)], axis=1)
    bias = bias.reshape(2, -1)
    plain.set_weights([kernel, recurrent, bias.sum(0) if gates == 4 else bias])
    torch.testing.assert_close(plain(x), y, rtol=1e-5, atol=1e-6)


def test_parametrized_weights_are_used():
    layer, x = LSTM(2, return_sequences=True), torch.randn(1, 3, 4)
    layer(x)

    class Halved(torch.nn.Module):
        def forward(self, weight):
            return weight / 2

    expected = copy.deepcopy(layer)
    expected.cell.weight_hh.data.div_(2)
    torch.nn.utils.parametrize.register_parametrization(layer.cell, "weight_hh", Halved())
    torch.testing.assert_close(layer(x), expected(x))
    layer(x).sum().backward()
    assert layer.cell.parametrizations.weight_hh.original.grad is not None


def test_the_names_of_torchs_modules_are_views():
    layer = LSTM(2)
    layer(torch.randn(1, 2, 3))
    layer.cell.kernel.data.zero_()
    assert not layer.weight_ih_l0.any()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda **k: LSTM(4, **k),
        lambda **k: SimpleRNN(4, **k),
        lambda **k: LSTM(4, recurrent_activation="hard_sigmoid", dropout=0.2, recurrent_dropout=0.2, **k),
        lambda **k: GRU(4, reset_after=False, **k),
        lambda **k: RNN(torch.nn.LSTMCell(3, 4), **k),
        lambda **k: RNN([LSTMCell(3), LSTMCell(2)], **k),
        lambda **k: LSTM(4, stateful=True, **k),
    ],
)
def test_no_step_waits_for_the_device(make, masked):
    for options in ({"return_sequences": True, "return_state": True}, {"go_backwards": True}):
        for lengths in (None, [5, 4, 0, 2]) if masked else (None,):
            layer = make(**options)
            layer(torch.randn(4, 5, 3))
            with pretending() as device:
                there = on_device(layer, device).train()
                x = torch.randn(4, 5, 3, device=device)
                if masked:
                    mask = torch.ones(4, 5, dtype=torch.bool, device=device)
                    if lengths:
                        set_known_lengths(mask, lengths)
                    set_mask(x, mask)
                y = there(x)
                for part in flat_sizes(y):
                    assert part.device == device
                first(y).sum().backward()


def test_a_layer_compiles_whole():
    layer = LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True)
    x = torch.randn(2, 3, 5)
    mask = torch.tensor([[1, 0, 1], [0, 1, 1]]).bool()
    y = layer(x, mask=mask)
    with not_watching():  # symbolic tensors of other tests
        compiled = torch.compile(layer, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x, mask=mask), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["auto", "dense", "packed", "scan"])
@pytest.mark.parametrize("make", [LSTM, GRU, lambda *a, **k: GRU(*a, reset_after=False, **k)], ids=["LSTM", "GRU", "reset before"])
def test_autocast(make, form):
    layer = make(4, return_sequences=True, return_state=True, masked=form)
    x, mask = torch.randn(2, 5, 3), torch.tensor([[1, 1, 0, 0, 1], [0, 1, 1, 1, 1]]).bool()
    expected = layer(x, mask=mask)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x, mask=mask)
    sum(part.float().sum() for part in found).backward()
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got.float(), want, rtol=0.05, atol=0.02)  # bfloat16 has 8 bits


def test_half_precision():
    layer, x = LSTM(4, return_state=True), torch.randn(2, 5, 3)
    y = layer(x)[0]
    mask = torch.tensor([[1, 1, 0, 0, 1], [0, 1, 1, 1, 1]]).bool()
    expected = layer(x, mask=mask)
    low = layer.to(torch.bfloat16)
    torch.testing.assert_close(low(x.bfloat16())[0].float(), y, rtol=0.05, atol=0.02)
    for got, want in zip(low(x.bfloat16(), mask=mask), expected, strict=True):
        torch.testing.assert_close(got.float(), want, rtol=0.05, atol=0.02)


def test_time_major_is_the_same_with_axes_swapped():
    layer, x = LSTM(4, return_sequences=True, return_state=True), torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 1], [0, 1, 1, 1, 1]]).bool()
    y, *states = layer(x, mask=mask)
    other = LSTM(4, return_sequences=True, return_state=True, time_major=True)
    other(x.transpose(0, 1))
    other.set_weights(layer.get_weights())
    swapped, *same = other(x.transpose(0, 1), mask=mask.t())
    torch.testing.assert_close(swapped.transpose(0, 1), y)
    torch.testing.assert_close(same, states)


def test_func_gradients_are_those_of_autograd():
    layer, x = GRU(4), torch.randn(2, 5, 3)
    layer(x)
    parameters = dict(layer.named_parameters())
    gradients = torch.func.grad(lambda p: torch.func.functional_call(layer, p, (x,)).sum())(parameters)
    layer(x).sum().backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(gradients[name], parameter.grad)


class TestErrors:
    def test_units_below_one(self):
        with pytest.raises(ValueError, match=r"LSTMCell 'lstm_cell.*' needs units of at least 1, but got 0"):
            LSTM(0)

    def test_inputs_of_another_rank(self):
        with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
            LSTM(4, name="lstm")(torch.randn(2, 3))

    def test_inputs_of_another_size(self):
        layer = LSTM(4)
        for _ in range(3):  # from the second on past the door
            layer(torch.randn(2, 5, 3))
            with pytest.raises(ValueError, match=r"expected shape=\(None, None, 3\), found shape=\(2, 5, 4\)"):
                layer(torch.randn(2, 5, 4))
        stack = Sequential([LSTM(4, return_sequences=True, input_shape=(None, 3)), LSTM(4)])
        with pytest.raises(RuntimeError, match=r"for inputs of size 3 got inputs of shape \(2, 5, 4\)"):
            stack(torch.randn(2, 5, 4))

    def test_unknown_size(self):
        with pytest.raises(ValueError, match="needs the size of the inputs' last axis"):
            LSTM(4)(Input((5, None)))

    def test_sequences_of_length_zero(self):
        layer = LSTM(4)
        with pytest.raises(ValueError, match="at least one time step, but got sequences of length 0"):
            layer(torch.randn(2, 0, 3))

    def test_a_mask_of_another_shape(self):
        with pytest.raises(ValueError, match=r"needs a mask of shape .*\(2, 5\).* but got a mask of shape \(2, 4\)"):
            LSTM(4)(torch.randn(2, 5, 3), mask=torch.ones(2, 4, dtype=torch.bool))

    def test_unknown_form(self):
        with pytest.raises(ValueError, match=r"LSTM takes masked as one of .* but got 'fastest'"):
            LSTM(4, masked="fastest")

    def test_unrolling_over_unknown_steps(self):
        with pytest.raises(ValueError, match="cannot unroll over an unknown number of steps"):
            LSTM(4, unroll=True)(Input((None, 3)))

    def test_what_is_no_cell(self):
        with pytest.raises(ValueError, match="must have a `call` method"):
            RNN(3)
        with pytest.raises(ValueError, match="must have a `state_size` attribute"):
            RNN(torch.nn.Linear(2, 3))
        with pytest.raises(ValueError, match="All cells must have a `state_size` attribute"):
            StackedRNNCells([LSTMCell(2), torch.nn.Linear(2, 3)])

    def test_convolutions_neither_unroll_nor_stack(self):
        with pytest.raises(TypeError, match="Unrolling isn't possible"):
            ConvLSTM2D(2, 3, unroll=True)
        with pytest.raises(TypeError, match="not possible to stack convolutional cells"):
            ConvRNN2D([torchkeras.layers.recurrent.ConvLSTM2DCell(2, 3)])
        with pytest.raises(ValueError, match="takes strides or a dilation_rate above 1, not both"):
            ConvLSTM2D(2, 3, strides=2, dilation_rate=2)
        with pytest.raises(ValueError, match="needs the inputs of a step"):
            torchkeras.layers.recurrent.ConvLSTM2DCell(2, 3).get_initial_state(batch_size=2)
        with pytest.raises(ValueError, match="needs the number of channels"):
            ConvLSTM2D(2, 3)(Input((None, 5, 5, None)))

    def test_unknown_arguments(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'unit'"):
            GRU(4, unit=3)
