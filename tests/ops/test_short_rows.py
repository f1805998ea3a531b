"""Softmax of many short rows is torch's, only quicker."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from torchkeras import activations
from torchkeras.losses import categorical_crossentropy, sparse_categorical_crossentropy
from torchkeras.ops import short_rows

SHAPES = [(200, 9), (30, 40, 3), (2000, 1), (4, 5), (300, 16), (7, 2, 90, 2)]


@pytest.fixture(autouse=True)
def wide_registers(monkeypatch):
    monkeypatch.setattr(short_rows, "REGISTER", 16)


def rows(shape, **options):
    torch.manual_seed(0)
    return (4 * torch.randn(shape)).requires_grad_(**options)


def gradient(values, x):
    weight = torch.linspace(-1, 1, values.numel()).view(values.shape)
    return torch.autograd.grad((values * weight).sum(), x)[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("own, theirs", [(short_rows.softmax, torch.softmax), (short_rows.log_softmax, torch.log_softmax)])
def test_is_that_of_torch(own, theirs, shape):
    x = rows(shape)
    found, expected = own(x), theirs(x, -1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient(found, x), gradient(expected, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_is_that_of_torch(reduction):
    x, ids = rows((300, 5)), torch.arange(300) % 5
    ids[7] = -100
    found, expected = short_rows.cross_entropy(x, ids, reduction=reduction), F.cross_entropy(x, ids, reduction=reduction)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient(found, x), gradient(expected, x), rtol=1e-5, atol=1e-6)


def test_extremes_are_those_of_torch():
    x = torch.tensor([[1e30, 0.0, -1e30], [float("-inf"), 0.0, 1.0], [float("nan"), 0.0, 1.0]]).repeat(400, 1)
    for own, theirs in ((short_rows.softmax, torch.softmax), (short_rows.log_softmax, torch.log_softmax)):
        torch.testing.assert_close(own(x), theirs(x, -1), equal_nan=True)


def test_the_result_of_softmax_lies_as_one_expects():
    assert activations.softmax(rows((30, 40, 3))).is_contiguous()


def test_losses_of_many_rows_are_those_of_each():
    x, ids = rows((200, 9)) / 4, torch.arange(200) % 9
    one_hot = F.one_hot(ids, 9).float()
    for loss, y in ((sparse_categorical_crossentropy, ids), (categorical_crossentropy, one_hot)):
        for prediction, options in ((activations.softmax(x), {}), (x, {"from_logits": True})):
            each = torch.cat([loss(y[n : n + 1], prediction[n : n + 1], **options) for n in range(200)])
            torch.testing.assert_close(loss(y, prediction, **options), each, rtol=1e-4, atol=1e-5)


def test_a_bad_id_is_an_error():
    with pytest.raises(IndexError, match=r"Target 5 is out of bounds"):
        sparse_categorical_crossentropy(torch.full((300,), 5), rows((300, 5)), from_logits=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
def test_traces_and_exports_keep_the_number_of_rows_free():
    traced = torch.jit.trace(activations.softmax, rows((200, 9), requires_grad=False))
    for count in (3, 500):
        x = rows((count, 9), requires_grad=False)
        torch.testing.assert_close(traced(x), torch.softmax(x, -1))

    class Probabilities(torch.nn.Module):
        def forward(self, x):
            return activations.softmax(x)

    exported = torch.export.export(Probabilities(), (x,), dynamic_shapes=({0: torch.export.Dim("rows")},)).module()
    torch.testing.assert_close(exported(x[:3]), torch.softmax(x[:3], -1))


def test_double_gradients():
    x = rows((400, 3))
    first = torch.autograd.grad(short_rows.log_softmax(x)[:, 0].sum(), x, create_graph=True)[0]
    expected = torch.autograd.grad(torch.log_softmax(x, -1)[:, 0].sum(), x, create_graph=True)[0]
    torch.testing.assert_close(gradient(first, x), gradient(expected, x), rtol=1e-5, atol=1e-6)
