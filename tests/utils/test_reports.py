"""Confusion matrix and report of each class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_matrix
from sklearn.metrics import precision_recall_fscore_support

from torchkeras.utils.reports import class_values, confusion_matrix, draw_confusion_matrix, per_class_report

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@given(LABELS)
def test_counts_and_values_are_those_of_scikit_learn(pairs):
    true, pred = np.array(pairs).T
    matrix = confusion_matrix(true, pred, classes=4)
    np.testing.assert_array_equal(matrix, sklearn_matrix(true, pred, labels=range(4)))
    wanted = precision_recall_fscore_support(true, pred, labels=range(4), zero_division=0)
    np.testing.assert_allclose(class_values(matrix), np.stack(wanted, axis=1), atol=1e-12)


def test_labels_come_in_all_forms():
    wanted = np.array([[1, 0], [1, 1]])
    for true in ([0, 1, 1], [[0], [1], [1]], np.eye(2)[[0, 1, 1]], torch.tensor([0, 1, 1])):
        for pred in ([0, 0, 1], [[0.1], [0.4], [0.9]], [[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], np.array([0.0, 0.0, 1.0])):
            np.testing.assert_array_equal(confusion_matrix(true, pred), wanted)


def test_classes_that_do_not_occur_are_counted_by_the_width_of_the_scores():
    assert confusion_matrix([0, 1], np.eye(5)[[0, 1]]).shape == (5, 5)


def test_the_report_has_a_line_for_each_class():
    text = per_class_report([0, 0, 1], [0, 1, 1], ["rain", "snow"])
    lines = text.splitlines()
    assert lines[1].split() == ["rain", "1.000", "0.500", "0.667", "2"]
    assert lines[2].split() == ["snow", "0.500", "1.000", "0.667", "1"]
    assert lines[-1].split() == ["accuracy", "0.667", "3"]
    assert len({len(line) for line in lines}) == 1
    assert "| rain | 1.000 | 0.500 | 0.667 | 2 |" in per_class_report([0, 0, 1], [0, 1, 1], ["rain", "snow"], markdown=True)


@pytest.mark.parametrize("classes", [2, 12, 40])
def test_the_picture_shows_all_counts_that_fit(classes):
    matrix = np.arange(classes * classes).reshape(classes, classes)
    axes = draw_confusion_matrix(matrix, title="title").axes[0]
    texts = {text.get_text() for text in axes.texts}
    assert texts == ({str(number) for number in range(1, classes * classes)} if classes <= 25 else set())
    assert axes.get_title() == "title"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: confusion_matrix([0, 1], [0]), "got 2 true labels and 1 predictions"),
        (lambda: confusion_matrix([0, 7], [0, 1], classes=3), "labels from 0 to 2, but got labels between 0 and 7"),
        (lambda: confusion_matrix(np.zeros((2, 2, 2)), [0, 1]), r"but got \(2, 2, 2\)"),
        (lambda: draw_confusion_matrix(np.eye(3), ["a"]), "has 3 classes, but got 1 names"),
    ],
)
def test_wrong_labels_are_told_of(call, message):
    with pytest.raises(ValueError, match=message):
        call()
