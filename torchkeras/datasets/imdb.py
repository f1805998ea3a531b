"""IMDB: 50,000 film reviews as lists of word numbers, with a good or a bad verdict.

Source: A. Maas et al., "Learning Word Vectors for Sentiment Analysis" (2011); `keras.datasets.imdb`.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from torchkeras.datasets.cache import ORIGIN, data_file
from torchkeras.datasets.idx import Arrays
from torchkeras.datasets.npz import read_npz
from torchkeras.datasets.word_lists import Texts, generator, read_index, renamed
from torchkeras.generations import choose

HASHES = ("69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f", "599dadb1135973df5b59232a0e9a887c")
INDEX_HASHES = ("bfafd718b763782e994055a2d397834f",)


def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> tuple[Arrays, Arrays]:
    """The reviews: `(x_train, y_train), (x_test, y_test)`. The commonest word is `index_from + 1`.

    Args:
        path: Name of the file in ~/.keras/datasets, which is downloaded where it is not there, or the path of a file of your own.
        num_words: Word numbers from this up become `oov_char`; `None`: only the largest does, as in Keras.
        skip_top: Word numbers below this become `oov_char`.
        maxlen: Reviews of this many words and more are left out. Under Keras 2.2.4 and 1.2.2 the border between training and test data
            stays where it was before, as there.
        seed: Seed of the order.
        start_char: Put before each review; `None`: nothing.
        oov_char: What replaces words; `None`: they are left out.
        index_from: Added to all word numbers.
        **kwargs: `nb_words`, Keras 1's name of `num_words`.

    Shape:
        x: lists of word numbers, in an array of objects (reviews,); y: int64 (reviews,), 0 or 1

    Raises:
        ValueError: no review is shorter than `maxlen`.
        UnsafeData: a file that is broken or holds something else than lists of numbers.
        RuntimeError: it could not be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `imdb.load_data`.
    """
    if kwargs:
        num_words = renamed(num_words, kwargs, "imdb.load_data")
        warnings.warn("imdb.load_data(nb_words=...) is the spelling of Keras 1: write num_words=...", DeprecationWarning, stacklevel=2)
    found = data_file(path, ORIGIN + "imdb.npz", HASHES)
    arrays = read_npz(found, ("x_train", "y_train", "x_test", "y_test"))
    random = generator(seed)
    parts = [Texts.of(arrays[f"x_{name}"], arrays[f"y_{name}"], found).shuffled(random).moved(start_char, index_from) for name in ("train", "test")]
    border = len(parts[0])
    if maxlen:
        parts = [part.shorter_than(maxlen) for part in parts]
        apart = not choose("imdb.cuts_after_joining")
        if not len(parts[0]) + len(parts[1]) or (apart and not (len(parts[0]) and len(parts[1]))):
            raise ValueError(f"imdb.load_data found no review with fewer than maxlen={maxlen} words. Give a larger maxlen.")
        border = len(parts[0]) if apart else border
    texts = parts[0].joined(parts[1]).limited(skip_top, num_words, oov_char)
    return texts.arrays(0, border), texts.arrays(border, None)


def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """The vocabulary: word -> number, before `index_from` is added.

    Args:
        path: Name of the file in ~/.keras/datasets, which is downloaded where it is not there, or the path of a file of your own.

    Raises:
        UnsafeData: the file holds something else.
        RuntimeError: it could not be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `imdb.get_word_index`.
    """
    return read_index(data_file(path, ORIGIN + "imdb_word_index.json", INDEX_HASHES))
