"""Items that are read while the model trains: by a thread where reading is slow, by the training loop itself where it is not."""

from __future__ import annotations

import itertools
import time
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch

from torchkeras.training.resuming.passes import Allowance
from torchkeras.training.resuming.reads import NOTHING
from torchkeras.utils.crew import END, Crew

SLOW: Final = 1e-3  # seconds for an item from which on a thread pays: handing it over takes a tenth of that, and Python runs one thread at a time


class Ahead:
    """Reads items one after the other, in their order, and never more of them than are allowed.

    The loop reads until two items in a row were slow; from then on a thread reads as many as are allowed, while the loop does other things.
    So between two allowances (epochs, saves) nothing is under way.

    Args:
        read: `read(by_thread)` gives the next item, `NOTHING` after the last.
        room: Items that may wait to be taken.
        hang_timeout: Seconds to wait for an item; `None`: for ever. With a time a thread reads from the first item on, since nobody could watch
            the loop itself.
        touches: Gives what a thread must not touch while the loop goes on; where an item that the loop reads has changed it, the loop reads on.
        who: What messages call the thread.
    """

    def __init__(
        self,
        read: Callable[[bool], Any],
        room: int,
        hang_timeout: float | None = None,
        touches: Callable[[], Any] = bool,
        who: str = "the thread that reads ahead",
    ) -> None:
        self.read, self.room, self.hang_timeout, self.touches, self.who = read, max(room, 1), hang_timeout, touches, who
        self.promised = 0  # items that a thread reads or has read, which were not taken yet
        self.alone = False  # the loop has to read
        self._begun = self._ended = False
        self.left: list[Any] = []  # items that were read and not taken, once nobody reads on
        self._took = [0.0, 0.0]  # seconds for the last two items
        self._crew: Crew | None = None

    @property
    def slow(self) -> bool:
        """Whether reading takes so long that a thread pays."""
        return min(self._took) > SLOW

    def items(self, allowance: Allowance) -> Iterator[Any]:
        """The items, to the last.

        Args:
            allowance: How many may be read.
        """
        while True:
            if not self.alone and (self.hang_timeout is not None or (self.slow and allowance.left > 1)):
                yield from self._by_thread(allowance.take(1 << 60))
                if self._ended:
                    return
            else:
                allowance.take(1)
                item = self._by_loop()
                if item is NOTHING:
                    return
                yield item

    def _by_loop(self) -> Any:
        # the first one, since some draw random numbers at the beginning alone; else to look takes as long as a quick item
        if self.alone or (self._begun and self._took[1] <= SLOW):
            return self._timed(False)
        self._begun = True
        before = self.touches()
        item = self._timed(False)
        self.alone = self.touches() != before
        return item

    def _timed(self, by_thread: bool) -> Any:
        began = time.perf_counter()
        try:
            return self.read(by_thread)
        finally:
            self._took = [self._took[1], time.perf_counter() - began]

    def _by_thread(self, count: int) -> Iterator[Any]:
        stretches = iter([iter(range(count))])

        def make(worker: int, place: int) -> Any:
            item = self._timed(True)
            return END if item is NOTHING else item

        self._ended, self.promised = False, count
        crew = self._crew = Crew(lambda: next(stretches, None), make, 1, self.room, self.hang_timeout, lambda worker: self.who)
        try:
            for _ in range(count):
                item = crew.take()
                if item is END:
                    self._ended = True
                    break
                self.promised -= 1
                yield item
        except BaseException:  # nobody reads on
            self.close(0.5)
            raise
        self.promised = 0
        self.close()

    def close(self, timeout: float | None = None) -> None:
        """End the thread; wait for it so many seconds, or (`None`) until it is gone."""
        crew, self._crew = self._crew, None
        if crew is not None:
            self.left += crew.recall(timeout)


_uses = [0]  # calls of any model's fit, evaluate, predict, or of one batch
_alone: weakref.WeakSet[types.GeneratorType[Any, Any, Any]] = weakref.WeakSet()
_left: weakref.WeakKeyDictionary[types.GeneratorType[Any, Any, Any], list[Any]] = weakref.WeakKeyDictionary()


def note_use() -> None:
    """Told where a model is called to train, evaluate or predict."""
    _uses[0] += 1


def touched_by_data() -> Any:
    """What a thread must not touch while a model trains: torch's generator, and models."""
    return torch.get_rng_state().numpy().tobytes(), _uses[0]


def keep_left(source: Any, reader: Ahead) -> None:
    """Keep what was read of a generator, and not used, for who reads it next; and whether no thread may."""
    left, reader.left = reader.left, []
    if isinstance(source, types.GeneratorType):
        if left:
            _left[source] = left
        if reader.alone:
            _alone.add(source)


def is_alone(source: Any) -> bool:
    """Whether an earlier run has found that no thread may read a generator."""
    return isinstance(source, types.GeneratorType) and source in _alone


def going_on(source: Any) -> Iterator[Any]:
    """An iterator, behind what was kept of it."""
    kept = _left.pop(source, None) if isinstance(source, types.GeneratorType) else None
    return iter(source) if kept is None else itertools.chain(kept, source)
