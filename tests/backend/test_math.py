"""Elements, reductions, products and shapes against NumPy, on arrays of any shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from torchkeras import backend as K
from torchkeras import generations

ARRAYS = hnp.arrays("float64", hnp.array_shapes(min_dims=1, max_dims=4, max_side=4), elements=st.floats(-10, 10))
ELEMENTWISE = {
    "abs": np.abs,
    "square": np.square,
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0)),
    "exp": np.exp,
    "round": np.round,
    "sign": np.sign,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
}
REDUCTIONS = {
    "sum": np.sum,
    "prod": np.prod,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "var": np.var,
    "std": np.std,
    "any": np.any,
    "all": np.all,
}


@given(x=ARRAYS)
@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_elements_are_those_of_numpy(name: str, x: np.ndarray):
    np.testing.assert_allclose(getattr(K, name)(x), ELEMENTWISE[name](x), rtol=1e-6, atol=1e-9)


def test_log_is_the_natural_one():
    np.testing.assert_allclose(K.log(np.array([1.0, np.e])), [0, 1], atol=1e-12)


@given(x=ARRAYS, data=st.data())
@pytest.mark.parametrize("name", sorted(REDUCTIONS))
def test_reductions_are_those_of_numpy(name: str, x: np.ndarray, data: st.DataObject):
    axes = data.draw(st.none() | st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, unique_by=lambda axis: axis % x.ndim))
    keepdims = data.draw(st.booleans())
    wanted = REDUCTIONS[name](x, axis=None if axes is None else tuple(axes), keepdims=keepdims)
    found = getattr(K, name)(x, axis=axes, keepdims=keepdims)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@given(x=ARRAYS, data=st.data())
def test_running_and_exponential_sums(x: np.ndarray, data: st.DataObject):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    np.testing.assert_allclose(K.cumsum(x, axis), np.cumsum(x, axis), atol=1e-9)
    np.testing.assert_allclose(K.cumprod(x, axis), np.cumprod(x, axis), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(K.logsumexp(x, axis), np.log(np.exp(x).sum(axis)), atol=1e-9)
    np.testing.assert_array_equal(K.argmax(x, axis), np.argmax(x, axis))
    np.testing.assert_array_equal(K.argmin(x, axis), np.argmin(x, axis))


@given(x=ARRAYS, data=st.data())
def test_shapes_are_those_of_numpy(x: np.ndarray, data: st.DataObject):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    times = data.draw(st.integers(1, 3))
    order = data.draw(st.permutations(range(x.ndim)))
    np.testing.assert_array_equal(K.repeat_elements(x, times, axis), np.repeat(x, times, axis))
    np.testing.assert_array_equal(K.reverse(x, axis), np.flip(x, axis))
    np.testing.assert_array_equal(K.permute_dimensions(x, order), np.transpose(x, order))
    np.testing.assert_array_equal(K.transpose(x), x.T)
    np.testing.assert_array_equal(K.tile(x, [times] * x.ndim), np.tile(x, [times] * x.ndim))
    np.testing.assert_array_equal(K.expand_dims(x, axis), np.expand_dims(x, axis))
    np.testing.assert_array_equal(K.squeeze(K.expand_dims(x, axis), axis), x)
    np.testing.assert_array_equal(K.concatenate([x, x + 1], axis), np.concatenate([x, x + 1], axis))
    np.testing.assert_array_equal(K.stack([x, x + 1], axis), np.stack([x, x + 1], axis))
    np.testing.assert_array_equal(K.flatten(x), x.ravel())
    np.testing.assert_array_equal(K.batch_flatten(x), x.reshape(len(x), -1))


@given(data=st.data())
def test_batch_dot_of_tf_keras_is_a_product_along_one_axis_of_each(data: st.DataObject):
    batch, length = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    shapes, axes = [], []
    for _ in range(2):
        rest = data.draw(st.lists(st.integers(1, 3), max_size=3))
        axis = data.draw(st.integers(1, len(rest) + 1))
        shapes.append((batch, *rest[: axis - 1], length, *rest[axis - 1 :]))
        axes.append(axis)
    x, y = (np.random.default_rng(0).standard_normal(shape) for shape in shapes)
    wanted = np.stack([np.tensordot(a, b, (axes[0] - 1, axes[1] - 1)) for a, b in zip(x, y, strict=True)])
    wanted = wanted.reshape(batch, 1) if x.ndim == y.ndim == 2 else wanted
    np.testing.assert_allclose(K.batch_dot(x, y, axes), wanted, atol=1e-12)
    np.testing.assert_allclose(K.batch_dot(x, y, [axis - one.ndim for axis, one in zip(axes, (x, y), strict=True)]), wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "axes", "message"),
    [
        (((3,), (3, 2)), None, r"at least one more, but got the shapes \(3,\) and \(3, 2\)"),
        (((3, 2), (3, 2)), (0, 1), "cannot multiply along axis 0"),
        (((3, 2), (3, 4)), 1, r"the same length along axes \(1, 1\)"),
        (((3, 2), (4, 2)), 1, "the same batch size"),
        (((3, 2), (3, 2)), ([1], 1), r"a number or two of them, but got \(\[1\], 1\)"),
    ],
)
def test_batch_dot_says_what_does_not_fit(shapes: tuple[tuple[int, ...], ...], axes: object, message: str):
    with pytest.raises(ValueError, match=message):
        K.batch_dot(torch.zeros(shapes[0]), torch.zeros(shapes[1]), axes)


def test_batch_dot_of_keras_2_refuses_what_it_cannot_multiply():
    generations.set_keras_version("2.2.4")
    with pytest.raises(ValueError, match=r"cannot multiply the shapes \(2, 5, 3, 4\) and \(2, 5\) with axes \(2, 2\)"):
        K.batch_dot(torch.zeros(2, 5, 3, 4), torch.zeros(2, 5), (2, 2))


def test_bounds_may_be_tensors():
    x = torch.tensor([-1.0, 0.5, 3.0], requires_grad=True)
    bounded = K.clip(x, torch.tensor([0.0, 0.0, 4.0]), 2.0)
    assert bounded.tolist() == [0.0, 0.5, 4.0]
    assert torch.autograd.grad(bounded.sum(), x)[0].tolist() == [0, 1, 0]
    assert K.clip(x, None, torch.tensor(1.0)).tolist() == [-1.0, 0.5, 1.0]
    assert K.clip(x, None, None) is x
    assert K.clip(torch.tensor([1, 5]), 2, 3).dtype == torch.int64


def test_a_nan_is_not_hidden():
    x = torch.tensor([float("nan"), 1.0])
    assert K.maximum(x, 0.0).isnan().tolist() == K.minimum(x, 0.0).isnan().tolist() == [True, False]


def test_no_axes_leave_a_tensor_as_it_is():
    x = torch.randn(2, 3)
    assert torch.equal(K.sum(x, axis=[]), x)
    assert K.var(torch.tensor(3.0)) == K.std(torch.tensor(3.0)) == 0


def test_an_unknown_axis_is_named():
    with pytest.raises(ValueError, match=r"A tensor of 2 axes, of shape \(2, 3\), has no axis 2"):
        K.mean(torch.zeros(2, 3), axis=2)


def test_std_has_a_gradient_where_it_is_zero():
    x = torch.ones(2, 3, requires_grad=True)
    assert torch.equal(torch.autograd.grad(K.std(x, axis=1).sum(), x)[0], torch.zeros(2, 3))


def test_truth_values_are_counted_and_types_kept():
    assert K.sum(torch.tensor([True, True])) == 2
    assert K.sum(torch.ones(2, dtype=torch.int32)).dtype == K.cumsum(torch.ones(2, dtype=torch.int32)).dtype == torch.int32
    generations.set_keras_version("1.2.2")
    assert K.any(torch.tensor([0.0, 2.0])).dtype == torch.uint8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: K.squeeze(x, 1), r"axis 1 of the shape \(2, 3\) has the length 3"),
        (lambda x: K.repeat(x[0], 2), r"takes a matrix \(samples, d\), but got the shape \(3,\)"),
        (lambda x: K.tile(x, 2), r"one number for each axis of the shape \(2, 3\), but got 2"),
        (lambda x: K.slice(x, [0], [1]), "one start and one size for each axis"),
        (lambda x: K.slice(x, [0, 1], [2, 3]), r"from 1 of size 3 reaches beyond axis 1"),
        (lambda x: K.concatenate([]), "at least one tensor"),
        (lambda x: K.dropout(x, 1.0), "a level from 0 up to, but without, 1, but got 1.0"),
        (lambda x: K.dropout(x, 0.5, noise_shape=(1,)), r"noise_shape with one size for each axis of the shape \(2, 3\)"),
    ],
)
def test_wrong_shapes_are_refused(call: object, message: str):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 3))  # type: ignore[operator]


def test_gather_wants_integers():
    with pytest.raises(TypeError, match=r"gather takes integer indices, but got torch\.float32"):
        K.gather(torch.zeros(3, 2), torch.tensor([1.0]))


@pytest.mark.parametrize("name", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_crossentropies_know_their_axes(name: str):
    with pytest.raises(ValueError, match=rf"{name} needs one of the axes of `output`, whose shape is \(2, 3\), but got axis=2"):
        getattr(K, name)(torch.zeros(2), torch.zeros(2, 3), axis=2)


def test_crossentropy_uses_the_scores_before_our_own_softmax():
    scores = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = K.categorical_crossentropy(torch.tensor([[0.0, 1.0]]), K.softmax(scores))
    assert loss.item() == 200
    assert torch.autograd.grad(loss.sum(), scores)[0].tolist() == [[1, -1]]


def test_relu_of_integers_and_vectors():
    assert K.softmax([1.0, 1.0]).tolist() == [0.5, 0.5]
    assert K.relu([-1.0, 2.0]).tolist() == [0, 2]


@pytest.mark.parametrize("call", [lambda x: K.l2_normalize(x, 1), lambda x: K.logsumexp(x, 0), K.sqrt, lambda x: K.pow(x, 3), lambda x: K.var(x, 1)])
def test_gradients_are_right(call: object):
    x = torch.rand(2, 3, dtype=torch.float64) + 0.5
    assert torch.autograd.gradcheck(call, x.requires_grad_())
