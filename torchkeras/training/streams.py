"""Data that comes batch by batch: loaders, Keras' Sequence, generators and other iterables."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from torchkeras.training.ahead import Ahead, going_on, is_alone, keep_left, touched_by_data
from torchkeras.training.batches import Batch, Batches, on_device
from torchkeras.training.resuming.passes import Allowance
from torchkeras.training.resuming.reads import NOTHING, Reads
from torchkeras.training.resuming.sequences import Line
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
        self._looked_at: Batch | None = None
        self._ahead: tuple[list[Batch], Iterator[Any]] | None = None  # the first batch, if it waits to be taken, and the epoch that it is of
        self._started: Iterator[Any] | None = None
        self.place: Reads | Line | None = None  # where the place in the data has to be known

    def first(self) -> Batch:
        if self._looked_at is None:
            given, waits, epoch = self._look()
            if given is NOTHING:
                raise ValueError(f"There are no samples: the {type(self.source).__name__} gives no batch.")
            batch = self._looked_at = self.read(given)
            if epoch is not None:
                self._ahead = [batch] if waits else [], epoch
            if self.batch_size is None:
                self.batch_size = present(batch[0])[0].shape[0]
        return self._looked_at

    def _look(self) -> tuple[Any, bool, Iterator[Any] | None]:
        """A batch to look at, whether it is the next one, and the epoch that it is of."""
        place = self.place
        if place is not None and place.waiting is not None:
            given, waits, epoch = self._go()
            if not self.restarts:
                self._started = epoch
            return given, waits, epoch
        epoch = self._epoch()
        given = next(epoch, NOTHING)
        if place is not None:
            place.looked = 1
        return given, True, epoch

    def _go(self) -> tuple[Any, bool, Iterator[Any] | None]:
        """Go to the place that a saved run was at."""
        assert isinstance(self.place, Reads)
        return self.place.go(self._begin)

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """From here on know the place in the data."""
        self.place = Reads(self.source, position)

    def position(self) -> dict[str, Any]:
        """The place after the last batch that was taken."""
        assert self.place is not None
        return self.place.position()

    def allow(self, batches: int) -> None:
        """Told how many batches may be made ahead."""
        if self.place is not None:
            self.place.allowance.left = max(0, batches - self.place.looked)

    def left(self) -> None:
        """Told where a pass over the data is not gone on with."""
        if self.place is not None and not self.place.looked:
            self.place.open = False

    def _epoch(self) -> Iterator[Any]:
        """What the source gives in the next epoch; a source that cannot start anew goes on."""
        if self.restarts:
            return self._pass()
        if self._started is None:
            self._started = self._pass()
        return self._started

    def _pass(self) -> Iterator[Any]:
        return self._begin() if self.place is None else self.place.begin(self._begin)

    def _begin(self) -> Iterator[Any]:
        if isinstance(self.place, Reads) and not self.restarts:
            return self.place.reading(going_on(self.source))
        return iter(self.source) if self.restarts else going_on(self.source)

    def size_of(self, number: int) -> int:
        return self._size

    def __iter__(self) -> Iterator[Batch]:
        return self._batches() if self.place is None else self.place.counted(self._batches())

    def _batches(self) -> Iterator[Batch]:
        ahead, self._ahead, self._looked_at = self._ahead, None, None
        read, device = self.read, self.device
        if ahead is not None:
            first, epoch = ahead
            for batch in first:
                yield self._sized(on_device(batch, device))
            first.clear()
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
        self.use_multiprocessing, self.hang_timeout = use_multiprocessing, hang_timeout
        self.enqueuer = OrderedEnqueuer(source, use_multiprocessing, shuffle, hang_timeout=hang_timeout) if workers else None
        self._order = list(range(self.steps or 0))
        self._taken = 0

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """From here on know the place in the data."""
        plan = (self.workers, self.max_queue_size, self.use_multiprocessing, self.hang_timeout)
        self.place = Line(self.source, self.shuffle, *plan, position)

    def _go(self) -> tuple[Any, bool, Iterator[Any] | None]:
        assert isinstance(self.place, Line)
        return self.place.go()

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
        if isinstance(self.place, Line):
            self.place.epoch_ended()
        elif self.enqueuer is None and self._taken >= len(self._order):
            self._taken = 0
            if hasattr(self.source, "on_epoch_end"):
                self.source.on_epoch_end()
            self._order = list(range(len(self.source))) if len(self._order) != len(self.source) else self._order  # type: ignore[arg-type]

    def close(self, timeout: float | None = None) -> None:
        if isinstance(self.place, Line):
            self.place.close(timeout)
        if self.enqueuer is not None:
            self.enqueuer.stop(timeout)
            self._started = None


class GeneratorBatches(StreamBatches):
    """Batches of a generator, read by a thread while the model trains where that takes long, and never more of them than the run wants.

    One that draws from torch's generator, or uses a model, is read by the training loop: it would disturb the step, or be disturbed.

    Args:
        source: The generator or iterator.
        read: Makes checked tensors of what it gives.
        device: Where batches are wanted.
        max_queue_size: Batches made ahead.
        hang_timeout: Seconds to wait for a batch.
    """

    def __init__(self, source: Any, read: Read, device: torch.device, max_queue_size: int, hang_timeout: float | None) -> None:
        super().__init__(source, read, device)
        self.allowance = Allowance()
        self.reader = Ahead(self._next, max_queue_size, hang_timeout, touched_by_data)
        self._iterator: Iterator[Any] | None = None

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """From here on know the place in the data."""
        super().watch(position)
        assert isinstance(self.place, Reads)
        self.place.allowance = self.allowance

    def allow(self, batches: int) -> None:
        """Told how many batches may be made ahead."""
        waiting = self.place.looked if self.place is not None else len(self._ahead[0]) if self._ahead is not None else 0
        self.allowance.left = max(0, batches - waiting - self.reader.promised)

    def _next(self, by_thread: bool) -> Any:
        assert self._iterator is not None
        return next(self._iterator, NOTHING) if self.place is None else self.place.read(self._iterator, by_thread)  # type: ignore[union-attr]

    def _begin(self) -> Iterator[Any]:
        self._iterator = going_on(self.source)
        self.reader.alone = is_alone(self.source) or (isinstance(self.place, Reads) and self.place.journal.has_torch)
        return self.reader.items(self.allowance)

    def close(self, timeout: float | None = None) -> None:
        self.reader.close(timeout)
        keep_left(self.source, self.reader)


class CopiedBatches(StreamBatches):
    """Batches of a generator of which each of several processes has a copy.

    Args:
        source: The generator or iterator.
        read: Makes checked tensors of what it gives.
        device: Where batches are wanted.
        workers: How many make batches.
        max_queue_size: Batches made ahead.
        hang_timeout: Seconds to wait for a batch.
    """

    def __init__(self, source: Any, read: Read, device: torch.device, workers: int, max_queue_size: int, hang_timeout: float | None) -> None:
        super().__init__(source, read, device)
        self.restarts = False
        self.workers, self.max_queue_size = workers, max_queue_size
        self.enqueuer = GeneratorEnqueuer(source, True, hang_timeout=hang_timeout)

    def watch(self, position: Mapping[str, Any] | None = None) -> None:
        """Refused.

        Raises:
            ValueError: the batches come in an order that is another each time.
        """
        raise ValueError(
            "A run on a generator whose copies are read by processes cannot be gone on with: which of them gives a batch differs each time. "
            "Use use_multiprocessing=False, or a Sequence or DataLoader, whose processes share the batches out."
        )

    def _begin(self) -> Iterator[Any]:
        self.enqueuer.start(self.workers, max(self.max_queue_size, 1))
        return self.enqueuer.get()

    def close(self, timeout: float | None = None) -> None:
        self.enqueuer.stop(timeout)


def _length(source: Any) -> int | None:
    try:
        return len(source)
    except TypeError:  # none, or a loader over an endless data set
        return None
