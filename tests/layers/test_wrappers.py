"""Wrappers against genuine Keras, and what only this library has."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import torchkeras.layers.convolutional
import torchkeras.layers.normalization
import torchkeras.layers.pooling  # noqa: F401  (these register layers of the cases)
from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer, make_layer
from tests.pretend import on_device, pretending
from torchkeras import regularizers
from torchkeras.activations import logits_of
from torchkeras.generations import using_keras_version
from torchkeras.layers.base import Layer, get_mask, set_mask
from torchkeras.layers.core import Dense
from torchkeras.layers.embeddings import Embedding
from torchkeras.layers.input_layer import Input
from torchkeras.layers.masking import Masking
from torchkeras.layers.recurrent import GRU, LSTM, RNN, ConvLSTM2D, LSTMCell, SimpleRNN
from torchkeras.layers.wrappers import Bidirectional, TimeDistributed, Wrapper
from torchkeras.models import Model, Sequential

CASES = golden("layer", "Bidirectional", "TimeDistributed")
MASK = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_variables_have_keras_names(case, keras_version):
    layer = make_layer(case)
    layer.build_now(tuple(case.array(case["inputs"][0]).shape))
    assert [weight.name for weight in layer.weights] == case["weight_names"]


MAKERS = {
    "bidirectional": lambda: Bidirectional(LSTM(2, return_sequences=True)),
    "both": lambda: Bidirectional(GRU(2), merge_mode=None),
    "unlike": lambda: Bidirectional(GRU(2), backward_layer=LSTM(3, go_backwards=True)),
    "distributed": lambda: TimeDistributed(Dense(2)),
    "nested": lambda: TimeDistributed(Dense(2), name="outer"),
}


def flat(output):
    return list(output) if isinstance(output, (list, tuple)) else [output]


@pytest.mark.parametrize("name", MAKERS)
def test_round_trips(name):
    layer, x = MAKERS[name](), torch.randn(3, 4, 2)
    y = layer(x)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again(x)
    again.set_weights(layer.get_weights())
    fresh = MAKERS[name]()
    fresh.load_state_dict(layer.state_dict())
    for other in (again, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), fresh):
        torch.testing.assert_close(flat(other(x)), flat(y), rtol=0, atol=0)
    symbolic = flat(MAKERS[name]()(Input((4, 2))))
    assert [tuple(part.shape)[1:] for part in symbolic] == [tuple(part.shape)[1:] for part in flat(y)]


class TestBidirectional:
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
    def test_is_two_layers(self, version, masked):
        """The second reads the row backwards, and its outputs are turned round."""
        with using_keras_version(version):
            layer = Bidirectional(LSTM(2, return_sequences=True, return_state=True))
            alone = LSTM(2, return_sequences=True, return_state=True)
        x, mask = torch.randn(3, 4, 2), MASK if masked else None
        y, *states = layer(x, mask=mask)
        weights = layer.get_weights()
        alone(x)
        for side, (part, own) in enumerate(zip(y.chunk(2, -1), (states[:2], states[2:]), strict=True)):
            alone.set_weights(weights[3 * side : 3 * side + 3])
            turned = x.flip(1) if side else x
            expected, *finals = alone(turned, mask=mask.flip(1) if masked and side else mask)
            expected = expected.flip(1) if side else expected
            if masked and version == "2.4.0":
                expected = expected * mask.unsqueeze(2)
            torch.testing.assert_close(part, expected)
            torch.testing.assert_close(own, finals)

    def test_torchs_bidirectional_module_is_the_same(self):
        layer, module = Bidirectional(GRU(2, return_sequences=True)), torch.nn.GRU(3, 2, batch_first=True, bidirectional=True)
        x = torch.randn(3, 4, 3)
        layer(x)
        for side, ending in ((layer.forward_layer, "l0"), (layer.backward_layer, "l0_reverse")):
            state = {name.removesuffix(f"_{ending}") + "_l0": value for name, value in module.state_dict().items() if name.endswith(f"_{ending}")}
            side.load_state_dict(state)
        torch.testing.assert_close(layer(x), module(x)[0])

    def test_merging(self):
        x = torch.randn(3, 4, 2)
        layer = Bidirectional(GRU(2, return_sequences=True), merge_mode=None)
        first, second = layer(x)
        for mode, expected in (
            ("sum", first + second),
            ("mul", first * second),
            ("ave", (first + second) / 2),
            ("concat", torch.cat((first, second), -1)),
        ):
            layer.merge_mode = mode
            torch.testing.assert_close(layer(x), expected)

    @pytest.mark.parametrize("merge_mode", ["concat", "sum", None])
    @pytest.mark.parametrize("each", [True, False])
    @pytest.mark.parametrize("mask", [MASK, torch.ones_like(MASK)])
    def test_one_call_for_both_directions_changes_nothing(self, merge_mode, each, mask):
        layer = Bidirectional(GRU(3, return_sequences=each, return_state=True), merge_mode=merge_mode)
        x = torch.randn(3, 4, 2)
        with torch.no_grad():
            quick = layer(x, mask=mask)
            layer.backward_layer.register_forward_hook(lambda *call: None)  # somebody waits for the calls: two of them
            torch.testing.assert_close(quick, layer(x, mask=mask))

    def test_a_side_with_a_call_of_its_own_is_called(self):
        class Doubled(GRU):
            def call(self, inputs, mask=None, training=None, initial_state=None, constants=None):
                return 2 * super().call(inputs, mask, training, initial_state, constants)

        torch.manual_seed(0)
        plain, x = Bidirectional(GRU(3)), torch.randn(3, 4, 2)
        plain(x)
        layer = Bidirectional(Doubled(3), weights=plain.get_weights())
        for mask in (None, MASK):
            with torch.no_grad():
                torch.testing.assert_close(layer(x, mask=mask), 2 * plain(x, mask=mask))

    def test_initial_states_go_to_their_sides(self):
        layer, x = Bidirectional(LSTM(2)), torch.randn(3, 4, 2)
        layer(x)
        states = [torch.randn(3, 2) for _ in range(4)]
        expected = torch.cat([layer.forward_layer(x, initial_state=states[:2]), layer.backward_layer(x, initial_state=states[2:])], -1)
        torch.testing.assert_close(layer(x, initial_state=states), expected)
        torch.testing.assert_close(layer([x, *states]), expected)
        symbols = [Input((4, 2)), *(Input((2,)) for _ in states)]
        model = Model(symbols, layer(symbols[0], initial_state=symbols[1:]))
        torch.testing.assert_close(model([x, *states]), expected)

    def test_states_are_kept_and_reset(self):
        layer, x = Bidirectional(GRU(2, stateful=True)), torch.randn(3, 4, 2)
        first = layer(x)
        assert layer.stateful and len(layer.states) == 2
        assert not torch.equal(layer(x), first)
        layer.reset_states()
        torch.testing.assert_close(layer(x), first)

    def test_the_layer_given_is_a_pattern(self):
        pattern = LSTM(2)
        layer = Bidirectional(pattern)
        layer(torch.randn(3, 4, 2))
        assert layer.layer is pattern and not pattern.built
        assert len(list(layer.parameters())) == 6
        assert [part.name for part in (layer.forward_layer, layer.backward_layer)] == [f"forward_{pattern.name}", f"backward_{pattern.name}"]

    def test_keras_2_goes_on_with_the_weights_of_the_layer_it_is_given(self):
        x = torch.randn(3, 4, 2)
        for version, kept in (("2.2.4", True), ("2.4.0", False)):
            with using_keras_version(version):
                pattern = LSTM(2)
                y = pattern(x)
                layer = Bidirectional(pattern, merge_mode=None)
            assert torch.equal(layer(x)[0], y) is kept

    def test_weights_as_an_argument(self):
        layer, x = Bidirectional(SimpleRNN(2)), torch.randn(3, 4, 2)
        y = layer(x)
        torch.testing.assert_close(Bidirectional(SimpleRNN(2), weights=layer.get_weights())(x), y)

    def test_around_other_layers(self):
        x = torch.randn(3, 4, 2)
        layer = Bidirectional(RNN(torch.nn.GRUCell(2, 3), return_sequences=True))
        assert layer(x).shape == (3, 4, 6) and layer.backward_layer.go_backwards
        first, second = layer.forward_layer.cell, layer.backward_layer.cell
        assert first is not second and not torch.equal(first.weight_ih, second.weight_ih)
        assert Bidirectional(RNN([LSTMCell(2), LSTMCell(3)]))(x).shape == (3, 6)
        assert Bidirectional(ConvLSTM2D(2, 3, padding="same"))(torch.randn(2, 3, 4, 4, 1)).shape == (2, 4, 4, 4)
        assert Bidirectional(LSTM(2, time_major=True, return_sequences=True))(x).shape == (3, 4, 4)

    def test_masks_go_on(self):
        x = torch.randn(3, 4, 2)
        set_mask(x, MASK)
        outputs = Bidirectional(GRU(2, return_sequences=True, return_state=True), merge_mode=None)(x)
        assert [get_mask(part) is not None for part in outputs] == [True, True, False, False]
        set_mask(x, MASK)
        assert get_mask(Bidirectional(GRU(2))(x)) is None

    def test_no_step_waits_for_the_device(self):
        layer = Bidirectional(LSTM(2, return_sequences=True))
        layer(torch.randn(3, 4, 2))
        with pretending() as device:
            x = torch.randn(3, 4, 2, device=device)
            set_mask(x, torch.ones(3, 4, dtype=torch.bool, device=device))
            on_device(layer, device)(x).sum().backward()

    def test_errors(self):
        with pytest.raises(ValueError, match=r"takes merge_mode as one of .* but got 'max'"):
            Bidirectional(LSTM(2), merge_mode="max")
        with pytest.raises(ValueError, match="needs a recurrent layer, but got LSTM"):
            Bidirectional(torch.nn.LSTM(2, 3))
        with pytest.raises(ValueError, match="needs layers of opposite directions, but go_backwards=False in both"):
            Bidirectional(LSTM(2), backward_layer=LSTM(2))
        with pytest.raises(ValueError, match="needs the same return_sequences in both layers, but got False and True"):
            Bidirectional(LSTM(2), backward_layer=LSTM(2, go_backwards=True, return_sequences=True))
        with pytest.raises(ValueError, match="needs the initial states of both directions, the forward layer's first, but got 1 of them"):
            Bidirectional(GRU(2))(torch.randn(3, 4, 2), initial_state=[torch.randn(3, 2)])


class TestTimeDistributed:
    def test_is_the_layer_at_each_step(self):
        inner = Dense(3, activation="tanh")
        layer, x = TimeDistributed(inner), torch.randn(2, 5, 4)
        y = layer(x)
        for step in range(5):
            torch.testing.assert_close(y[:, step], inner(x[:, step]))

    def test_a_model_inside(self):
        model = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
        layer, x = TimeDistributed(model), torch.randn(2, 5, 4)
        torch.testing.assert_close(layer(x), model(x.flatten(0, 1)).view(2, 5, 2))
        frames = Input((None, 4))
        outer = Model(frames, layer(frames))
        torch.testing.assert_close(outer(x), layer(x))

    def test_losses_find_the_scores_of_the_layer_inside(self):
        layer, x = TimeDistributed(Dense(3, activation="softmax")), torch.randn(2, 4, 5)
        found = logits_of(layer(x), "softmax")
        assert found is not None
        torch.testing.assert_close(found, x @ layer.layer.kernel + layer.layer.bias)
        with torch.no_grad():
            assert logits_of(layer(x)) is None

    def test_a_raw_module_inside(self):
        module = torch.nn.Linear(4, 3)
        x = torch.randn(2, 5, 4)
        torch.testing.assert_close(TimeDistributed(module)(x), module(x))

    def test_a_recurrent_layer_inside(self):
        inner = LSTM(3)
        layer, x = TimeDistributed(inner), torch.randn(2, 3, 5, 4)
        torch.testing.assert_close(layer(x)[:, 1], inner(x[:, 1]))
        mask = torch.rand(2, 3, 5) < 0.5
        torch.testing.assert_close(layer(x, mask=mask)[:, 2], inner(x[:, 2], mask=mask[:, 2]))
        steps = torch.tensor([[1, 0, 1], [0, 1, 1]]).bool()  # of the outer steps: none for the layer inside
        torch.testing.assert_close(layer(x, mask=steps), layer(x))

    def test_a_stateful_layer_inside_runs_step_by_step(self):
        inner = GRU(3, stateful=True)
        layer, x = TimeDistributed(inner), torch.randn(2, 3, 5, 4)
        y = layer(x)
        inner.reset_states()
        expected = torch.stack([inner(x[:, step]) for step in range(3)], 1)
        torch.testing.assert_close(y, expected)
        inner.reset_states()
        held = layer(x, mask=torch.tensor([[1, 0, 1], [0, 1, 1]]).bool())
        torch.testing.assert_close(held[0, 1], held[0, 0])
        assert not held[1, 0].any()

    def test_masks(self):
        ids = torch.tensor([[[1, 0], [0, 0]], [[2, 3], [0, 4]]])
        y = TimeDistributed(Embedding(5, 2, mask_zero=True))(ids)
        torch.testing.assert_close(get_mask(y), ids != 0)
        inner = TimeDistributed(LSTM(3))
        pooled = inner(y)  # one mask for each outer step is left
        torch.testing.assert_close(get_mask(pooled), (ids != 0).any(-1))
        x = torch.randn(3, 4, 2)
        set_mask(x, MASK)
        torch.testing.assert_close(get_mask(TimeDistributed(Dense(2))(x)), MASK)
        dotted = torch.randn(3, 4, 2, 2)
        dotted[0, 1, 1] = 0
        torch.testing.assert_close(get_mask(TimeDistributed(Masking())(dotted)), (dotted != 0).any(-1))

    def test_a_layer_that_takes_no_mask_refuses_it_as_keras_2_does(self):
        class Plain(Layer):
            def call(self, inputs):
                return inputs

        x = torch.randn(3, 4, 2)
        with using_keras_version("2.2.4"):
            layer = TimeDistributed(Plain(name="plain"))
        set_mask(x, MASK)
        with pytest.raises(TypeError, match="Layer 'plain' does not support masking"):
            layer(x)

    def test_training_reaches_the_layer_inside(self):
        class Twice(Layer):
            def call(self, inputs, training=None):
                return 2 * inputs if training else inputs

        layer, x = TimeDistributed(Twice()), torch.randn(2, 3, 4)
        torch.testing.assert_close(layer(x), x)
        torch.testing.assert_close(layer(x, training=True), 2 * x)
        torch.testing.assert_close(layer.train()(x), 2 * x)

    def test_penalties_of_the_layer_inside_count_once(self):
        inner = Dense(3, kernel_regularizer=regularizers.l2(0.1), activity_regularizer=regularizers.l2(0.5))
        with using_keras_version("2.2.4"):
            inner = Dense(3, kernel_regularizer=regularizers.l2(0.1), activity_regularizer=regularizers.l2(0.5))
        layer, x = TimeDistributed(inner), torch.randn(2, 5, 4)
        y = layer(x)
        losses = sorted(float(loss.detach()) for loss in layer.losses)
        np.testing.assert_allclose(
            losses, sorted([0.1 * float(inner.weight.detach().square().sum()), 0.5 * float(y.detach().square().sum())]), rtol=1e-5
        )
        assert layer.activity_regularizer is inner.activity_regularizer

    def test_freezing_reaches_the_layer_inside(self):
        layer = TimeDistributed(Dense(3))
        layer(torch.randn(2, 5, 4))
        layer.trainable = False
        assert not layer.layer.trainable and not layer.trainable_weights and len(layer.non_trainable_weights) == 2

    def test_errors(self):
        with pytest.raises(ValueError, match=r"needs an input of at least three axes .* but got the shape \(2, 4\)"):
            TimeDistributed(Dense(3))(torch.randn(2, 4))
        with pytest.raises(ValueError, match="TimeDistributed needs a layer to wrap, but got 3"):
            TimeDistributed(3)
        with pytest.raises(ValueError, match="TimeDistributed takes no activity_regularizer"):
            TimeDistributed(Dense(3), activity_regularizer="l2")


def test_a_users_wrapper():
    class Scaled(Wrapper):
        def build(self, input_shape):
            self.build_inside(self.layer, input_shape)

        def call(self, inputs):
            return 2 * self.layer(inputs)

    layer, x = Scaled(Dense(3)), torch.randn(2, 4)
    torch.testing.assert_close(layer(x), 2 * layer.layer(x))
    assert Scaled.from_config(layer.get_config()).layer.units == 3
    assert [weight.name for weight in layer.weights] == [f"{layer.name}/kernel:0", f"{layer.name}/bias:0"]
