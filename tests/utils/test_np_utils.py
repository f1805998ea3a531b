"""One-hot rows and unit norms."""

import numpy as np
import pytest

from tests.golden_cases import golden
from torchkeras import generations
from torchkeras.utils import np_utils


@pytest.mark.parametrize("case", golden("preprocessing", "to_categorical", "normalize"), ids=str)
def test_to_categorical_and_normalize_are_those_of_keras(case):
    function = getattr(np_utils, case["class"])
    (expected,) = case.arrays("outputs")
    result = function(*map(case.array, case["args"]), **case["kwargs"])
    np.testing.assert_allclose(result, expected, rtol=1e-7, atol=case["atol"])
    assert result.dtype == expected.dtype and result.shape == expected.shape


def test_a_scalar_and_lists_are_taken():
    np.testing.assert_array_equal(np_utils.to_categorical(1, 3), [0, 1, 0])
    assert np_utils.to_categorical([[1], [0]]).shape == (2, 2)
    assert np_utils.to_categorical([], 3).shape == (0, 3)


def test_keras_1_gives_two_axes_and_calls_it_nb_classes():
    generations.set_keras_version("1.2.2")
    with pytest.warns(DeprecationWarning, match="num_classes"):
        assert np_utils.to_categorical([[0, 1], [2, 1]], nb_classes=3).shape == (4, 3)


@pytest.mark.parametrize(("labels", "classes", "wrong"), [([0, 3], 3, 3), ([0, -1], None, -1)])
def test_a_label_out_of_range_is_named(labels, classes, wrong):
    with pytest.raises(ValueError, match=f"but got {wrong}"):
        np_utils.to_categorical(labels, classes)


def test_no_labels_need_the_number_of_classes():
    with pytest.raises(ValueError, match="Give num_classes"):
        np_utils.to_categorical([])


def test_the_array_functions_of_keras_1():
    p = np.array([[0.1, 0.9], [0.8, 0.2]])
    np.testing.assert_array_equal(np_utils.probas_to_classes(p), [1, 0])
    np.testing.assert_array_equal(np_utils.categorical_probas_to_classes(p), [1, 0])
    np.testing.assert_array_equal(np_utils.probas_to_classes(np.array([[0.6], [0.5]])), [1, 0])
    assert np_utils.accuracy([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    assert np_utils.binary_logloss([0.9, 0.2], [1, 0]) == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)
    assert np_utils.multiclass_logloss([[0.1, 0.9], [0.8, 0.2]], [2, 1]) == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)
