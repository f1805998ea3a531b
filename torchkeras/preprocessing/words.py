"""A text to its words."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

FILTERS: Final = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


@functools.lru_cache(maxsize=64)
def _separators(filters: tuple[str, ...], split: str) -> dict[int, str]:
    return str.maketrans(dict.fromkeys(filters, split))


def text_to_word_sequence(input_text: str, filters: str | Iterable[str] = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text.

    Args:
        input_text: The text.
        filters: Characters that separate words, as `split` does: punctuation, tabs and newlines, without the apostrophe.
        lower: Whether upper case becomes lower case.
        split: What separates words.

    Raises:
        TypeError: no text.

    Source: Keras-Preprocessing 1.1.2 `text_to_word_sequence`.
    """
    if not isinstance(input_text, str):
        raise TypeError(f"text_to_word_sequence takes a text, but got {type(input_text).__name__}: {input_text!r:.60}.")
    text = input_text.lower() if lower else input_text
    return [word for word in text.translate(_separators(tuple(filters), split)).split(split) if word]
