"""The written-out GRU: outputs, gradients and gradients of gradients are those of the literal step under autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.test_lstm_loop import CURVES, GATES
from torchkeras.layers import GRU
from torchkeras.ops import recurrent
from torchkeras.ops.recurrent import Weights, gru_loop, packed_scan


def case(sizes, units=3, size=2, bias=True):
    shapes = [(sum(sizes), size), (3 * units, size), (3 * units, units), (3 * units,), (sizes[0], units)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    return tensors if bias else [*tensors[:3], None, *tensors[4:]]


def written_out(data, weight_ih, weight_hh, bias, hidden, *, sizes, curve, gate):
    outputs, last = gru_loop(data, (hidden,), sizes, weights=Weights(weight_ih, weight_hh, bias), curve=CURVES[curve][0], gate=GATES[gate][0])
    return outputs, *last


def literal(data, weight_ih, weight_hh, bias, hidden, *, sizes, curve, gate):
    activation, opens = CURVES[curve][1], GATES[gate][1]

    def step(now, states, _):
        (h,) = states
        r_in, z_in, n_in = (now @ weight_ih.t() + (0 if bias is None else bias)).chunk(3, 1)
        for_r, for_z, for_n = weight_hh.chunk(3)
        r, z = opens(r_in + h @ for_r.t()), opens(z_in + h @ for_z.t())
        h = z * h + (1 - z) * activation(n_in + (r * h) @ for_n.t())
        return h, (h,)

    each, last = packed_scan(step, data.split(sizes), (hidden,))
    return torch.cat(each), *last


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5).map(lambda sizes: sorted(sizes, reverse=True)),
    curve=st.sampled_from(list(CURVES)),
    gate=st.sampled_from(list(GATES)),
    bias=st.booleans(),
    asked=st.lists(st.booleans(), min_size=2, max_size=2).filter(any),
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
    assert [tensor.grad is not None for tensor in (data, *rest)] == [False, False, True, False, False]


def test_layers_run_in_it_where_the_reset_gate_acts_first(monkeypatch):
    seen = []
    original = recurrent.gru_loop.__globals__["_Loop"].apply
    monkeypatch.setattr(recurrent.gru_loop.__globals__["_Loop"], "apply", lambda *args: seen.append(1) or original(*args))
    x, mask = torch.randn(2, 5, 3), torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0]]).bool()
    for masked in (None, mask):
        layer = GRU(4, recurrent_activation="hard_sigmoid", reset_after=False, return_sequences=True)
        expected = layer(x, mask=masked)
        assert len(seen) == 1
        torch.testing.assert_close(torch.vmap(lambda one, layer=layer, masked=masked: layer(one, mask=masked))(x[None])[0], expected)
        torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x, mask=masked), expected)
        assert len(seen) == 1
        seen.clear()
    GRU(4, recurrent_activation="hard_sigmoid", reset_after=True)(x)
    GRU(4, reset_after=False, recurrent_dropout=0.5)(x, training=True)
    assert not seen
