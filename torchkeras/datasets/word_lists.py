"""What IMDB and Reuters share: texts as lists of word numbers, shuffled, cut and limited to common words."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchkeras.datasets.plain_pickle import UnsafeData
from torchkeras.generations import choose

MAX_INDEX_BYTES = 64 * 2**20


class Texts:
    """Texts as one long array of word numbers and the length of each; with a label each.

    Args:
        words: Word numbers of all texts, one after the other.
        lengths: Words of each text.
        labels: Label of each text.
    """

    def __init__(self, words: NDArray[Any], lengths: NDArray[Any], labels: NDArray[Any]) -> None:
        self.words = words
        self.lengths = lengths
        self.labels = labels

    @classmethod
    def of(cls, lists: NDArray[Any], labels: NDArray[Any], who: str) -> Texts:
        """Texts of lists of word numbers.

        Raises:
            UnsafeData: they are no lists of whole numbers, or there is not one label for each.
        """
        if lists.ndim != 1 or labels.shape != lists.shape or labels.dtype.kind not in "iu":
            raise UnsafeData(f"{who} does not hold a list of words and a label for each text.")
        parts = [np.asarray(words) for words in lists]
        if not all(part.ndim == 1 and (part.dtype.kind in "iu" or not part.size) for part in parts):
            raise UnsafeData(f"{who} holds a text that is no list of word numbers.")
        words = np.concatenate([part.astype(np.int64) for part in parts]) if parts else np.zeros(0, np.int64)
        return cls(words, np.array([len(part) for part in parts], dtype=np.int64), labels)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: NDArray[Any]) -> Texts:
        """The texts with these numbers, in this order."""
        starts = np.cumsum(self.lengths) - self.lengths
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        places = np.repeat(starts[rows] - (ends - lengths), lengths) + np.arange(lengths.sum())
        return Texts(self.words[places], lengths, self.labels[rows])

    def shuffled(self, random: Any) -> Texts:
        """The texts in the order that a generator gives."""
        rows = np.arange(len(self))
        random.shuffle(rows)
        return self.take(rows)

    def moved(self, start_char: int | None, index_from: int) -> Texts:
        """Word numbers moved up by `index_from`; before each text, `start_char` unless it is `None`."""
        words, lengths = self.words + (index_from or 0), self.lengths
        if start_char is not None:
            words = np.insert(words, np.cumsum(lengths) - lengths, start_char)
            lengths = lengths + 1
        return Texts(words, lengths, self.labels)

    def shorter_than(self, maxlen: int) -> Texts:
        """The texts with fewer words than `maxlen`."""
        return self.take(np.flatnonzero(self.lengths < maxlen))

    def joined(self, other: Texts) -> Texts:
        """These texts and then the others."""
        return Texts(
            np.concatenate([self.words, other.words]), np.concatenate([self.lengths, other.lengths]), np.concatenate([self.labels, other.labels])
        )

    def limited(self, skip_top: int, num_words: int | None, oov_char: int | None) -> Texts:
        """Word numbers below `skip_top`, or from `num_words` up, replaced by `oov_char`, or left out where it is `None`."""
        limit = num_words or int(self.words.max())  # as in Keras, without a limit the rarest word is beyond it
        kept = (self.words >= skip_top) & (self.words < limit)
        if oov_char is not None:
            return Texts(np.where(kept, self.words, oov_char), self.lengths, self.labels)
        owner = np.repeat(np.arange(len(self)), self.lengths)
        return Texts(self.words[kept], np.bincount(owner[kept], minlength=len(self)), self.labels)

    def arrays(self, start: int, stop: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
        """The texts of some rows as an array of lists, and their labels."""
        lengths = self.lengths[start:stop]
        ends = np.cumsum(lengths)
        first = int(self.lengths[:start].sum())
        words = self.words[first : first + int(lengths.sum())].tolist()
        lists = np.empty(len(lengths), dtype=object)
        for place, (begin, end) in enumerate(zip((ends - lengths).tolist(), ends.tolist(), strict=True)):
            lists[place] = words[begin:end]
        return lists, self.labels[start:stop]


def generator(seed: int) -> Any:
    """numpy's generator that shuffles a data set: the global one, newly seeded, or one of its own, as the chosen release has it."""
    if choose("datasets.seeds_numpy"):
        np.random.seed(seed)
        return np.random
    return np.random.RandomState(seed)


def read_index(path: str | os.PathLike[str]) -> dict[str, int]:
    """A vocabulary: word -> number.

    Raises:
        UnsafeData: the file holds something else.
    """
    if os.path.getsize(path) > MAX_INDEX_BYTES:
        raise UnsafeData(f"{path} is too long for a vocabulary.")
    try:
        with open(path, encoding="utf-8") as file:
            index = json.load(file)
    except (ValueError, RecursionError) as error:
        raise UnsafeData(f"{path} is no vocabulary: {error}.") from error
    if not isinstance(index, dict) or not all(type(number) is int for number in index.values()):
        raise UnsafeData(f"{path} is no vocabulary: it does not give a number for each word.")
    return index


def renamed(num_words: int | None, kwargs: dict[str, Any], who: str) -> int | None:
    """`num_words`, also where it is spelled `nb_words` as in Keras 1.

    Raises:
        TypeError: another keyword.
    """
    for name in kwargs:
        if name != "nb_words":
            raise TypeError(f"{who} has no argument {name!r}.")
    return kwargs.get("nb_words", num_words)
