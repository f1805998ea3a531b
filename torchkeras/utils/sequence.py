"""`Sequence`: a data set that is asked for its batches by number.

Source: `keras.utils.Sequence` (Keras 2.2.4, tf.keras 2.4.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Sequence:
    """A data set whose batches are made one by one, by number; safe to read from many workers at once.

    A subclass writes `__getitem__(index)`, which gives one batch (usually `(x, y)`), and `__len__`, the number of
    batches. `on_epoch_end` may change the data between epochs.
    """

    # no ABC: a subclass may have another metaclass, and Keras lets one be made before it is complete
    def __getitem__(self, index: int) -> Any:
        """The batch at `index`, from 0."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __getitem__(index) that gives the batch at that number.")

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __len__() that gives the number of batches in an epoch.")

    def on_epoch_end(self) -> None:
        """Called after each epoch, before the first batch of the next."""

    def __iter__(self) -> Iterator[Any]:
        """The batches of one epoch, in order."""
        for index in range(len(self)):
            yield self[index]
