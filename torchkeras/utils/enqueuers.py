"""Batches made by workers ahead of their use: threads or processes, always in order.

Source: `SequenceEnqueuer`, `OrderedEnqueuer`, `GeneratorEnqueuer` of Keras 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

import itertools
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import numpy as np

from torchkeras.utils.crew import END, Crew
from torchkeras.utils.sequence import Sequence
from torchkeras.utils.worker_process import Fleet, seed_all


class SequenceEnqueuer(ABC):
    """Base of the enqueuers: `start` sets workers to work, `get` gives their batches in order, `stop` ends them.

    Args:
        sequence: The data source.
        use_multiprocessing: Workers are processes instead of threads.
        hang_timeout: How long `get` waits for a batch before a TimeoutError that tells where the worker stands, seconds; `None`: for ever,
            with a warning after a minute.
        start_method: How processes are started: "fork", "forkserver" or "spawn"; `None`: "fork" on Linux, else "spawn".
    """

    def __init__(
        self, sequence: Any, use_multiprocessing: bool = False, *, hang_timeout: float | None = None, start_method: str | None = None
    ) -> None:
        if hang_timeout is not None and not hang_timeout > 0:
            raise ValueError(f"{type(self).__name__} takes a hang_timeout above 0 seconds, or None, but got {hang_timeout!r}.")
        self.sequence = sequence
        self.use_multiprocessing = use_multiprocessing
        self.hang_timeout = hang_timeout
        self.start_method = start_method
        self.workers = 0
        self._crew: Crew | None = None
        self._fleet: Fleet | None = None

    def is_running(self) -> bool:
        """Whether workers are at work."""
        return self._crew is not None and not self._crew.stopped

    def start(self, workers: int = 1, max_queue_size: int = 10) -> None:
        """Set the workers to work.

        Args:
            workers: Number of threads or processes.
            max_queue_size: Batches that may be made ahead of their use.

        Raises:
            ValueError: a number below 1.
            RuntimeError: they are at work already.
        """
        if workers < 1 or max_queue_size < 1:
            raise ValueError(
                f"{type(self).__name__}.start takes numbers from 1, but got workers={workers!r}, max_queue_size={max_queue_size!r}. "
                "Without workers, read the data yourself."
            )
        if self.is_running():
            raise RuntimeError(f"This {type(self).__name__} runs already. Call stop() first.")
        self.workers = workers
        self._fleet = self._new_fleet(workers) if self.use_multiprocessing else None
        self._crew = self._hire(workers, max_queue_size)

    def stop(self, timeout: float | None = None) -> None:
        """End the workers and wait until they are gone.

        Args:
            timeout: How long to wait for a thread that is busy with a batch, seconds; `None`: ten. Processes are ended at once.
        """
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.give_up()
            if self._fleet is not None:
                self._fleet.end()
            crew.stop(timeout)

    def get(self) -> Iterator[Any]:
        """The batches in order; those that are `None` are left out.

        Raises:
            TimeoutError: a worker hangs, see `hang_timeout`.
            Exception: whatever came up in a worker, with its traceback.
        """
        crew = self._crew
        if crew is None:
            raise RuntimeError(f"This {type(self).__name__} has no workers. Call start() first.")
        return self._batches(crew, self._fleet)

    def _batches(self, crew: Crew, fleet: Fleet | None) -> Iterator[Any]:
        # a method, so that who reads the batches also keeps the enqueuer alive
        while True:
            try:
                batch = crew.take()
            except BaseException:
                crew.give_up()
                if fleet is not None:
                    fleet.end()
                raise
            if batch is END:
                return
            if batch is not None:
                yield batch

    @abstractmethod
    def _new_fleet(self, workers: int) -> Fleet:
        """Processes for this kind of source."""

    @abstractmethod
    def _hire(self, workers: int, room: int) -> Crew:
        """Workers for this kind of source; nothing of theirs may hold this enqueuer, so that a forgotten one ends them."""

    def __del__(self) -> None:
        if getattr(self, "_crew", None) is not None and self._crew is not None:
            self._crew.give_up()
            if self._fleet is not None:
                self._fleet.end()

    def __enter__(self) -> SequenceEnqueuer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class OrderedEnqueuer(SequenceEnqueuer):
    """Batches of a `Sequence`, epoch after epoch without end, in the order of their numbers or of a shuffle.

    Each number is asked once an epoch. `on_epoch_end` is called when the epoch's last batch has been taken, before the first of the next is
    made. In processes, random numbers are seeded for each batch from this process's seed, the epoch and the batch's number: they
    do not repeat, and do not depend on how many workers there are.

    Args:
        sequence: A `Sequence`, or anything with a length and batches by number.
        use_multiprocessing: Workers are processes instead of threads.
        shuffle: Whether the batches are shuffled (by Python's `random`) before each epoch.
        hang_timeout: See `SequenceEnqueuer`.
        start_method: See `SequenceEnqueuer`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `OrderedEnqueuer`.
    """

    def __init__(
        self,
        sequence: Any,
        use_multiprocessing: bool = False,
        shuffle: bool = False,
        *,
        hang_timeout: float | None = None,
        start_method: str | None = None,
    ) -> None:
        super().__init__(sequence, use_multiprocessing, hang_timeout=hang_timeout, start_method=start_method)
        self.shuffle = shuffle

    def _new_fleet(self, workers: int) -> Fleet:
        return Fleet(_batch_of_sequence, self.sequence, workers, self.start_method)

    def _hire(self, workers: int, room: int) -> Crew:
        sequence, shuffle, fleet = self.sequence, self.shuffle, self._fleet
        if len(sequence) < 1:
            raise ValueError(f"OrderedEnqueuer got a {type(sequence).__name__} without batches: its len() is {len(sequence)}.")
        epochs = itertools.count()
        order = list(range(len(sequence)))
        entropy = _state_of_numpy()
        changes = getattr(type(sequence), "on_epoch_end", None) not in (None, Sequence.on_epoch_end)

        def epoch() -> Iterator[Any] | None:
            number = next(epochs)
            if number and hasattr(sequence, "on_epoch_end"):
                sequence.on_epoch_end()
                if len(order) != len(sequence):
                    order[:] = range(len(sequence))
            if shuffle:
                random.shuffle(order)
            # processes see the source as it was when they began
            if fleet is not None and (changes or not number) and not fleet.restart():
                return None
            return iter([(number, index) for index in order])

        def make(worker: int, place: tuple[int, int]) -> Any:
            number, index = place
            if fleet is not None:
                return fleet.ask(worker, ([*entropy, number, index], index))
            return sequence[index]

        return Crew(epoch, make, workers, room, self.hang_timeout, _describe if fleet is None else fleet.describe)


class GeneratorEnqueuer(SequenceEnqueuer):
    """Batches of a generator, in its order.

    A generator can be asked by one thread at a time, so that threads beyond the first have nothing to do. Processes each have a copy of
    it, and give its batches as many times as there are workers, unless they are random.

    Args:
        sequence: A generator or iterator.
        use_multiprocessing: Workers are processes instead of threads.
        random_seed: Processes seed their random numbers with this and their number from 0; `None`: differently each, from this process's seed.
        wait_time: Not used any more, as in Keras 2.2.4.
        hang_timeout: See `SequenceEnqueuer`.
        start_method: See `SequenceEnqueuer`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `GeneratorEnqueuer`.
    """

    def __init__(
        self,
        sequence: Iterable[Any],
        use_multiprocessing: bool = False,
        random_seed: int | None = None,
        *,
        wait_time: float | None = None,
        hang_timeout: float | None = None,
        start_method: str | None = None,
    ) -> None:
        super().__init__(sequence, use_multiprocessing, hang_timeout=hang_timeout, start_method=start_method)
        if wait_time is not None:
            warnings.warn("GeneratorEnqueuer(wait_time=...) has no meaning any more: leave it away.", DeprecationWarning, stacklevel=2)
        self.random_seed = random_seed

    def _new_fleet(self, workers: int) -> Fleet:
        return Fleet(_batch_of_generator, iter(self.sequence), workers, self.start_method)

    def _hire(self, workers: int, room: int) -> Crew:
        epochs = iter([itertools.count()])  # one epoch, until the generator ends
        fleet = self._fleet
        if fleet is None:
            source = iter(self.sequence)
            return Crew(lambda: next(epochs, None), lambda worker, index: next(source, END), 1, room, self.hang_timeout, _describe)
        entropy = _state_of_numpy()
        seeds: dict[int, Any] = {worker: [*entropy, worker] if self.random_seed is None else self.random_seed + worker for worker in range(workers)}
        fleet.restart()

        def make(worker: int, index: int) -> Any:
            good, batch = fleet.ask(worker, seeds.pop(worker, None))
            return batch if good else END

        return Crew(lambda: next(epochs, None), make, workers, room, self.hang_timeout, fleet.describe)


def _describe(worker: int) -> str:
    return f"worker thread {worker}"


def _state_of_numpy() -> list[int]:
    """Numbers that follow from numpy's seed, without drawing from it."""
    state: Any = np.random.get_state()
    return [int(word) for word in state[1][:4]] + [int(state[2])]


def _batch_of_sequence(sequence: Any, request: tuple[list[int], int]) -> Any:
    entropy, index = request
    seed_all(entropy)
    return sequence[index]


def _batch_of_generator(source: Iterator[Any], seed: list[int] | int | None) -> Any:
    if isinstance(seed, list):
        seed_all(seed)
    elif seed is not None:
        np.random.seed(seed)
    for batch in source:
        return True, batch
    return False, None
