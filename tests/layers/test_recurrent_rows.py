"""Recurrent layers in a row run at once in a graph, with the numbers of layers that are called one by one."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.pretend import on_device, pretending
from torchkeras import generations
from torchkeras.layers import GRU, LSTM, RNN, Bidirectional, Dense, Dropout, Embedding, Input, LSTMCell, Masking, SimpleRNN, TimeDistributed
from torchkeras.layers.base import get_mask
from torchkeras.layers.recurrent import chain
from torchkeras.models import Model, Sequential
from torchkeras.ops import recurrent
from torchkeras.utils import set_random_seed

STEPS = 6
KINDS = {"lstm": LSTM, "gru": GRU, "rnn": SimpleRNN}
batches = st.integers(1, 4).flatmap(lambda rows: st.lists(st.lists(st.integers(0, 6), min_size=STEPS, max_size=STEPS), min_size=rows, max_size=rows))


@pytest.fixture
def runs(monkeypatch):
    """How many layers each run at once had."""
    seen = []

    def watched(links, *args, **kwargs):
        output = original(links, *args, **kwargs)
        if output is not None:
            seen.append(len(links))
        return output

    original = chain.run_chain
    monkeypatch.setattr(chain, "run_chain", watched)
    return seen


def one_by_one(model, x, mask=None):
    """The layers of a model, each called by itself."""
    hidden = x if isinstance(x, torch.Tensor) else torch.as_tensor(np.array(x))
    for layer in model.layers:
        hidden = layer(hidden) if mask is None else layer(hidden, mask=mask)
    return hidden


def results(output, model):
    """An output and the gradients of its weighted sum."""
    model.zero_grad()
    (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
    return [output.detach(), *(parameter.grad.clone() for parameter in model.parameters())]


@pytest.mark.parametrize("version", ["2.4.0", "2.2.4"])
@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=3),
    units=st.sampled_from([[3, 3, 3], [2, 4, 3]]),
    sequences=st.booleans(),
    zeros=st.booleans(),
    rows=batches,
    seed=st.integers(0, 100),
)
def test_layers_in_a_row_give_what_they_give_one_by_one(version, kinds, units, sequences, zeros, rows, seed):
    set_random_seed(seed)
    with generations.using_keras_version(version):
        model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,))])
        for number, kind in enumerate(kinds):
            last = number == len(kinds) - 1
            model.add(KINDS[kind](units[number], return_sequences=not last or sequences, zero_output_for_mask=zeros and last))
    x = torch.tensor(rows)
    for mine, theirs in zip(results(model(x), model), results(one_by_one(model, x), model), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), one_by_one(model, x), rtol=1e-5, atol=1e-6)
    mask = get_mask(model(x))
    assert (mask is None) != sequences and (mask is None or torch.equal(mask, x != 0))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("sequences", [True, False])
def test_so_do_layers_without_a_mask(kind, sequences, runs):
    model = Sequential([KINDS[kind](3, return_sequences=True, input_shape=(None, 2)), KINDS[kind](3, return_sequences=sequences)])
    x = torch.randn(4, 5, 2)
    for mine, theirs in zip(results(model(x), model), results(one_by_one(model, x), model), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert runs == [2]


def test_what_runs_at_once(runs):
    """Layers in a row, in branches that stand side by side in the record too; and not what something else takes."""
    ids, other = Input((None,)), Input((None,))
    words = [Embedding(7, 4, mask_zero=True) for _ in range(2)]
    first, second = ([kind(3, return_sequences=True) for kind in (LSTM, GRU)] for _ in range(2))
    left, right = (layer(value) for layer, value in zip(words, (ids, other), strict=True))
    left, right = (layer(value) for layer, value in zip(first, (left, right), strict=True))
    left, right = (layer(value) for layer, value in zip(second, (left, right), strict=True))
    end = LSTM(2)
    model = Model([ids, other], [end(left), right, left])
    x, y = torch.tensor([[0, 3, 0, 5], [1, 0, 0, 0]]), torch.tensor([[0, 0, 0, 0], [2, 3, 4, 5]])
    last, outputs, between = model([x, y])
    assert sorted(runs) == [2, 2]
    assert torch.equal(get_mask(outputs), y != 0) and torch.equal(get_mask(between), x != 0)
    torch.testing.assert_close(between, second[0](first[0](words[0](x))))
    torch.testing.assert_close(outputs, second[1](first[1](words[1](y))))
    torch.testing.assert_close(last, end(between))


@pytest.mark.parametrize(
    "between",
    [
        lambda: [Dropout(0.5)],
        lambda: [TimeDistributed(Dense(3))],
        lambda: [Bidirectional(LSTM(2, return_sequences=True))],
        lambda: [LSTM(3, return_sequences=True, go_backwards=True)],
        lambda: [LSTM(3, return_sequences=True, masked="scan")],
        lambda: [Sequential([LSTM(3, return_sequences=True, input_shape=(None, 3)), GRU(3, return_sequences=True)])],
        lambda: [RNN(LSTMCell(3), return_sequences=True)],
        lambda: [RNN(nn.LSTMCell(3, 3), return_sequences=True)],
        lambda: [RNN([LSTMCell(3), LSTMCell(2)], return_sequences=True)],
    ],
)
def test_what_stands_between_sees_the_outputs_of_all_steps(between):
    layers = [
        Embedding(7, 4, mask_zero=True, input_shape=(None,)),
        LSTM(3, return_sequences=True),
        *between(),
        GRU(2, return_sequences=True),
        LSTM(2),
    ]
    model = Sequential(layers)
    x = torch.tensor([[0, 3, 0, 5, 0], [1, 0, 0, 0, 0], [0] * 5, [1, 2, 3, 4, 5]])
    torch.testing.assert_close(model(x), one_by_one(model, x), rtol=1e-5, atol=1e-6)


def test_hooks_see_every_step(runs):
    model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,)), LSTM(3, return_sequences=True), LSTM(3)])
    x = torch.tensor([[0, 3, 0, 5], [1, 0, 0, 2]])
    plain = model(x)
    assert runs.pop() == 2
    seen = []
    handle = model.layers[1].register_forward_hook(lambda layer, args, output: seen.append(output))
    torch.testing.assert_close(model(x), plain)
    torch.testing.assert_close(seen[0][0, 2], seen[0][0, 1])  # a masked step repeats the output
    handle.remove()
    handle = nn.modules.module.register_module_forward_hook(lambda layer, args, output: seen.append(output))
    model(x)
    handle.remove()
    assert len(seen) > 3 and not runs
    model.layers[1].forward = lambda inputs, mask=None: torch.zeros(2, 4, 3)
    assert not torch.allclose(model(x), plain) and not runs


def test_penalties_of_outputs_count():
    def make(penalty):
        set_random_seed(0)
        model = Sequential(
            [Embedding(7, 4, mask_zero=True, input_shape=(None,)), LSTM(3, return_sequences=True, activity_regularizer=penalty), LSTM(3), Dense(1)]
        )
        model.compile("sgd", "mse")
        return model.evaluate(np.array([[0, 1, 2]]), np.zeros(1), verbose=0)

    assert make("l2") > make(None)


def test_training_drops_and_states_stay(runs):
    x = torch.tensor([[0, 3, 0, 5], [1, 0, 0, 2]])
    model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,)), LSTM(30, return_sequences=True, dropout=0.5), LSTM(3)])
    model(x)
    assert runs == [2]
    model.train()
    assert not torch.equal(model(x), model(x)) and runs == [2]
    model = Sequential([Embedding(7, 4, mask_zero=True, batch_input_shape=(2, None)), LSTM(3, return_sequences=True, stateful=True), LSTM(3)])
    assert not torch.equal(model(x), model(x)) and runs == [2]


def test_an_id_out_of_range_is_named():
    model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,), name="words"), LSTM(3)])
    with pytest.raises(IndexError, match=r"Embedding 'words' knows the ids 0 to 6 .* got the id 7"):
        model(torch.tensor([[0, 7]]))


def test_a_mask_of_another_shape_is_named():
    model = Sequential([LSTM(3, return_sequences=True, input_shape=(None, 2)), LSTM(3)])
    with pytest.raises(ValueError, match=r"a mask of shape \(batch, steps\) = \(2, 4\)"):
        model(torch.zeros(2, 4, 2), mask=torch.ones(2, 3, dtype=torch.bool))


def test_copies_files_and_replaced_layers(runs):
    model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,)), LSTM(3, return_sequences=True), LSTM(3)])
    x = torch.tensor([[0, 3, 0, 5], [1, 0, 0, 2]])
    expected = model(x)
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin(x), expected)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    torch.testing.assert_close(torch.load(file, weights_only=False)(x), expected)
    assert runs == [2, 2, 2]
    clone = Sequential.from_config(model.get_config())
    clone.set_weights(model.get_weights())
    torch.testing.assert_close(clone(x), expected)


def test_compiled_and_exported_models_call_their_layers():
    model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,)), SimpleRNN(3, return_sequences=True), SimpleRNN(3)])
    x = torch.tensor([[0, 3, 0, 5], [1, 0, 0, 2]])
    expected = model(x)
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(x), expected)
    torch.testing.assert_close(torch.export.export(model, (x,), strict=False).module()(x), expected)
    weights = dict(model.named_parameters())
    grads = torch.func.grad(lambda given: torch.func.functional_call(model, given, (x,)).sum())(weights)
    expected.sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad)


@pytest.mark.parametrize("known", [True, False])
def test_nothing_waits_for_a_device(known, runs):
    model = Sequential([Embedding(7, 4, mask_zero=True, input_shape=(None,)), LSTM(3, return_sequences=True), SimpleRNN(2, return_sequences=True)])
    with pretending() as device:
        there = on_device(model, device).train()
        x = torch.ones(2, 4, dtype=torch.int64, device=device)
        if known:
            recurrent.note_count(x, 0.0, [4, 2])
        y = there(x)
        assert y.shape == (2, 4, 2) and y.device == device
        y.sum().backward()
    assert runs == [2]


def test_autocast_and_half_precision(runs):
    model = Sequential([Masking(input_shape=(None, 4)), LSTM(3, return_sequences=True), LSTM(3)])
    x = torch.randn(2, 4, 4) * torch.tensor([[0.0, 1, 0, 1], [1, 0, 0, 1]]).unsqueeze(2)
    expected = one_by_one(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model(x).float(), expected, rtol=0.05, atol=0.02)
    torch.testing.assert_close(model.bfloat16()(x.bfloat16()).float(), expected, rtol=0.05, atol=0.02)
    assert runs == [2, 2]


def test_gradients_by_finite_differences():
    model = Sequential([Masking(input_shape=(None, 2)), GRU(2, return_sequences=True), GRU(2, return_sequences=True)]).double()
    x = (torch.randn(2, 3, 2) * torch.tensor([[0.0, 1, 1], [1, 0, 1]]).unsqueeze(2)).double().requires_grad_()
    mask = (x != 0).any(2)
    inner = Sequential(model.layers[1:])
    assert torch.autograd.gradcheck(lambda inputs: inner(inputs, mask=mask), x)
