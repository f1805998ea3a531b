"""Arguments of K functions: arrays, numbers, lists, shapes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from torchkeras import backend as K
from torchkeras import config
from torchkeras.backend.conversion import Dimension, Sizes, as_sizes, as_tensor


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, torch.float32),
        (3, torch.int32),
        (True, torch.bool),
        ([1, 2], torch.int32),
        ([[0.5], [1]], torch.float32),
        (np.zeros(2), torch.float64),
        (np.arange(2), torch.int64),
        (np.float64(2), torch.float64),
        ([torch.tensor(1.0), 2], torch.float32),
    ],
)
def test_values_become_tensors_of_their_kind(value: object, kind: torch.dtype):
    made = as_tensor(value)
    assert made.dtype == kind
    np.testing.assert_array_equal(made, np.asarray([1.0, 2.0]) if isinstance(value, list) and isinstance(value[0], torch.Tensor) else value)


def test_python_floats_follow_floatx():
    config.set_floatx("float64")
    assert as_tensor(0.1).dtype == torch.float64
    assert as_tensor([0.1]).item() == 0.1


def test_beside_a_tensor_floats_take_its_type_and_ints_do_where_it_holds_ints():
    like = torch.zeros(1, dtype=torch.float16)
    assert as_tensor(np.zeros(2), like).dtype == as_tensor(3, like).dtype == torch.float16
    whole = torch.zeros(1, dtype=torch.int16)
    assert as_tensor(3, whole).dtype == torch.int16
    assert as_tensor(np.float64(0.5), whole).dtype == torch.float64
    assert as_tensor(True, whole).dtype == torch.bool


@pytest.mark.parametrize("array", [np.arange(4.0)[::-1], np.broadcast_to(np.float32(2), (2, 2))])
def test_arrays_that_torch_cannot_share_are_copied(array: np.ndarray):
    np.testing.assert_array_equal(as_tensor(array), array)


def test_text_is_refused():
    with pytest.raises(TypeError, match="holds numbers, but got an array of type <U1"):
        K.square("a")


def test_a_scipy_matrix_becomes_sparse():
    matrix = scipy.sparse.random(4, 3, 0.5, random_state=0, dtype="float32")
    made = K.variable(matrix)
    assert K.is_sparse(made)
    np.testing.assert_array_equal(K.eval(made), matrix.toarray())
    dense = torch.randn(3, 2)
    torch.testing.assert_close(K.dot(made, dense), torch.from_numpy(matrix.toarray()) @ dense)
    assert not K.is_sparse(K.to_dense(made))
    assert K.is_sparse(K.concatenate([made, made]))
    np.testing.assert_array_equal(K.eval(K.concatenate([made, K.ones((4, 1))])), np.hstack([matrix.toarray(), np.ones((4, 1))]))


@pytest.mark.parametrize("shape", [(2, 3), [2, np.int64(3)], torch.tensor([2, 3]), np.array([2, 3]), (torch.tensor(2), 3), torch.Size([2, 3])])
def test_shapes_come_in_many_forms(shape: object):
    assert as_sizes(shape) == (2, 3)
    assert all(type(size) is int for size in as_sizes(shape))


def test_shape_gives_numbers_with_the_arithmetic_of_a_vector():
    sizes = K.shape(torch.zeros(2, 3, 4))
    assert sizes == (2, 3, 4)
    assert isinstance(sizes, Sizes)
    assert sizes[0] * 5 == 10
    assert sizes[1:] == (3, 4)
    assert sizes * 2 == 2 * sizes == (4, 6, 8)
    assert sizes + (1, 0, 0) == (3, 3, 4)
    assert sizes - 1 == (1, 2, 3)
    assert sizes[1:] // 2 == (1, 2)
    torch.testing.assert_close(sizes[1:] * K.constant([2, 3], dtype="int32"), torch.tensor([6, 12], dtype=torch.int32))
    np.testing.assert_array_equal(K.eval(sizes), np.array([2, 3, 4]))
    assert K.prod(sizes[1:]) == 12
    assert K.dtype(sizes) == "int32"
    assert K.reshape(torch.zeros(2, 3, 4), K.stack([-1, K.prod(sizes[1:])])).shape == (2, 12)


def test_arithmetic_of_shapes_needs_one_length():
    with pytest.raises(ValueError, match=r"3 sizes does not go together with 2 numbers"):
        K.shape(torch.zeros(2, 3, 4)) + (1, 2)


def test_tensors_made_with_a_size_follow_its_device():
    on_meta = torch.zeros(2, 3, device="meta")
    rows = K.shape(on_meta)[0]
    assert isinstance(rows, Dimension)
    for made in (K.random_normal((rows, 2)), K.zeros((rows, 2)), K.random_uniform(K.shape(on_meta)), K.ones(K.shape(on_meta)[1:])):
        assert made.device.type == "meta"
    assert K.zeros((2, 3)).device.type == "cpu"


def test_tensors_made_from_nothing_follow_the_default_device():
    K.set_default_device("meta")
    try:
        made = [K.constant(1), K.random_normal((2,)), K.arange(3), K.zeros((2,)), K.variable(1), K.square(2.0), K.truncated_normal((2,))]
    finally:
        K.set_default_device(None)
    assert {one.device.type for one in made} == {"meta"}
    assert K.constant(1).device.type == "cpu"


def test_functions_take_arrays_and_numbers():
    np.testing.assert_allclose(K.maximum(np.array([1.0, 3.0]), 2), [2, 3])
    np.testing.assert_allclose(K.dot(np.eye(2), torch.ones(2, 2, dtype=torch.float64)), np.ones((2, 2)))
    assert K.equal(1, torch.tensor([1, 2])).tolist() == [True, False]
    assert K.greater(2, [1, 3]).tolist() == [True, False]
    assert K.dot(torch.ones(1, 2), np.ones((2, 1))).dtype == torch.float32


def test_shapes_and_functions_compile_in_one_graph():
    def draw(x: torch.Tensor) -> torch.Tensor:
        return x + K.random_normal((K.shape(x)[0], 3)) * 0 + K.zeros((K.shape(x)[0], 1)) + K.zeros((1, 3)) + K.batch_dot(x, x)

    compiled = torch.compile(draw, fullgraph=True, backend="eager")
    x = torch.randn(4, 3)
    torch.testing.assert_close(compiled(x), draw(x))
