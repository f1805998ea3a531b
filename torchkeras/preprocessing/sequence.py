"""Sequences of unequal length to arrays, skip-grams, windows over a time series.

Source: Keras-Preprocessing 1.1.2, which Keras 2.2.4 and tf.keras 2.4.0 use.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from torchkeras.preprocessing.ragged import Ragged
from torchkeras.preprocessing.timeseries import TimeseriesGenerator, timeseries_generator_from_json

__all__ = ["Ragged", "TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams", "timeseries_generator_from_json"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> NDArray[Any]:
    """Sequences of unequal length as one array: short ones padded, long ones cut.

    Args:
        sequences: Lists, arrays or CPU tensors, each with its steps on the first axis.
        maxlen: Steps of the result; `None`: those of the longest sequence.
        dtype: Type of the result; `object` for texts of any length.
        padding: "pre" or "post": where `value` goes.
        truncating: "pre" or "post": where steps beyond `maxlen` are cut off.
        value: What fills the empty steps.

    Shape:
        list of (steps, ...) -> (len(sequences), maxlen, ...)

    Raises:
        ValueError: an entry that is no sequence or has another shape behind the steps; a bad option; no sequences and no `maxlen`.

    Source: Keras-Preprocessing 1.1.2 `pad_sequences`.
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(f"pad_sequences takes {name}='pre' or 'post', but got {choice!r}.")
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"pad_sequences takes a list of sequences, but got {type(sequences).__name__}. Make a list of it first.")
    for position, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ValueError(f"pad_sequences takes a list of sequences, but entry {position} is {sequence!r}.")
    if maxlen is None:
        if not len(sequences):
            raise ValueError("pad_sequences got no sequences to take the length from. Give maxlen.")
        maxlen = max(len(sequence) for sequence in sequences)
    if maxlen < 0:
        raise ValueError(f"pad_sequences takes a maxlen of at least 0, but got {maxlen}.")
    if isinstance(value, str) and np.dtype(dtype) != object and not np.issubdtype(np.dtype(dtype), np.str_):
        raise ValueError(f"pad_sequences cannot pad dtype {dtype!r} with the text {value!r}. Take dtype=object for texts of any length.")
    step_shape = next((np.asarray(sequence).shape[1:] for sequence in sequences if len(sequence)), ())
    padded = np.full((len(sequences), maxlen, *step_shape), value, dtype=dtype)
    for position, sequence in enumerate(sequences):
        length = min(len(sequence), maxlen)
        if not length:
            continue
        steps = np.asarray(sequence[len(sequence) - length :] if truncating == "pre" else sequence[:length], dtype=dtype)
        if steps.shape[1:] != step_shape:
            raise ValueError(
                f"pad_sequences needs sequences of one shape behind the steps, but entry {position} has {steps.shape[1:]} "
                f"and the first has {step_shape}."
            )
        if padding == "pre":
            padded[position, maxlen - length :] = steps
        else:
            padded[position, :length] = steps
    return padded


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> NDArray[np.float64]:
    """Probability of keeping a word in skip-grams, by its rank: the commoner, the less.

    Word frequencies are taken from Zipf's law: 1 / f(rank) = rank (log(rank) + 0.577) + 1/2 - 1 / (12 rank).

    Args:
        size: Number of ranks; entry i is for the word of rank i.
        sampling_factor: The factor t of word2vec: the probability is min(1, sqrt(t / f)).

    Shape:
        -> (size,)

    Raises:
        ValueError: `size` is below 1.

    Source: Mikolov et al. (2013), section 2.3; Keras-Preprocessing 1.1.2 `make_sampling_table`.
    """
    if size < 1:
        raise ValueError(f"make_sampling_table takes a size of at least 1, but got {size!r}.")
    rank = np.arange(size, dtype=np.float64)
    rank[0] = 1
    inverse_frequency = rank * (np.log(rank) + 0.577) + 0.5 - 1.0 / (12.0 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * inverse_frequency))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: ArrayLike | None = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs of words that stand near each other (label 1) and pairs with a random word (label 0).

    Random numbers come from Python's `random` in the order in which Keras takes them, so that a seeded program gets
    the same pairs; `shuffle` leaves that module seeded, as Keras does.

    Args:
        sequence: Word numbers; 0 stands for no word and is skipped.
        vocabulary_size: Largest word number and one.
        window_size: How many steps to the left and to the right count as near.
        negative_samples: Random pairs for each true pair; 0 for none.
        shuffle: Whether the pairs are shuffled at the end.
        categorical: Labels as [1, 0] and [0, 1] instead of 0 and 1.
        sampling_table: Probability of keeping each word number, see `make_sampling_table`.
        seed: Seed of the shuffling.

    Returns:
        The pairs and their labels.

    Raises:
        ValueError: `window_size` or `negative_samples` is below 0, or random words are wanted of a vocabulary below 2.

    Source: Keras-Preprocessing 1.1.2 `skipgrams`.
    """
    if window_size < 0 or negative_samples < 0:
        raise ValueError(f"skipgrams takes numbers from 0 up, but got window_size={window_size!r}, negative_samples={negative_samples!r}.")
    if negative_samples > 0 and vocabulary_size < 2:
        raise ValueError(f"skipgrams needs a vocabulary_size of at least 2 to draw random words, but got {vocabulary_size!r}.")
    keep = None if sampling_table is None else np.asarray(sampling_table)
    couples: list[list[int]] = []
    for i, word in enumerate(sequence):
        if not word or (keep is not None and keep[word] < random.random()):
            continue
        window = range(max(0, i - window_size), min(len(sequence), i + window_size + 1))
        couples += [[word, sequence[j]] for j in window if j != i and sequence[j]]
    labels: list[Any] = [[0, 1] if categorical else 1 for _ in couples]
    if negative_samples > 0:
        count = int(len(labels) * negative_samples)
        words = [couple[0] for couple in couples]
        random.shuffle(words)
        couples += [[words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(count)]
        labels += [[1, 0] if categorical else 0 for _ in range(count)]
    if shuffle:
        if seed is None:
            seed = random.randint(0, 10_000_000)
        for entries in (couples, labels):  # the same order for both
            random.seed(seed)
            random.shuffle(entries)
    return couples, labels


def _remove_long_seq(maxlen: int, seq: Sequence[Any], label: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The sequences shorter than `maxlen`, and their labels."""
    kept = [(steps, y) for steps, y in zip(seq, label, strict=True) if len(steps) < maxlen]
    return [steps for steps, _ in kept], [y for _, y in kept]
