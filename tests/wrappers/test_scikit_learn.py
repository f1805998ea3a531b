"""Keras models in scikit-learn's own tools."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from torchkeras.layers import Dense
from torchkeras.models import Sequential
from torchkeras.wrappers.scikit_learn import KerasClassifier, KerasRegressor

X = np.random.RandomState(0).normal(size=(60, 3)).astype("float32")
LABELS = np.where(X[:, 0] > 0, "right", "left")


def classifier(units: int = 4, loss: str = "categorical_crossentropy"):
    model = Sequential([Dense(units, activation="relu", input_shape=(3,)), Dense(2, activation="softmax")])
    model.compile("adam", loss)
    return model


def binary():
    model = Sequential([Dense(1, activation="sigmoid", input_shape=(3,))])
    model.compile("adam", "binary_crossentropy")
    return model


def regressor(units: int = 4):
    model = Sequential([Dense(units, activation="relu", input_shape=(3,)), Dense(1)])
    model.compile("adam", "mse")
    return model


def test_a_classifier_learns_labels_of_any_type():
    found = KerasClassifier(classifier, epochs=60, batch_size=10, verbose=0).fit(X, LABELS)
    assert set(found.predict(X)) == {"left", "right"}
    assert found.score(X, LABELS) > 0.8
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


def test_one_output_gives_two_probabilities():
    found = KerasClassifier(binary, epochs=2, verbose=0).fit(X, LABELS)
    assert found.predict_proba(X).shape == (60, 2)


def test_a_search_finds_the_best_arguments():
    search = GridSearchCV(KerasClassifier(classifier, verbose=0), {"units": [2, 4], "epochs": [1, 2]}, cv=2).fit(X, LABELS)
    assert search.best_params_["units"] in (2, 4)
    assert len(search.cv_results_["params"]) == 4


def test_cross_validation_of_a_regressor_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), KerasRegressor(regressor, epochs=2, verbose=0))
    scores = cross_val_score(pipeline, X, X[:, 0] * 2, cv=3)
    assert scores.shape == (3,)
    assert (scores < 0).all()  # the opposite of the loss


def test_a_clone_has_the_same_arguments():
    first = KerasRegressor(regressor, units=3, epochs=2)
    assert clone(first).get_params() == first.get_params()


def test_an_argument_that_nothing_takes_is_refused():
    with pytest.raises(ValueError, match="'unit' is an argument neither"):
        KerasClassifier(classifier, unit=3)
