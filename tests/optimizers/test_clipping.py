"""Bounds on gradients, of each release."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras import optimizers
from torchkeras.generations import using_keras_version


def moved(optimizer, *gradients):
    """How far plain steps of rate 1 went: the clipped gradients."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    optimizer.bind(parameters).step()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)  # the gradients themselves stay
    return [-parameter.detach() for parameter in parameters]


A, B = torch.tensor([3.0, 0.0]), torch.tensor([[0.0, 4.0]])


def test_clipnorm_bounds_each_gradient_in_tf_keras_and_all_together_in_keras_2():
    a, b = moved(optimizers.SGD(1.0, clipnorm=1.0), A, B)
    torch.testing.assert_close(a, A / 3)
    torch.testing.assert_close(b, B / 4)
    with using_keras_version("2.2.4"):
        a, b = moved(optimizers.SGD(1.0, clipnorm=1.0), A, B)
    torch.testing.assert_close(a, A / 5)
    torch.testing.assert_close(b, B / 5)


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_global_clipnorm_bounds_all_together(version):
    with using_keras_version(version):
        a, b = moved(optimizers.SGD(1.0, global_clipnorm=2.5), A, B)
    torch.testing.assert_close(a, A / 2)
    torch.testing.assert_close(b, B / 2)


@pytest.mark.parametrize("kwargs", [{"clipnorm": 10.0}, {"global_clipnorm": 10.0}, {"clipvalue": 10.0}], ids=str)
def test_gradients_within_the_bounds_stay_bit_for_bit(kwargs):
    gradient = torch.randn(7, 5)
    assert torch.equal(moved(optimizers.SGD(1.0, **kwargs), gradient)[0], gradient)


def test_norms_come_before_values():
    (clipped,) = moved(optimizers.SGD(1.0, clipnorm=1.0, clipvalue=0.5), A)
    assert clipped.tolist() == [0.5, 0.0]


def test_a_bound_of_zero_stops_in_tf_keras_and_is_off_in_keras_2():
    for kwargs in ({"clipnorm": 0.0}, {"clipvalue": 0.0}, {"global_clipnorm": 0.0}):
        assert moved(optimizers.SGD(1.0, **kwargs), A)[0].tolist() == [0.0, 0.0]
    with using_keras_version("2.2.4"):
        for kwargs in ({"clipnorm": 0.0}, {"clipvalue": 0.0}):
            assert moved(optimizers.SGD(1.0, **kwargs), A)[0].tolist() == [3.0, 0.0]


def test_a_zero_gradient_stays_zero():
    for kwargs in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        assert moved(optimizers.SGD(1.0, **kwargs), torch.zeros(3))[0].tolist() == [0.0, 0.0, 0.0]


def test_bounds_are_attributes():
    optimizer = optimizers.SGD(1.0)
    assert optimizer.clipnorm is optimizer.clipvalue is optimizer.global_clipnorm is None
    optimizer.clipvalue = 0.5
    assert optimizer.get_config()["clipvalue"] == 0.5
    assert moved(optimizer, A)[0].tolist() == [0.5, 0.0]
    with pytest.raises(ValueError, match="SGD takes a clipvalue of at least 0, but got -1"):
        optimizer.clipvalue = -1


# A table of 4 rows, of which 0 is seen once and 2 three times, and a bias, after two steps of rate 0.1 in tf.keras 2.4.0.
ROWS = [0, 2, 2, 2]
VALUES = [[1.0, 0.2], [0.4, 0.4], [0.4, 0.6], [0.8, 0.2]]
KERAS = [
    ("SGD", {"clipnorm": 1.0}, [[0.875, 0.975], [1, 1], [0.8000001, 0.85], [1, 1]], [0.88, 0.84000003]),
    ("Adam", {"clipnorm": 1.0}, [[0.8000012, 0.80000466], [1, 1], [0.8000009, 0.8000011], [1, 1]], [0.8000012, 0.800001]),
    ("SGD", {"clipvalue": 0.3}, [[0.94000006, 0.96000004], [1, 1], [0.8200002, 0.84000015], [1, 1]], [0.94000006, 0.94000006]),
    ("Adam", {"clipvalue": 0.3}, [[0.80000216, 0.80000305], [1, 1], [0.8000009, 0.800001], [1, 1]], [0.8000021, 0.8000021]),
]


@pytest.mark.parametrize(("name", "kwargs", "table_after", "bias_after"), KERAS, ids=lambda value: str(value)[:18])
def test_repeated_rows_of_a_sparse_gradient_count_one_by_one(name, kwargs, table_after, bias_after):
    table, bias = nn.Parameter(torch.ones(4, 2)), nn.Parameter(torch.ones(2))
    optimizer = getattr(optimizers, name)(0.1, **kwargs).bind([table, bias])
    assert optimizer.sparse_differs()
    for _ in range(2):
        table.grad = torch.sparse_coo_tensor(torch.tensor([ROWS]), torch.tensor(VALUES), table.shape, check_invariants=True)
        bias.grad = torch.tensor([3.0, 4.0])
        optimizer.step()
    np.testing.assert_allclose(table.detach(), table_after, rtol=1e-5)
    np.testing.assert_allclose(bias.detach(), bias_after, rtol=1e-5)


def test_keras_2_adds_repeated_rows_up_before_it_clips():
    table = nn.Parameter(torch.zeros(4, 2))
    table.grad = torch.sparse_coo_tensor(torch.tensor([[2, 2]]), torch.tensor([[3.0, 0.0], [1.0, 3.0]]), table.shape, check_invariants=True)
    with using_keras_version("2.2.4"):
        optimizer = optimizers.SGD(1.0, clipnorm=1.0).bind([table])
    assert not optimizer.sparse_differs()
    optimizer.step()
    np.testing.assert_allclose(table.detach()[2], [-0.8, -0.6], rtol=1e-6)


def test_sparse_gradients_of_an_embedding_train_as_dense_ones_where_the_rules_are_one():
    ids = torch.tensor([[1, 2, 2], [0, 2, 1]])
    for make in (optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.Adagrad):
        tables = []
        for sparse in (False, True):
            torch.manual_seed(0)
            embedding = nn.Embedding(5, 3, sparse=sparse)
            optimizer = make(0.1).bind(embedding.parameters())
            assert not optimizer.sparse_differs()
            for _ in range(4):
                optimizer.zero_grad()
                embedding(ids).square().sum().backward()
                assert embedding.weight.grad.is_sparse is sparse
                optimizer.step()
            tables.append(embedding.weight.detach())
        torch.testing.assert_close(tables[0], tables[1])


def test_a_gradient_sparse_in_every_axis_is_made_dense():
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.eye(2).to_sparse()
    optimizers.SGD(1.0, momentum=0.5).bind([parameter]).step()
    assert parameter.tolist() == [[-1.0, 0.0], [0.0, -1.0]]


def test_clip_norm_is_that_of_keras_2():
    gradient = torch.tensor([3.0, 4.0])
    torch.testing.assert_close(optimizers.clip_norm(gradient, 1.0, torch.tensor(5.0)), gradient / 5)
    assert torch.equal(optimizers.clip_norm(gradient, 10.0, 5.0), gradient)
    assert optimizers.clip_norm(gradient, 0.0, 5.0) is gradient
