"""The digits that ship with the package."""

import numpy as np
import pytest

from torchkeras.datasets import digits


def test_the_arrays_have_the_documented_shape_and_type():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8) and x_test.shape == (360, 8, 8)
    assert y_train.shape == (1437,) and y_test.shape == (360,)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}
    assert x_train.min() == 0 and x_train.max() == 16
    assert set(y_train) == set(y_test) == set(range(10))


def test_the_images_are_those_of_scikit_learn_in_the_order_of_the_seed():
    original = pytest.importorskip("sklearn.datasets").load_digits()
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    order = np.random.RandomState(113).permutation(1797)
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), original.images[order])
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), original.target[order])


def test_two_loads_are_equal_and_leave_the_global_seed_alone():
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    first, second = digits.load_data(), digits.load_data()
    assert np.random.rand() == expected
    np.testing.assert_array_equal(first[0][0], second[0][0])


def test_another_split_and_seed():
    (x_train, _), (x_test, y_test) = digits.load_data(test_split=0.5, seed=1)
    assert len(x_train) == 898 and len(x_test) == 899
    assert not np.array_equal(y_test[:20], digits.load_data(test_split=0.5)[1][1][:20])


@pytest.mark.parametrize("split", [0, 1, -0.1, 2.0])
def test_a_split_that_leaves_one_side_empty_is_refused(split):
    with pytest.raises(ValueError, match=f"test_split between 0 and 1, but got {split}"):
        digits.load_data(test_split=split)
