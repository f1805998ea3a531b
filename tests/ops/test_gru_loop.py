"""The written-out GRU: outputs, gradients and gradients of gradients are those of the literal step under autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from tests.ops.loops import CURVES, GATES, SIZES, cases, check_gradients, check_literal, check_only_trained, scanned, tensors_of, watched
from torchkeras.layers import GRU
from torchkeras.ops.recurrent import Weights, gru_loop


def case(sizes, bias=True):
    return tensors_of(3, 1, sizes, bias=bias)


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

    return scanned(step, data, sizes, (hidden,))


@settings(max_examples=40, deadline=None)
@given(**cases(2))
def test_is_the_literal_loop(sizes, curve, gate, bias, asked, seed):
    torch.manual_seed(seed)
    check_literal(written_out, literal, case(sizes, bias), asked, sizes=sizes, curve=curve, gate=gate)


@pytest.mark.parametrize("gate", list(GATES))
def test_gradients_by_finite_differences(gate):
    torch.manual_seed(0)
    check_gradients(written_out, case(SIZES), gate)


def test_only_what_is_trained_gets_a_gradient():
    check_only_trained(written_out, case([2, 2]))


def test_layers_run_in_it_where_the_reset_gate_acts_first(monkeypatch):
    seen = watched(monkeypatch, "gru_loop")
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
