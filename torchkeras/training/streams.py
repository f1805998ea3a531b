"""Data that comes batch by batch: loaders, Keras' Sequence, generators and other iterables."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from torchkeras.training.batches import Batch, Batches, on_device
from torchkeras.training.tensors import present
from torchkeras.utils.data_utils import GeneratorEnqueuer, OrderedEnqueuer

Read = Callable[[Any], Batch]  # makes checked tensors of what the source gives


class StreamBatches(Batches):
    """Batches of an iterable that gives one batch after the other.

    Args:
        source: The iterable; an iterator is read only once, whatever the number of epochs.
        read: Makes checked tensors of what it gives.
        device: Where batches are wanted.
    """

    def __init__(self, source: Iterable[Any], read: Read, device: torch.device) -> None:
        super().__init__(device)
        self.source, self.read = source, read
        self.restarts = not hasattr(source, "__next__")
        self.steps = _length(source)
        self._size = 0
        self._ahead: tuple[Batch, Iterator[Any]] | None = None  # the first batch, and the epoch that it begins
        self._started: Iterator[Any] | None = None

    def first(self) -> Batch:
        if self._ahead is None:
            epoch = self._epoch()
            given = next(epoch, _NOTHING)
            if given is _NOTHING:
                raise ValueError(f"There are no samples: the {type(self.source).__name__} gives no batch.")
            batch = self.read(given)
            self._ahead = batch, epoch
            if self.batch_size is None:
                self.batch_size = present(batch[0])[0].shape[0]
        return self._ahead[0]

    def _epoch(self) -> Iterator[Any]:
        """What the source gives in the next epoch; a source that cannot start anew goes on."""
        if self.restarts:
            return self._begin()
        if self._started is None:
            self._started = self._begin()
        return self._started

    def _begin(self) -> Iterator[Any]:
        return iter(self.source)

    def size_of(self, number: int) -> int:
        return self._size

    def __iter__(self) -> Iterator[Batch]:
        ahead, self._ahead = self._ahead, None
        read, device = self.read, self.device
        if ahead is not None:
            first, epoch = ahead
            yield self._sized(on_device(first, device))
        else:
            epoch = self._epoch()
        for given in epoch:
            yield self._sized(on_device(read(given), device))

    def _sized(self, batch: list[Any]) -> Batch:
        x, y, weight = batch
        self._size = (x if isinstance(x, torch.Tensor) else present(x)[0]).shape[0]
        return x, y, weight


class SequenceBatches(StreamBatches):
    """Batches of a Keras `Sequence`, made ahead by workers.

    Args:
        source: The sequence.
        read: Makes checked tensors of what it gives.
        device: Where batches are wanted.
        shuffle: Whether the batches come in a new order each epoch.
        workers: How many make batches; 0: the training loop does.
        max_queue_size: Batches made ahead.
        use_multiprocessing: Workers are processes instead of threads.
        hang_timeout: Seconds to wait for a batch.
    """

    def __init__(
        self,
        source: Any,
        read: Read,
        device: torch.device,
        shuffle: bool,
        workers: int,
        max_queue_size: int,
        use_multiprocessing: bool,
        hang_timeout: float | None,
    ) -> None:
        super().__init__(source, read, device)
        if self.steps == 0:
            raise ValueError(f"There are no samples: the {type(source).__name__} has no batches, its len() is 0.")
        self.shuffle, self.workers, self.max_queue_size = shuffle, workers, max_queue_size
        self.enqueuer = OrderedEnqueuer(source, use_multiprocessing, shuffle, hang_timeout=hang_timeout) if workers else None
        self._order = list(range(self.steps or 0))
        self._taken = 0

    def _begin(self) -> Iterator[Any]:
        if self.enqueuer is None:
            return self._in_this_thread()
        if self._started is None:  # one line of batches, epoch after epoch
            self.enqueuer.start(self.workers, max(self.max_queue_size, 1))
            self._started = self.enqueuer.get()
        return itertools.islice(self._started, len(self.source))  # type: ignore[arg-type]

    def _in_this_thread(self) -> Iterator[Any]:
        self.epoch_ended()
        if self.shuffle:
            random.shuffle(self._order)
        for index in self._order:
            self._taken += 1
            yield self.source[index]  # type: ignore[index]

    def epoch_ended(self) -> None:
        if self.enqueuer is None and self._taken >= len(self._order):
            self._taken = 0
            if hasattr(self.source, "on_epoch_end"):
                self.source.on_epoch_end()
            self._order = list(range(len(self.source))) if len(self._order) != len(self.source) else self._order  # type: ignore[arg-type]

    def close(self, timeout: float | None = None) -> None:
        if self.enqueuer is not None:
            self.enqueuer.stop(timeout)
            self._started = None


class GeneratorBatches(StreamBatches):
    """Batches of a generator, made ahead by workers.

    Args:
        source: The generator or iterator.
        read: Makes checked tensors of what it gives.
        device: Where batches are wanted.
        workers: How many make batches.
        max_queue_size: Batches made ahead.
        use_multiprocessing: Workers are processes, each with a copy of the generator.
        hang_timeout: Seconds to wait for a batch.
    """

    def __init__(
        self, source: Any, read: Read, device: torch.device, workers: int, max_queue_size: int, use_multiprocessing: bool, hang_timeout: float | None
    ) -> None:
        super().__init__(source, read, device)
        self.restarts = False
        self.workers, self.max_queue_size = workers, max_queue_size
        self.enqueuer = GeneratorEnqueuer(source, use_multiprocessing, hang_timeout=hang_timeout)

    def _begin(self) -> Iterator[Any]:
        self.enqueuer.start(self.workers, max(self.max_queue_size, 1))
        return self.enqueuer.get()

    def close(self, timeout: float | None = None) -> None:
        self.enqueuer.stop(timeout)


_NOTHING = object()


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except TypeError:  # none, or a loader over an endless data set
        return None
