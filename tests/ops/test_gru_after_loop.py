"""The written-out GRU whose reset gate acts after the product is the literal step, and torch's own kernel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.loops import SIZES
from torchkeras.layers import GRU, Bidirectional
from torchkeras.ops.recurrent import Weights, packed_scan, recurrence
from torchkeras.ops.recurrent.gru_after_loop import gru_after_loop
from torchkeras.ops.recurrent.steps import gru_step, project

sizes_of_steps = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(lambda sizes: sorted(sizes, reverse=True))


def case(sizes, biases, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(sum(sizes), 3), (12, 3), (12, 4), (12,) if biases else None, (12,) if biases > 1 else None, (sizes[0], 4)]
    made = [None if shape is None else torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]
    return [None if tensor is None else tensor.requires_grad_() for tensor in made]


def written_out(sizes, data, *rest):
    return gru_after_loop(data, rest[-1], sizes, Weights(*rest[:-1]))


def literal(sizes, data, *rest):
    weights = Weights(*rest[:-1])

    def step(now, states, _):
        return gru_step(now, states, weights=weights)

    each, (last,) = packed_scan(step, project(data, weights).split(sizes), (rest[-1],))
    return torch.cat(each), last


@settings(max_examples=40, deadline=None)
@given(sizes=sizes_of_steps, biases=st.integers(0, 2), asked=st.sampled_from([(1, 0), (0, 1), (1, 1)]), seed=st.integers(0, 1000))
def test_is_the_literal_step(sizes, biases, asked, seed):
    tensors = case(sizes, biases, seed)
    leaves = [tensor for tensor in tensors if tensor is not None]
    gradients = []
    for run in (written_out, literal):
        outputs = run(sizes, *tensors)
        gradients.append((outputs, torch.autograd.grad(sum(w * (o * o).sum() for w, o in zip(asked, outputs, strict=True) if w), leaves)))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("biases", [0, 1, 2])
def test_gradients_by_finite_differences(biases):
    tensors = case(SIZES, biases)
    given = [tensor for tensor in tensors if tensor is not None]

    def run(*leaves):
        left = iter(leaves)
        return written_out(SIZES, *(None if tensor is None else next(left) for tensor in tensors))

    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given)


def test_is_the_kernel_of_torch():
    torch.manual_seed(0)
    kernel = torch.nn.GRU(3, 4).double()
    x, start = torch.randn(6, 5, 3, dtype=torch.float64), torch.randn(1, 5, 4, dtype=torch.float64)
    outputs, last = gru_after_loop(x.flatten(0, 1), start[0], [5] * 6, Weights(*kernel.parameters()))
    expected = kernel(x, start)
    torch.testing.assert_close((outputs.view(6, 5, 4), last[None]), expected, rtol=1e-9, atol=1e-10)


def test_only_what_is_trained_gets_a_gradient():
    tensors = case([2, 1], 2)
    tensors[1].requires_grad_(False)
    tensors[4].requires_grad_(False)
    written_out([2, 1], *tensors)[0].sum().backward()
    assert [tensor.grad is None for tensor in tensors] == [False, True, False, False, True, False]


def test_masked_layers_are_trained_in_it(monkeypatch):
    """The kernel, without gradients, gives the same outputs."""
    seen = []

    def noted(*given):
        seen.append(given)
        return gru_after_loop(*given)

    monkeypatch.setattr(recurrence, "gru_after_loop", noted)
    torch.manual_seed(0)
    x, mask = torch.randn(3, 5, 3), torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).bool()
    for layer, calls in ((GRU(4, reset_after=True), 1), (Bidirectional(GRU(4, reset_after=True, return_sequences=True)), 2)):
        trained = layer(x, mask=mask)
        assert len(seen) == calls
        with torch.no_grad():
            torch.testing.assert_close(trained, layer(x, mask=mask))
        with torch.autocast("cpu", torch.bfloat16):
            layer(x, mask=mask)
        assert len(seen) == calls
        seen.clear()
