"""Padding, skip-grams, windows over a series: against numbers of genuine Keras, and by their rules."""

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.golden_cases import golden
from torchkeras.preprocessing import sequence


@pytest.mark.parametrize("case", golden("preprocessing", "pad_sequences"), ids=str)
def test_pad_sequences_is_that_of_keras(case):
    padded = sequence.pad_sequences(*case["args"], **case["kwargs"])
    (expected,) = case.arrays("outputs")
    np.testing.assert_array_equal(padded, expected)
    assert padded.dtype == expected.dtype


@given(
    sequences=st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=5),
    maxlen=st.integers(0, 7),
    padding=st.sampled_from(["pre", "post"]),
    truncating=st.sampled_from(["pre", "post"]),
)
def test_each_padded_row_keeps_its_end_or_its_start(sequences, maxlen, padding, truncating):
    padded = sequence.pad_sequences(sequences, maxlen, padding=padding, truncating=truncating, value=-1)
    for row, steps in zip(padded.tolist(), sequences, strict=True):
        kept = steps[:maxlen] if truncating == "post" else steps[max(len(steps) - maxlen, 0) :]
        empty = [-1] * (maxlen - len(kept))
        assert row == (empty + kept if padding == "pre" else kept + empty)


def test_arrays_and_tensors_are_padded_on_their_first_axis():
    rows = [np.ones((2, 3)), torch.full((4, 3), 2.0), np.empty((0, 3))]
    padded = sequence.pad_sequences(rows, dtype="float32", padding="post")
    assert padded.shape == (3, 4, 3)
    np.testing.assert_array_equal(padded.sum(axis=(1, 2)), [6, 24, 0])


def test_texts_are_padded_as_objects():
    padded = sequence.pad_sequences([["a"], ["bb", "c"]], dtype=object, value="<pad>")
    assert padded.tolist() == [["<pad>", "a"], ["bb", "c"]]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([[1], [[2, 3]]], {}, r"entry 1 has \(2,\)"),
        ([1, 2], {}, "entry 0 is 1"),
        (iter([[1]]), {}, "but got list_iterator"),
        ([[1]], {"padding": "left"}, "padding='pre' or 'post', but got 'left'"),
        ([[1]], {"truncating": "end"}, "truncating='pre' or 'post', but got 'end'"),
        ([["a"]], {"value": "b"}, "with the text 'b'"),
        ([], {}, "Give maxlen"),
        ([[1]], {"maxlen": -2}, "at least 0, but got -2"),
    ],
)
def test_what_cannot_be_padded_is_named(given, options, message):
    with pytest.raises(ValueError, match=message):
        sequence.pad_sequences(given, **options)


def test_no_sequences_with_a_length_give_no_rows():
    assert sequence.pad_sequences([], maxlen=3).shape == (0, 3)


@pytest.mark.parametrize("case", golden("preprocessing", "make_sampling_table"), ids=str)
def test_the_sampling_table_is_that_of_keras(case):
    table = sequence.make_sampling_table(*case["args"], **case["kwargs"])
    np.testing.assert_allclose(table, case.arrays("outputs")[0], rtol=0, atol=case["atol"])


def test_an_empty_sampling_table_is_refused():
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        sequence.make_sampling_table(0)


@pytest.mark.parametrize("case", golden("preprocessing", "skipgrams"), ids=str)
def test_skipgrams_are_those_of_keras(case):
    random.seed(5)
    couples, labels = sequence.skipgrams(*case["args"], **case["kwargs"])
    assert couples == case["couples"]
    assert labels == case["labels"]


def test_skipgrams_leave_out_words_by_the_sampling_table():
    table = np.array([0.0, 1.0, 0.0, 1.0])
    couples, labels = sequence.skipgrams([1, 2, 3], 4, window_size=1, negative_samples=0, shuffle=False, sampling_table=table)
    assert couples == [[1, 2], [3, 2]] and labels == [1, 1]


def test_skipgrams_of_nothing_are_nothing():
    assert sequence.skipgrams([], 5) == ([], [])
    assert sequence.skipgrams([0, 0], 5) == ([], [])


def test_bad_skipgram_arguments_are_named():
    with pytest.raises(ValueError, match="window_size=-1"):
        sequence.skipgrams([1], 5, window_size=-1)
    with pytest.raises(ValueError, match="vocabulary_size of at least 2 to draw random words, but got 1"):
        sequence.skipgrams([1], 1)


@pytest.mark.parametrize("case", golden("preprocessing", "TimeseriesGenerator"), ids=str)
@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
def test_the_windows_are_those_of_keras(case, form):
    data, targets = (form(array) for array in case.arrays("inputs"))
    batches = sequence.TimeseriesGenerator(data, targets, **case["kwargs"])
    assert len(batches) == case["length"] == len(case["batches"])
    for (x, y), (x_key, y_key) in zip(batches, case["batches"], strict=True):
        np.testing.assert_allclose(x, case.array(x_key), rtol=0, atol=case["atol"])
        np.testing.assert_allclose(y, case.array(y_key), rtol=0, atol=case["atol"])


def test_shuffled_windows_are_drawn_by_numpys_seed():
    data = np.arange(20)
    batches = sequence.TimeseriesGenerator(data, data, length=3, shuffle=True, batch_size=4)
    np.random.seed(3)
    x, y = batches[0]
    np.random.seed(3)
    np.testing.assert_array_equal(y, np.random.randint(3, 20, size=4))
    np.testing.assert_array_equal(x[:, -1], y - 1)


def test_a_generator_survives_json_with_the_same_batches():
    data = np.arange(12.0).reshape(12, 1)
    before = sequence.TimeseriesGenerator(data, data[:, 0], length=3, start_index=2, sampling_rate=2, batch_size=4, reverse=True)
    after = sequence.timeseries_generator_from_json(before.to_json(indent=1))
    assert len(before) == len(after)
    for (x, y), (x_after, y_after) in zip(before, after, strict=True):
        np.testing.assert_array_equal(x, x_after)
        np.testing.assert_array_equal(y, y_after)


def test_bad_windows_are_named():
    data = np.arange(5)
    with pytest.raises(ValueError, match="but got 5 and 4 steps"):
        sequence.TimeseriesGenerator(data, data[:4], length=2)
    with pytest.raises(ValueError, match="length = 5 must be at most end_index = 4"):
        sequence.TimeseriesGenerator(data, data, length=5)
    with pytest.raises(ValueError, match="stride of at least 1, but got 0"):
        sequence.TimeseriesGenerator(data, data, length=2, stride=0)
    with pytest.raises(IndexError, match="batches 0 to 0, but was asked for 1"):
        sequence.TimeseriesGenerator(data, data, length=2)[1]
    with pytest.raises(TypeError, match="cannot write data as JSON"):
        sequence.TimeseriesGenerator([object()] * 5, data, length=2).to_json()
    with pytest.raises(ValueError, match="an object with 'config'"):
        sequence.timeseries_generator_from_json(json.dumps([1]))
