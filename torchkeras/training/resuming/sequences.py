"""The place in a Keras `Sequence`, whose batches this thread orders and workers make, up to the next save."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from torchkeras.training.resuming.generators import global_states, kept, own_states, set_global_states, set_own_states
from torchkeras.training.resuming.journal import Journal
from torchkeras.training.resuming.passes import Allowance, check_data
from torchkeras.training.resuming.plain import from_plain, to_plain
from torchkeras.training.resuming.reads import tells_state
from torchkeras.utils.crew import END, Crew
from torchkeras.utils.enqueuers import _batch_of_sequence, _state_of_numpy
from torchkeras.utils.sequence import Sequence
from torchkeras.utils.worker_process import Fleet

_COUNTS = ("given", "number", "index", "taken", "seen", "open", "length")


class Line:
    """The batches of a Sequence as a line of which the place is known.

    They come in the order in which an `OrderedEnqueuer` gives them, made by as many workers; but no worker is busy when the run is saved, so
    that what they draw from random generators is part of the state. In a new process the calls of `on_epoch_end` are made again by a
    `Journal`, unless the Sequence has `state_dict` and `load_state_dict`; batches are not made again.

    Args:
        source: The Sequence.
        shuffle: Whether the batches come in a new order each epoch.
        workers: How many make batches; 0: this thread.
        max_queue_size: Batches made ahead.
        use_multiprocessing: Workers are processes.
        hang_timeout: Seconds to wait for a batch.
        position: Where to begin; `None`: at the beginning.

    Raises:
        ValueError: the position is of another Sequence.
    """

    def __init__(
        self,
        source: Any,
        shuffle: bool,
        workers: int,
        max_queue_size: int,
        use_multiprocessing: bool,
        hang_timeout: float | None,
        position: Mapping[str, Any] | None,
    ) -> None:
        self.source, self.shuffle, self.workers = source, shuffle, workers
        self.room, self.hang_timeout = max(max_queue_size, 1), hang_timeout
        self.data = {"batches": len(source), "shuffle": shuffle, "workers": min(workers, 1), "processes": bool(workers and use_multiprocessing)}
        self.order = list(range(len(source)))
        self.number = -1  # of the epoch of the line; before the first, -1
        self.index = 0  # batches of the order that were given
        self.taken = 0  # batches of this pass that were taken
        self.seen = 0  # batches since `on_epoch_end`, for a loop without workers
        self.given = 0  # batches at all
        self.looked = 0
        self.open = False
        self.length = len(source)  # of this pass
        self.journal = Journal(source)
        self.allowance = Allowance()
        self.entropy: list[int] = []
        self.fleet = Fleet(_batch_of_sequence, source, workers, None) if self.data["processes"] else None
        self.changes = getattr(type(source), "on_epoch_end", None) not in (None, Sequence.on_epoch_end)
        self._crew: Crew | None = None
        self._line = self._endless()  # one line, pass after pass
        self.waiting = position
        self.began: Any = None  # the states of the shared generators before the first look
        if position is not None:
            check_data(self.data, position["data"])

    # -- a pass

    def begin(self, make: Any = None) -> Iterator[Any]:
        """The batches of a new pass: as many as the Sequence has."""
        if not self.given:
            self.began = global_states()
        self.taken, self.open, self.length = 0, True, len(self.source)
        if not self.workers:
            self.number, self.index = max(self.number, 0), 0
            self.epoch_ended()
            self._mix()
            return self._stretch(len(self.order))
        return itertools.islice(self._line, self.length)

    def counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Batches as they are taken."""
        for batch in batches:
            self.looked = 0
            self.taken += 1
            yield batch

    def epoch_ended(self) -> None:
        """After an epoch of a loop without workers: `on_epoch_end`, if all batches were made."""
        if not self.workers and self.seen >= len(self.order):
            self.seen = 0
            self._turn()

    def _turn(self) -> None:
        if hasattr(self.source, "on_epoch_end"):
            self.journal.call(self.source.on_epoch_end)
        if len(self.order) != len(self.source):
            self.order = list(range(len(self.source)))

    def _mix(self) -> None:
        if self.shuffle:
            random.shuffle(self.order)

    def _endless(self) -> Iterator[Any]:
        while True:
            if self.number < 0 or self.index >= len(self.order):
                self._next_epoch()
            count = self.allowance.take(len(self.order) - self.index)
            for batch in self._stretch(count):
                if batch is not None:  # workers may leave out a batch
                    yield batch

    def _next_epoch(self) -> None:
        self.number += 1
        self.index = 0
        if not self.number:
            self.entropy = _state_of_numpy()
        else:
            self._turn()
        self._mix()
        if self.fleet is not None and (self.changes or not self.number):
            self.fleet.restart()  # processes see the Sequence as it was when they began

    def _stretch(self, count: int) -> Iterator[Any]:
        """So many batches in their order."""
        places = [(self.number, index) for index in self.order[self.index : self.index + count]]
        made = self._by_crew(places) if self.workers else (self.source[index] for _, index in places)
        for batch in made:
            self.index += 1
            self.seen += 1
            self.given += 1
            yield batch

    def _by_crew(self, places: list[tuple[int, int]]) -> Iterator[Any]:
        stretches = iter([iter(places)])
        workers, fleet = min(self.workers, len(places)), self.fleet
        describe = fleet.describe if fleet is not None else lambda worker: f"worker thread {worker}"
        crew = self._crew = Crew(lambda: next(stretches, None), self._make, workers, self.room, self.hang_timeout, describe)
        try:
            for _ in places:
                batch = crew.take()
                if batch is END:
                    break
                yield batch
        except GeneratorExit:  # nobody reads on
            crew.stop(0.5)
            raise
        except BaseException:
            self.close(0.5)
            raise
        self._crew = None
        crew.stop()

    def _make(self, worker: int, place: tuple[int, int]) -> Any:
        number, index = place
        if self.fleet is not None:
            return self.fleet.ask(worker, ([*self.entropy, number, index], index))
        return self.source[index]

    def close(self, timeout: float | None = None) -> None:
        """End the workers."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.give_up()
        if self.fleet is not None:
            self.fleet.end()
        if crew is not None:
            crew.stop(timeout)

    # -- the place

    def position(self) -> dict[str, Any]:
        """The place as plain data; `given` is 0 where nothing but the first look was made."""
        if self.given <= self.looked:
            return {"data": self.data, "given": 0, "began": to_plain(self.began)}
        found: dict[str, Any] = {name: getattr(self, name) for name in ("data", *_COUNTS)}
        found.update({"order": list(self.order), "entropy": list(self.entropy), "own": to_plain(own_states(self.source))})
        if tells_state(self.source):
            found["state"] = to_plain(self.source.state_dict(), f"the state_dict of {type(self.source).__name__}")
        else:
            found["journal"] = self.journal.state()
        return found

    def go(self) -> tuple[Any, bool, Iterator[Any] | None]:
        """Go to the place that waits: a batch to look at, whether it also is the next one, and the rest of the pass (`None`: a new one begins)."""
        position, self.waiting = self.waiting, None
        assert position is not None
        if not position["given"]:
            with kept():
                set_global_states(from_plain(position["began"]))
                epoch = self.begin()
                self.looked = 1
                return next(epoch), True, epoch
        if tells_state(self.source):
            self.source.load_state_dict(from_plain(position["state"]))
        else:
            self.journal.replay(position["journal"], getattr(self.source, "on_epoch_end", bool))
        set_own_states(self.source, from_plain(position["own"]))
        for name in _COUNTS:
            setattr(self, name, position[name])
        self.order, self.entropy = list(position["order"]), list(position["entropy"])
        with kept(self.source):
            given = self.source[self.order[max(self.index, 1) - 1]]
        if self.fleet is not None:
            self.fleet.restart()
        if not self.open:
            return given, False, None
        if self.workers:
            return given, False, itertools.islice(self._line, self.length - self.taken)
        return given, False, self._stretch(len(self.order) - self.index)
