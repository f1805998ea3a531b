"""Texts to words, words to numbers, numbers to matrices.

Source: Keras-Preprocessing 1.1.2, which Keras 2.2.4 and tf.keras 2.4.0 use.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from torchkeras import absent
from torchkeras.preprocessing.tokenizer import Tokenizer, tokenizer_from_json
from torchkeras.preprocessing.words import FILTERS, text_to_word_sequence

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]


def one_hot(input_text: str, n: int, filters: str | Iterable[str] = FILTERS, lower: bool = True, split: str = " ") -> list[int]:
    """The words of a text as numbers from 1 to `n - 1`, by Python's own `hash`.

    That hash differs from run to run unless PYTHONHASHSEED is set; `hashing_trick` with "md5" does not.

    Args:
        input_text: The text.
        n: Size of the number space; two words may share a number.
        filters: Characters that separate words.
        lower: Whether upper case counts as lower case.
        split: What separates words.

    Raises:
        ValueError: `n` is below 2.

    Source: Keras-Preprocessing 1.1.2 `one_hot`.
    """
    return hashing_trick(input_text, n, hash_function=hash, filters=filters, lower=lower, split=split)


def hashing_trick(
    text: str,
    n: int,
    hash_function: str | Callable[[str], int] | None = None,
    filters: str | Iterable[str] = FILTERS,
    lower: bool = True,
    split: str = " ",
) -> list[int]:
    """The words of a text as numbers from 1 to `n - 1`, by a hash; 0 is given to no word.

    Args:
        text: The text.
        n: Size of the number space; two words may share a number.
        hash_function: From a word to an integer; "md5", the same in every run; `None` is Python's `hash`, which is not.
        filters: Characters that separate words.
        lower: Whether upper case counts as lower case.
        split: What separates words.

    Raises:
        ValueError: `n` is below 2, or the name of another hash.

    Source: Keras-Preprocessing 1.1.2 `hashing_trick`.
    """
    if n < 2:
        raise ValueError(f"hashing_trick takes n of at least 2, because 0 is given to no word, but got {n!r}.")
    if isinstance(hash_function, str):
        if hash_function != "md5":
            raise ValueError(f"hashing_trick knows the hash 'md5', but got {hash_function!r}. Give a function from a word to an integer.")
        number: Callable[[str], int] = _md5
    else:
        number = hash if hash_function is None else hash_function
    return [number(word) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)]


@functools.lru_cache(maxsize=65536)
def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
