"""`Tokenizer`: a vocabulary taken from texts, and texts written in its numbers.

Source: Keras-Preprocessing 1.1.2 `Tokenizer`.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchkeras.generations import choose
from torchkeras.preprocessing.words import FILTERS, text_to_word_sequence

MODES = ("binary", "count", "freq", "tfidf")
COUNTS = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")  # written as JSON text within the JSON
OPTIONS = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")


class Tokenizer:
    """Vocabulary of a set of texts: words to numbers, the commonest word is 1, no word is 0.

    Args:
        num_words: Only words with a number below this are written; `None`: all.
        filters: Characters that separate words.
        lower: Whether upper case counts as lower case.
        split: What separates words.
        char_level: Every character is a word.
        oov_token: Word number 1, which stands for every unknown word; `None`: unknown words are left out.
        document_count: Texts counted before.
        nb_words: Keras 1's name of `num_words`.

    Source: Keras-Preprocessing 1.1.2 `Tokenizer`; Keras 1.2.2 counts documents anew at each `fit_on_texts`.
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str | Iterable[str] = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        document_count: int = 0,
        *,
        nb_words: int | None = None,
    ) -> None:
        if nb_words is not None:
            warnings.warn("Tokenizer(nb_words=...) is the spelling of Keras 1: write num_words=...", DeprecationWarning, stacklevel=2)
            num_words = nb_words
        self.num_words = num_words
        self.filters = filters if isinstance(filters, str) else "".join(filters)
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.document_count = document_count
        self.word_counts: OrderedDict[str, int] = OrderedDict()
        self.word_docs: defaultdict[str, int] = defaultdict(int)
        self.index_docs: defaultdict[int, int] = defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self._counts_anew = choose("tokenizer.counts_anew")

    def _words(self, text: str | list[str]) -> Sequence[str]:
        if isinstance(text, list):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return text.lower() if self.lower else text
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[str | list[str]]) -> None:
        """Add the words of `texts` to the vocabulary and number it anew, the commonest word first.

        Args:
            texts: Texts, or lists of words.
        """
        if self._counts_anew:
            self.document_count = 0
            self.index_docs.clear()
        for text in texts:
            self.document_count += 1
            counts = Counter(self._words(text))  # in the order of the first occurrence
            for word, count in counts.items():
                self.word_counts[word] = self.word_counts.get(word, 0) + count
                self.word_docs[word] += 1
        by_count = sorted(self.word_counts, key=self.word_counts.__getitem__, reverse=True)  # stable: equal counts keep their order
        vocabulary = by_count if self.oov_token is None else [self.oov_token, *by_count]
        # a word that is also the oov_token ends with its own number, as in Keras
        self.word_index = {word: index for index, word in enumerate(vocabulary, start=1)}
        self.index_word = {index: word for word, index in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Sequence[Iterable[int]]) -> None:
        """Count in how many of `sequences` each word number occurs, for "tfidf"; needed only without `fit_on_texts`.

        Args:
            sequences: Lists of word numbers.
        """
        if self._counts_anew:
            self.document_count = 0
            self.index_docs.clear()
        self.document_count += len(sequences)
        for sequence in sequences:
            for index in dict.fromkeys(map(int, sequence)):  # numpy's integers are no JSON keys
                self.index_docs[index] += 1

    def texts_to_sequences(self, texts: Iterable[str | list[str]]) -> list[list[int]]:
        """Each text as the list of its words' numbers."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[str | list[str]]) -> Iterator[list[int]]:
        """Each text as the list of its words' numbers, one by one."""
        unknown = None if self.oov_token is None else self.word_index.get(self.oov_token)
        index_of: dict[str, int | None] = dict(self.word_index)
        if self.num_words:
            index_of = {word: index if index < self.num_words else unknown for word, index in self.word_index.items()}
        for text in texts:
            numbers = (index_of.get(word, unknown) for word in self._words(text))
            yield [number for number in numbers if number is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Each list of word numbers as a text, its words joined by spaces."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Each list of word numbers as a text, one by one."""
        unknown = None if self.oov_token is None else self.word_index.get(self.oov_token)
        for sequence in sequences:
            words = []
            for index in sequence:
                known = index in self.index_word and not (self.num_words and index >= self.num_words)
                shown = index if known else unknown
                if shown is not None:
                    words.append(self.index_word[shown])
            yield " ".join(words)

    def texts_to_matrix(self, texts: Iterable[str | list[str]], mode: str = "binary") -> NDArray[np.float64]:
        """One row for each text, one column for each word number, see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode=mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> NDArray[np.float64]:
        """One row for each list of word numbers, one column for each number.

        Args:
            sequences: Lists of word numbers.
            mode: "binary" (0 or 1), "count" (times in the text), "freq" (count / words of the text) or
                "tfidf" ((1 + log(count)) log(1 + documents / (1 + documents with the word))).

        Shape:
            -> (len(sequences), num_words), or the vocabulary's size and one where `num_words` is `None`

        Raises:
            ValueError: another mode, an empty vocabulary without `num_words`, "tfidf" before any fitting.
        """
        if mode not in MODES:
            raise ValueError(f"Tokenizer makes a matrix in one of the modes {list(MODES)}, but got {mode!r}.")
        if not self.num_words and not self.word_index:
            raise ValueError("Tokenizer has no vocabulary to take the matrix's width from. Give num_words, or call fit_on_texts first.")
        if mode == "tfidf" and not self.document_count:
            raise ValueError("Tokenizer has counted no documents for mode='tfidf'. Call fit_on_texts or fit_on_sequences first.")
        width = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), width))
        for row, sequence in zip(matrix, sequences, strict=True):
            numbers = np.asarray(sequence, dtype=np.int64)
            if not numbers.size:
                continue
            row += np.bincount(numbers[numbers < width], minlength=width)
            if mode == "freq":
                row /= len(sequence)
        if mode == "binary":
            return (matrix > 0).astype(np.float64)
        if mode == "tfidf":
            documents = np.array([self.index_docs.get(index, 0) for index in range(width)])
            rarity = np.log(1 + self.document_count / (1 + documents))
            with np.errstate(divide="ignore"):
                return np.where(matrix > 0, (1 + np.log(matrix)) * rarity, 0.0)
        return matrix

    def get_config(self) -> dict[str, Any]:
        """Options and vocabulary; the tables as JSON text, as Keras writes them."""
        return {
            **{name: getattr(self, name) for name in OPTIONS},
            **{name: json.dumps(getattr(self, name)) for name in COUNTS},
        }

    def to_json(self, **kwargs: Any) -> str:
        """The tokenizer as JSON text, readable by genuine Keras.

        Args:
            **kwargs: Passed on to `json.dumps`.
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `to_json` wrote, here or in genuine Keras.

    Raises:
        ValueError: a text of another form.

    Source: Keras-Preprocessing 1.1.2 `tokenizer_from_json`.
    """
    full = json.loads(json_string)
    config = full.get("config") if isinstance(full, dict) else None
    if not isinstance(config, dict) or not all(isinstance(config.get(name), str) for name in COUNTS):
        raise ValueError(f"tokenizer_from_json needs the text of Tokenizer.to_json(): an object with 'config' that holds {', '.join(COUNTS)}.")
    unknown = sorted(set(config) - set(OPTIONS) - set(COUNTS))
    if unknown:
        raise ValueError(f"tokenizer_from_json found entries that no Tokenizer has: {', '.join(map(repr, unknown))}.")
    tokenizer = Tokenizer(**{name: config[name] for name in OPTIONS if name in config})
    tables = {name: json.loads(config[name]) for name in COUNTS}
    tokenizer.word_counts = OrderedDict(tables["word_counts"])
    tokenizer.word_docs = defaultdict(int, tables["word_docs"])
    tokenizer.word_index = tables["word_index"]
    # JSON knows text keys only
    tokenizer.index_docs = defaultdict(int, {int(index): count for index, count in tables["index_docs"].items()})
    tokenizer.index_word = {int(index): word for index, word in tables["index_word"].items()}
    return tokenizer
