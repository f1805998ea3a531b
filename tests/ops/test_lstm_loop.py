"""The written-out LSTM: outputs, gradients and gradients of gradients are those of the literal step under autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pretend import pretending
from torchkeras.layers import LSTM
from torchkeras.ops import recurrent
from torchkeras.ops.recurrent import HARD_SIGMOID, LINEAR, RELU, SIGMOID, TANH, Weights, lstm_loop, packed_scan
from torchkeras.ops.recurrent.lstm_loop import takes_loop

CURVES = {"tanh": (TANH, torch.tanh), "relu": (RELU, torch.relu), "linear": (LINEAR, lambda x: x)}
GATES = {"sigmoid": (SIGMOID, torch.sigmoid), "hard_sigmoid": (HARD_SIGMOID, lambda x: (0.2 * x + 0.5).clamp(0, 1))}


def case(sizes, units=3, size=2, bias=True):
    shapes = [(sum(sizes), size), (4 * units, size), (4 * units, units), (4 * units,), (sizes[0], units), (sizes[0], units)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    return tensors if bias else [*tensors[:3], None, *tensors[4:]]


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

    each, last = packed_scan(step, data.split(sizes), (hidden, carry))
    return torch.cat(each), *last


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5).map(lambda sizes: sorted(sizes, reverse=True)),
    curve=st.sampled_from(list(CURVES)),
    gate=st.sampled_from(list(GATES)),
    bias=st.booleans(),
    asked=st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    seed=st.integers(0, 1000),
)
def test_is_the_literal_loop(sizes, curve, gate, bias, asked, seed):
    torch.manual_seed(seed)
    tensors = case(sizes, bias=bias)
    wanted = [tensor for tensor in tensors if tensor is not None]
    found = []
    for run in (written_out, literal):
        results = run(*tensors, sizes=sizes, curve=curve, gate=gate)
        chosen = [result for result, ask in zip(results, asked, strict=True) if ask]
        weights = [torch.linspace(-1, 2, part.numel(), dtype=torch.float64).view(part.shape) for part in chosen]
        gradients = torch.autograd.grad(chosen, wanted, weights, allow_unused=True, materialize_grads=True)
        found.append([part.detach() for part in (*results, *gradients)])
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)  # torch's own hard sigmoid divides by 6 in single precision


@pytest.mark.parametrize("gate", list(GATES))
def test_gradients_by_finite_differences(gate):
    torch.manual_seed(0)
    tensors = case([3, 2, 2, 1])

    def run(*tensors):
        return written_out(*tensors, sizes=[3, 2, 2, 1], curve="tanh", gate=gate)

    assert torch.autograd.gradcheck(run, tensors, atol=1e-5)
    assert torch.autograd.gradgradcheck(run, tensors, atol=1e-5)


def test_only_what_is_trained_gets_a_gradient():
    data, *rest = case([2, 2])
    rest = [tensor.detach() for tensor in rest]
    rest[1].requires_grad_()
    written_out(data.detach(), *rest, sizes=[2, 2], curve="tanh", gate="hard_sigmoid")[0].sum().backward()
    assert [tensor.grad is not None for tensor in (data, *rest)] == [False, False, True, False, False, False]


def hard(**kwargs):
    torch.manual_seed(0)
    return LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True, return_state=True, **kwargs)


def test_layers_run_in_it_and_step_by_step_where_autograd_has_to_see_the_steps(monkeypatch):
    seen = []
    original = recurrent.lstm_loop.__globals__["_Loop"].apply
    monkeypatch.setattr(recurrent.lstm_loop.__globals__["_Loop"], "apply", lambda *args: seen.append(1) or original(*args))
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
