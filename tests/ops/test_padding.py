"""`ops.padding.pad` is `F.pad` with zeros, in fewer passes over memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from torchkeras.ops import padding

WIDTHS = [[0, 0, 0, 1, 0, 1], [1, 2], [0, 0, 3, 0, 1, 2, 1, 0], [0, 0, 0, 0], []]


@pytest.fixture(autouse=True)
def _small_tensors_are_large(monkeypatch):
    monkeypatch.setattr(padding, "LARGE", 1)


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_values_are_those_of_torch(widths, dtype):
    x = torch.randn(2, 3, 4, 5).to(dtype)
    assert torch.equal(padding.pad(x, widths), F.pad(x, widths))


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_gradient_is_the_inside_and_can_be_differentiated_again(widths):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: padding.pad(x, widths), x)
    assert torch.autograd.gradgradcheck(lambda x: padding.pad(x, widths) ** 3, x)


def test_nothing_but_the_edges_is_filled_and_the_gradient_is_a_view():
    x = torch.randn(2, 6, 6, 3, requires_grad=True)
    outputs = padding.pad(x, [0, 0, 0, 1, 0, 1])
    assert type(outputs.grad_fn).__name__ == "_PaddedBackward"
    gradient = torch.randn_like(outputs)
    (found,) = torch.autograd.grad(outputs, x, gradient)
    assert found.data_ptr() == gradient.data_ptr()
    torch.testing.assert_close(found, gradient[:, :6, :6])


def test_a_result_is_never_the_input():
    x = torch.randn(2, 3)
    assert padding.pad(x, [0, 0]).data_ptr() != x.data_ptr()


def test_a_permuted_tensor_keeps_the_order_of_its_memory():
    x = torch.randn(2, 5, 5, 3).permute(0, 3, 1, 2)
    made = padding.pad(x, [0, 1, 0, 1])
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, F.pad(x, [0, 1, 0, 1]))


def test_transforms_and_tracing_see_the_operation_of_torch():
    x = torch.randn(4, 3, 5)
    torch.testing.assert_close(torch.vmap(lambda row: padding.pad(row, [1, 2]))(x), F.pad(x, [1, 2]))
    gradient = torch.func.grad(lambda x: padding.pad(x, [1, 2]).square().sum())(x)
    torch.testing.assert_close(gradient, 2 * x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.clone().requires_grad_(), torch.ones_like(x))
        tangent = torch.autograd.forward_ad.unpack_dual(padding.pad(dual, [1, 2])).tangent
    assert torch.equal(tangent, F.pad(torch.ones_like(x), [1, 2]))
    with torch.device("meta"):
        assert padding.pad(torch.empty(2, 3), [1, 2]).shape == (2, 6)


def test_export_and_compilers_see_the_operation_of_torch():
    class Padded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return padding.pad(x, [0, 1, 0, 1]) + 1

    x = torch.randn(2, 4, 4)
    program = torch.export.export(Padded(), (x,))
    assert any("pad" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x), F.pad(x, [0, 1, 0, 1]) + 1)
    compiled = torch.compile(Padded(), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), F.pad(x, [0, 1, 0, 1]) + 1)


def test_strided_and_causal_convolutions_do_not_fill_twice(monkeypatch):
    from torchkeras import layers

    seen = []
    monkeypatch.setattr(padding, "_padded", lambda x, pads, real=padding._padded: seen.append(pads) or real(x, pads))
    x = torch.randn(2, 8, 8, 3)
    layers.Conv2D(4, 3, strides=2, padding="same")(x)
    layers.Conv1D(4, 3, padding="causal")(x[0])
    layers.ZeroPadding2D(1)(x)
    assert len(seen) == 3
    assert all(first != second for first, second in pairwise(seen))
