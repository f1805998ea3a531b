"""Bad data and arguments are refused at the door; weights stay as they were."""

from __future__ import annotations

import numpy as np
import pytest

from torchkeras.layers import Dense
from torchkeras.models import Model, Sequential


@pytest.fixture
def model() -> Model:
    made = Sequential([Dense(5, activation="relu", input_shape=(4,)), Dense(3, activation="softmax", name="probs")])
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


X, Y = np.random.default_rng(0).random((6, 4)), np.array([0, 1, 2, 0, 1, 2])


def _refused(model, error, match, *args, **kwargs):
    before = model.get_weights()
    with pytest.raises(error, match=match):
        model.fit(*args, verbose=0, **kwargs)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


def test_wrong_size_names_input_expected_and_got(model):
    _refused(model, ValueError, r"expected dense_input to have shape \(4,\) but got array with shape \(7,\)", np.ones((6, 7)), Y)


def test_wrong_rank_names_input_expected_and_got(model):
    _refused(model, ValueError, r"expected dense_input to have 2 dimensions, but got array with shape \(6, 4, 1\)", np.ones((6, 4, 1)), Y)


def test_nan_labels_are_named():
    model = Sequential([Dense(1, input_shape=(4,), name="out")])
    model.compile("sgd", "mse")
    _refused(model, ValueError, "targets of output 'out' contain NaN", X, np.full((6, 1), np.nan))


def test_unequal_lengths_are_listed(model):
    _refused(model, ValueError, "same number of samples, but got x: 6, y: 5", X, Y[:5])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("sdg", "mse"), r"Unknown optimizer: 'sdg'. Did you mean 'sgd'"),
        (("sgd", "mean_square_error"), r"Unknown loss function: 'mean_square_error'. Did you mean 'mean_squared_error'"),
        (("sgd", "mse", ["acuracy"]), r"Unknown metric.*'acuracy'. Did you mean 'accuracy'"),
    ],
)
def test_unknown_names_come_with_the_nearest_known(arguments, match):
    model = Sequential([Dense(1, input_shape=(4,))])
    with pytest.raises(ValueError, match=match):
        model.compile(*arguments)


def test_unknown_activation_comes_with_the_nearest_known():
    with pytest.raises(ValueError, match=r"Unknown activation function: 'rellu'\. Did you mean 'relu'"):
        Dense(3, activation="rellu")


def test_fit_before_compile_says_so():
    model = Sequential([Dense(1, input_shape=(4,))])
    with pytest.raises(RuntimeError, match="must compile your model"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(RuntimeError, match="must compile your model"):
        model.evaluate(X, Y, verbose=0)


def test_class_ids_out_of_range_name_the_range(model):
    _refused(model, ValueError, r"output 'probs' have class ids from 0 to 3, but the output has 3 classes", X, np.array([0, 1, 2, 3, 1, 2]))
    _refused(model, ValueError, r"class ids from -1 to 2", X, np.array([0, 1, 2, -1, 1, 2]))


def test_ids_for_categorical_crossentropy_hint_at_to_categorical(model):
    model.compile("sgd", "categorical_crossentropy")
    _refused(model, ValueError, "to_categorical", X, Y)


def test_wrong_width_of_targets_names_output(model):
    model.compile("sgd", "mse")
    _refused(model, ValueError, r"expected probs to have shape \(3,\) but got array with shape \(2,\)", X, np.ones((6, 2)))


def test_empty_arrays_are_refused(model):
    _refused(model, ValueError, "There are no samples: x has length 0", np.ones((0, 4)), np.ones(0))


def test_texts_are_refused(model):
    _refused(model, TypeError, "x must be numbers, but got texts", np.array([["a"] * 4] * 6), Y)


def test_unequal_lists_are_refused(model):
    _refused(model, ValueError, "x is no array: its parts have unequal lengths", [[1.0], [1.0, 2.0]], Y[:2])


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_batch_size_below_one_is_refused(model, size):
    _refused(model, ValueError, f"batch_size of at least 1, but got {size}", X, Y, batch_size=size)


@pytest.mark.parametrize("fraction", [1.0, -0.2])
def test_impossible_validation_split_is_refused(model, fraction):
    _refused(model, ValueError, "validation_split must be between 0 and 1", X, Y, validation_split=fraction)


def test_sample_weights_of_wrong_length_are_refused(model):
    _refused(model, ValueError, r"sample_weight for output 'probs' has the shape \(5,\), but there are 6 samples", X, Y, sample_weight=np.ones(5))


def test_class_weight_that_lacks_a_class_is_refused(model):
    _refused(model, ValueError, "must contain all classes in the data", X, Y, class_weight={0: 1.0, 1: 2.0})


def test_class_weight_for_an_impossible_class_is_refused(model):
    _refused(model, ValueError, r"classes \[7\], but output 'probs' has the classes 0 to 2", X, Y, class_weight={0: 1.0, 1: 2.0, 2: 1.0, 7: 1.0})


def test_wrong_number_of_inputs_is_refused(model):
    _refused(model, ValueError, "expects 1 arrays as input", [X, X], Y)
