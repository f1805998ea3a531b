"""IMDB, Reuters and Boston housing from small files in the form of the cache; equal to what the rules say."""

import hashlib
import json
import random

import numpy as np
import pytest

from tests.datasets.conftest import lists_of
from torchkeras import generations
from torchkeras.datasets import boston_housing, imdb, reuters
from torchkeras.datasets.plain_pickle import UnsafeData

draw = random.Random(0)
TRAIN = [[draw.randrange(1, 60) for _ in range(draw.randrange(1, 12))] for _ in range(20)]
TEST = [[draw.randrange(1, 60) for _ in range(draw.randrange(1, 12))] for _ in range(15)]


@pytest.fixture
def reviews(keras_cache, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=lists_of(*TRAIN), y_train=np.arange(20) % 2, x_test=lists_of(*TEST), y_test=np.arange(15) % 2)
    return path


def shuffled(count, random_state):
    order = np.arange(count)
    random_state.shuffle(order)
    return order.tolist()


def test_reviews_are_shuffled_marked_and_moved(reviews):
    (x_train, y_train), (x_test, y_test) = imdb.load_data(reviews, num_words=1000)
    state = np.random.RandomState(113)
    order, order_test = shuffled(20, state), shuffled(15, state)
    assert list(x_train) == [[1, *(word + 3 for word in TRAIN[row])] for row in order]
    assert list(x_test) == [[1, *(word + 3 for word in TEST[row])] for row in order_test]
    assert y_train.tolist() == [row % 2 for row in order] and y_test.tolist() == [row % 2 for row in order_test]
    assert x_train.dtype == object and type(x_train[0]) is list and type(x_train[0][0]) is int


def test_rare_and_common_words_are_replaced_or_left_out(reviews):
    plain, limited, without = (
        imdb.load_data(reviews, **options)[0][0]
        for options in ({"num_words": 1000}, {"num_words": 30, "skip_top": 8}, {"num_words": 30, "oov_char": None})
    )
    assert list(limited) == [[word if 8 <= word < 30 else 2 for word in words] for words in plain]
    assert list(without) == [[word for word in words if word < 30] for words in plain]
    largest = max(max(words) for words in [*TRAIN, *TEST]) + 3
    assert not any(largest in words for words in imdb.load_data(reviews)[0][0])


def test_words_may_stay_as_they_are(reviews):
    (x_train, _), _ = imdb.load_data(reviews, start_char=None, index_from=0, num_words=1000, seed=4)
    assert list(x_train) == [TRAIN[row] for row in shuffled(20, np.random.RandomState(4))]


@pytest.mark.parametrize(("version", "apart"), [("2.4.0", True), ("2.2.4", False)])
def test_long_reviews_are_left_out_as_each_release_does(reviews, version, apart):
    generations.set_keras_version(version)
    (all_train, _), (all_test, _) = imdb.load_data(reviews, num_words=1000)
    (x_train, y_train), (x_test, y_test) = imdb.load_data(reviews, maxlen=9, num_words=1000)
    short = [[words for words in part if len(words) < 9] for part in (all_train, all_test)]
    assert [*x_train, *x_test] == short[0] + short[1]
    assert len(x_train) == (len(short[0]) if apart else 20) and len(y_train) == len(x_train) and len(y_test) == len(x_test)


def test_a_length_that_leaves_nothing_is_named(reviews):
    with pytest.raises(ValueError, match="fewer than maxlen=1 words"):
        imdb.load_data(reviews, maxlen=1)


@pytest.mark.parametrize(("version", "seeded"), [("2.4.0", False), ("2.2.4", True)])
def test_keras_2_leaves_numpy_seeded(reviews, version, seeded):
    generations.set_keras_version(version)
    drawn = []
    for before in (1, 2):
        np.random.seed(before)
        imdb.load_data(reviews)
        drawn.append(np.random.rand())
    assert (drawn[0] == drawn[1]) == seeded


def test_the_name_of_keras_1_for_num_words_warns(reviews):
    with pytest.warns(DeprecationWarning, match="write num_words"):
        assert max(max(words) for words in imdb.load_data(reviews, nb_words=20)[0][0]) < 20
    with pytest.raises(TypeError, match=r"imdb\.load_data has no argument 'words'"):
        imdb.load_data(reviews, words=20)


def test_newswires_are_split_after_the_shuffle(keras_cache, monkeypatch):
    path = keras_cache / "reuters.npz"
    np.savez(path, x=lists_of(*TRAIN), y=np.arange(20))
    monkeypatch.setattr(reuters, "HASHES", (hashlib.sha256(path.read_bytes()).hexdigest(),))
    (x_train, y_train), (x_test, y_test) = reuters.load_data(num_words=1000, test_split=0.3)
    order = shuffled(20, np.random.RandomState(113))
    assert y_train.tolist() == order[:14] and y_test.tolist() == order[14:]
    assert [*x_train, *x_test] == [[1, *(word + 3 for word in TRAIN[row])] for row in order]
    (short, _), (short_test, _) = reuters.load_data(maxlen=6)
    assert all(len(words) < 6 for words in [*short, *short_test])
    with pytest.raises(ValueError, match="fewer than maxlen=1 words"):
        reuters.load_data(maxlen=1)
    with pytest.raises(ValueError, match=r"test_split from 0 to 1, but got 1\.5"):
        reuters.load_data(test_split=1.5)
    with pytest.warns(DeprecationWarning, match="write num_words"):
        reuters.load_data(nb_words=20)


@pytest.mark.parametrize("module", [imdb, reuters])
def test_vocabularies_are_read(keras_cache, tmp_path, module):
    (tmp_path / "words.json").write_text(json.dumps({"the": 1, "café": 2}))
    assert module.get_word_index(tmp_path / "words.json") == {"the": 1, "café": 2}
    for content, message in (("[1]", "does not give a number"), ('{"the": "x"}', "does not give a number"), ("{", "is no vocabulary")):
        (tmp_path / "words.json").write_text(content)
        with pytest.raises(UnsafeData, match=message):
            module.get_word_index(tmp_path / "words.json")
    with pytest.raises(ConnectionError, match=r"word_index\.json"):
        module.get_word_index()


def test_houses_are_shuffled_and_split(keras_cache, tmp_path):
    x, y = np.random.RandomState(0).rand(10, 13), np.arange(10.0)
    np.savez(tmp_path / "own.npz", x=x, y=y)
    (x_train, y_train), (x_test, y_test) = boston_housing.load_data(tmp_path / "own.npz", test_split=0.3, seed=5)
    order = shuffled(10, np.random.RandomState(5))
    assert y_train.tolist() == order[:7] and y_test.tolist() == order[7:]
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), x[order])
    with pytest.raises(ValueError, match=r"from 0 and below 1, but got 1"):
        boston_housing.load_data(test_split=1)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (lists_of([1, 2]), np.arange(3)),
        (lists_of([1, 2]), np.array([0.5])),
        (lists_of([1.5]), np.arange(1)),
        (lists_of([[1], [2]]), np.arange(1)),
        (np.zeros((2, 2)), np.arange(2)),
    ],
)
def test_files_without_word_lists_are_named(keras_cache, tmp_path, x, y):
    np.savez(tmp_path / "own.npz", x=x, y=y)
    with pytest.raises(UnsafeData, match=r"own\.npz.* does not hold a list|own\.npz holds a text that is no list"):
        reuters.load_data(tmp_path / "own.npz")
