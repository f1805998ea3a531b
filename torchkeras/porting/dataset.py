"""`tf.data.Dataset` for data that fit into memory."""

from __future__ import annotations

import functools
import itertools
import operator
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch


class Dataset:
    """Samples or batches that can be gone through again and again: slices of arrays, shuffled, batched, mapped, repeated.

    Args:
        make: Gives a new iterator over the elements.
        length: Number of elements, or `None` where it cannot be told.

    Source: TensorFlow 2.3 `tf.data.Dataset`, of which this is the part that Keras programs use on arrays.
    """

    def __init__(self, make: Callable[[], Iterator[Any]], length: int | None) -> None:
        self._make = make
        self._length = length

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """The elements along the first axis of an array, or of a tuple or dict of arrays.

        Raises:
            ValueError: arrays of different lengths.
        """
        lengths = {len(leaf) for leaf in _leaves(tensors)}
        if len(lengths) != 1:
            raise ValueError(f"from_tensor_slices needs arrays of one length, but got the lengths {sorted(lengths)}.")
        arrays = _map(_array, tensors)
        (length,) = lengths
        return Dataset(lambda: (_map(operator.itemgetter(number), arrays) for number in range(length)), length)

    @staticmethod
    def from_generator(generator: Callable[[], Iterable[Any]], *args: Any, **kwargs: Any) -> Dataset:
        """The elements that a function's generator yields; types and shapes come from them."""
        return Dataset(lambda: iter(generator()), None)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Each element drawn at random out of the next `buffer_size` ones."""
        source = random.Random(seed if seed is not None else int(torch.randint(2**31, ())))
        fixed = source.getstate()

        def shuffled() -> Iterator[Any]:
            if not reshuffle_each_iteration:
                source.setstate(fixed)
            waiting: list[Any] = []
            for element in self._make():
                waiting.append(element)
                if len(waiting) > buffer_size:
                    yield _draw(waiting, source)
            while waiting:
                yield _draw(waiting, source)

        return Dataset(shuffled, self._length)

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Elements in groups, stacked along a new first axis."""

        def batches() -> Iterator[Any]:
            elements = self._make()
            while True:
                group = list(itertools.islice(elements, batch_size))
                if not group or (drop_remainder and len(group) < batch_size):
                    return
                yield _stacked(group)

        length = None if self._length is None else self._length // batch_size if drop_remainder else -(-self._length // batch_size)
        return Dataset(batches, length)

    def map(self, map_func: Callable[..., Any], num_parallel_calls: Any = None, deterministic: Any = None) -> Dataset:
        """A function of each element; of its parts, where an element is a tuple."""
        return Dataset(lambda: (map_func(*element) if isinstance(element, tuple) else map_func(element) for element in self._make()), self._length)

    def repeat(self, count: int | None = None) -> Dataset:
        """All over again, `count` times or without end."""
        rounds = itertools.repeat(None) if count in (None, -1) else itertools.repeat(None, count)
        if count in (None, -1):
            return Dataset(lambda: itertools.chain.from_iterable(self._make() for _ in rounds), None)
        length = None if self._length is None else self._length * count  # type: ignore[operator]
        return Dataset(lambda: itertools.chain.from_iterable(self._make() for _ in range(count)), length)  # type: ignore[arg-type]

    def take(self, count: int) -> Dataset:
        """The first `count` elements."""
        return Dataset(lambda: itertools.islice(self._make(), count), count if self._length is None else min(count, self._length))

    def skip(self, count: int) -> Dataset:
        """All but the first `count` elements."""
        return Dataset(lambda: itertools.islice(self._make(), count, None), None if self._length is None else max(0, self._length - count))

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements that a function says yes to."""
        return Dataset(lambda: (one for one in self._make() if bool(predicate(*one) if isinstance(one, tuple) else predicate(one))), None)

    def unbatch(self) -> Dataset:
        """The elements of the batches, one by one."""
        return Dataset(lambda: (_map(operator.itemgetter(number), batch) for batch in self._make() for number in range(len(_leaves(batch)[0]))), None)

    def window(self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False) -> Dataset:
        """Data sets of `size` elements each, which begin `shift` elements apart and take every `stride`-th."""
        step = size if shift is None else shift

        def windows() -> Iterator[Any]:
            elements = list(self._make())
            for start in range(0, len(elements), step):
                part = elements[start : start + (size - 1) * stride + 1 : stride]
                if len(part) == size or not drop_remainder:
                    yield Dataset(functools.partial(iter, part), len(part))

        return Dataset(windows, None)

    def flat_map(self, map_func: Callable[..., Any]) -> Dataset:
        """The elements of the data sets that a function makes of the elements, one after the other."""
        return Dataset(
            lambda: (inner for one in self._make() for inner in (map_func(*one) if isinstance(one, tuple) else map_func(one))),
            None,
        )

    def concatenate(self, dataset: Dataset) -> Dataset:
        """These elements, then those of another data set."""
        length = None if self._length is None or dataset._length is None else self._length + dataset._length
        return Dataset(lambda: itertools.chain(self._make(), dataset._make()), length)

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs of a number and the element."""
        return Dataset(lambda: enumerate(self._make(), start), self._length)

    @staticmethod
    def zip(datasets: tuple[Any, ...]) -> Dataset:
        """Tuples of one element of each data set."""
        lengths = [one._length for one in datasets]
        return Dataset(lambda: zip(*datasets, strict=False), None if None in lengths else min(lengths))

    @staticmethod
    def range(*bounds: int) -> Dataset:
        """Whole numbers, as Python's range gives them."""
        numbers = np.arange(*bounds, dtype="int64")
        return Dataset(lambda: iter(numbers), len(numbers))

    def cardinality(self) -> int:
        """Number of elements; -2: it cannot be told."""
        return -2 if self._length is None else self._length

    def prefetch(self, buffer_size: Any = None) -> Dataset:
        """The same elements: fit() places batches ahead by itself."""
        return self

    cache = prefetch

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as arrays."""
        return (_map(np.asarray, element) for element in self)

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("The length of this dataset cannot be told. Give fit() steps_per_epoch.")
        return self._length


def _array(leaf: Any) -> Any:
    return leaf if isinstance(leaf, (np.ndarray, torch.Tensor)) else np.asarray(leaf)


def _leaves(structure: Any) -> list[Any]:
    if isinstance(structure, tuple):
        return [leaf for part in structure for leaf in _leaves(part)]
    if isinstance(structure, Mapping):
        return [leaf for part in structure.values() for leaf in _leaves(part)]
    return [structure]


def _map(function: Callable[[Any], Any], structure: Any) -> Any:
    if isinstance(structure, tuple):
        return tuple(_map(function, part) for part in structure)
    if isinstance(structure, Mapping):
        return {key: _map(function, part) for key, part in structure.items()}
    return function(structure)


def _stacked(group: list[Any]) -> Any:
    first = group[0]
    if isinstance(first, tuple):
        return tuple(_stacked([one[number] for one in group]) for number in range(len(first)))
    if isinstance(first, Mapping):
        return {key: _stacked([one[key] for one in group]) for key in first}
    return torch.stack(group) if isinstance(first, torch.Tensor) else np.stack(group)


def _draw(waiting: list[Any], source: random.Random) -> Any:
    number = source.randrange(len(waiting))
    waiting[number], waiting[-1] = waiting[-1], waiting[number]
    return waiting.pop()
