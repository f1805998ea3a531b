"""The written-out LSTM: outputs, gradients and gradients of gradients are those of the literal step under autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from tests.ops.loops import CURVES, GATES, SIZES, cases, check_gradients, check_literal, check_only_trained, scanned, tensors_of, watched
from tests.pretend import pretending
from torchkeras.layers import LSTM
from torchkeras.ops.recurrent import Weights, lstm_loop
from torchkeras.ops.recurrent.lstm_loop import takes_loop


def case(sizes, bias=True):
    return tensors_of(4, 2, sizes, bias=bias)


def written_out(data, weight_ih, weight_hh, bias, hidden, carry, *, sizes, curve, gate):
    outputs, last = lstm_loop(data, (hidden, carry), sizes, weights=Weights(weight_ih, weight_hh, bias), curve=CURVES[curve][0], gate=GATES[gate][0])
    return outputs, *last


def literal(data, weight_ih, weight_hh, bias, hidden, carry, *, sizes, curve, gate):
    activation, opens = CURVES[curve][1], GATES[gate][1]

    def step(now, states, _):
        i, f, g, o = (now @ weight_ih.t() + (0 if bias is None else bias) + states[0] @ weight_hh.t()).chunk(4, 1)
        kept = opens(f) * states[1] + opens(i) * activation(g)
        shown = opens(o) * activation(kept)
        return shown, (shown, kept)

    return scanned(step, data, sizes, (hidden, carry))


@settings(max_examples=40, deadline=None)
@given(**cases(3))
def test_is_the_literal_loop(sizes, curve, gate, bias, asked, seed):
    torch.manual_seed(seed)
    check_literal(written_out, literal, case(sizes, bias), asked, sizes=sizes, curve=curve, gate=gate)


@pytest.mark.parametrize("gate", list(GATES))
def test_gradients_by_finite_differences(gate):
    torch.manual_seed(0)
    check_gradients(written_out, case(SIZES), gate)


def test_only_what_is_trained_gets_a_gradient():
    check_only_trained(written_out, case([2, 2]))


def hard(**kwargs):
    torch.manual_seed(0)
    return LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True, return_state=True, **kwargs)


def test_layers_run_in_it_and_step_by_step_where_autograd_has_to_see_the_steps(monkeypatch):
    seen = watched(monkeypatch, "lstm_loop")
    x, mask = torch.randn(2, 5, 3), torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0]]).bool()
    for masked in (None, mask):
        layer = hard()
        expected = layer(x, mask=masked)
        assert len(seen) == 1
        torch.testing.assert_close(torch.vmap(lambda one, layer=layer, masked=masked: layer(one, mask=masked)[0])(x[None])[0], expected[0])
        weights = dict(layer.named_parameters())
        grads = torch.func.grad(lambda given, layer=layer, masked=masked: torch.func.functional_call(layer, given, (x, masked))[0].sum())(weights)
        assert len(seen) == 1
        expected[0].sum().backward()
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(grads[name], parameter.grad)
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            assert torch.autograd.forward_ad.unpack_dual(layer(dual, mask=masked)[0]).tangent is not None
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(layer(x, mask=masked)[0].float(), expected[0], rtol=0.05, atol=0.02)
        torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x, mask=masked), expected)
        assert len(seen) == 1
        seen.clear()


def test_backwards_with_states_and_dropout_of_inputs():
    layer = hard(go_backwards=True, dropout=0.5)
    x, states = torch.randn(2, 5, 3), [torch.randn(2, 4), torch.randn(2, 4)]
    outputs, hidden, carry = layer(x, initial_state=states)
    again = states
    for step in range(4, -1, -1):
        shown, again = layer.cell(x[:, step], again)
        torch.testing.assert_close(outputs[:, 4 - step], shown)
    torch.testing.assert_close([hidden, carry], again)
    layer.train()
    assert not torch.equal(layer(x)[0], layer(x)[0])


def test_runs_on_a_device_without_waiting():
    with pretending() as device:
        layer = hard().to(device)
        x = torch.randn(2, 5, 3, device=device, requires_grad=True)
        outputs, hidden, _ = layer(x)
        assert takes_loop(x) and outputs.device == device
        (outputs.sum() + hidden.sum()).backward()
        assert x.grad.shape == x.shape
