"""`Sequence`: a data set that is asked for its batches by number.

Source: `keras.utils.Sequence` (Keras 2.2.4, tf.keras 2.4.0).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any


class Sequence(ABC):
    """A data set whose batches are made one by one, by number; safe to read from many workers at once.

    A subclass writes `__getitem__(index)`, which gives one batch (usually `(x, y)`), and `__len__`, the number of
    batches. `on_epoch_end` may change the data between epochs.
    """

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """The batch at `index`, from 0."""
        raise NotImplementedError

    @abstractmethod
    def __len__(self) -> int:
        """Number of batches in an epoch."""
        raise NotImplementedError

    # not abstract: most data sets stay as they are
    def on_epoch_end(self) -> None:  # noqa: B027
        """Called after each epoch, before the first batch of the next."""

    def __iter__(self) -> Iterator[Any]:
        """The batches of one epoch, in order."""
        for index in range(len(self)):
            yield self[index]
