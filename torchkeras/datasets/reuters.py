"""Reuters: 11,228 newswires as lists of word numbers, of 46 topics.

Source: D. Lewis, Reuters-21578; `keras.datasets.reuters`.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from torchkeras.datasets.cache import ORIGIN, data_file
from torchkeras.datasets.idx import Arrays
from torchkeras.datasets.npz import read_npz
from torchkeras.datasets.word_lists import Texts, generator, read_index, renamed

HASHES = ("d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916", "87aedbeb0cb229e378797a632c1997b6")
INDEX_HASHES = ("4d44cc38712099c9e383dc6e5f11a921",)


def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> tuple[Arrays, Arrays]:
    """The newswires: `(x_train, y_train), (x_test, y_test)`. The commonest word is `index_from + 1`.

    Args:
        path: Name of the file in ~/.keras/datasets, which is downloaded where it is not there, or the path of a file of your own.
        num_words: Word numbers from this up become `oov_char`; `None`: only the largest does, as in Keras.
        skip_top: Word numbers below this become `oov_char`.
        maxlen: Newswires of this many words and more are left out.
        test_split: Fraction of the newswires for testing.
        seed: Seed of the order.
        start_char: Put before each newswire; `None`: nothing.
        oov_char: What replaces words; `None`: they are left out.
        index_from: Added to all word numbers.
        **kwargs: `nb_words`, Keras 1's name of `num_words`.

    Shape:
        x: lists of word numbers, in an array of objects (newswires,); y: int64 (newswires,), 0 to 45

    Raises:
        ValueError: no newswire is shorter than `maxlen`, or `test_split` is not from 0 to 1.
        UnsafeData: a file that is broken or holds something else than lists of numbers.
        RuntimeError: it could not be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `reuters.load_data`.
    """
    if kwargs:
        num_words = renamed(num_words, kwargs, "reuters.load_data")
        warnings.warn("reuters.load_data(nb_words=...) is the spelling of Keras 1: write num_words=...", DeprecationWarning, stacklevel=2)
    if not 0 <= test_split <= 1:
        raise ValueError(f"reuters.load_data takes a test_split from 0 to 1, but got {test_split!r}.")
    found = data_file(path, ORIGIN + "reuters.npz", HASHES)
    arrays = read_npz(found, ("x", "y"))
    texts = Texts.of(arrays["x"], arrays["y"], found).shuffled(generator(seed)).moved(start_char, index_from)
    if maxlen:
        texts = texts.shorter_than(maxlen)
        if not len(texts):
            raise ValueError(f"reuters.load_data found no newswire with fewer than maxlen={maxlen} words. Give a larger maxlen.")
    texts = texts.limited(skip_top, num_words, oov_char)
    border = int(len(texts) * (1 - test_split))
    return texts.arrays(0, border), texts.arrays(border, None)


def get_word_index(path: str | os.PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """The vocabulary: word -> number, before `index_from` is added.

    Args:
        path: Name of the file in ~/.keras/datasets, which is downloaded where it is not there, or the path of a file of your own.

    Raises:
        UnsafeData: the file holds something else.
        RuntimeError: it could not be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `reuters.get_word_index`.
    """
    return read_index(data_file(path, ORIGIN + "reuters_word_index.json", INDEX_HASHES))
