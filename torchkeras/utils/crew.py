"""Threads that make batches ahead of their use, in order, each batch once."""

from __future__ import annotations

import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

PATIENCE: Final = 60.0  # seconds of waiting for one batch after which a warning tells where it is stuck
GRACE: Final = 10.0  # seconds that `stop` gives a worker to finish its batch
END: Final = object()  # what a source gives after its last batch


class Batch:
    """A place in the line: promised to the reader at its turn, filled by one worker."""

    __slots__ = ("done", "ended", "error", "index", "value", "worker")

    def __init__(self, index: Any) -> None:
        self.index = index
        self.worker: threading.Thread | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self.done = False


class Crew:
    """Workers that fill a line of batches, read from its front.

    Args:
        epoch: Called before each epoch, by one worker while the others rest; gives the epoch's indices, or `None` for no further epoch.
        make: `make(worker number, index)` gives the batch, or `END` when the worker has no more.
        workers: Number of threads.
        room: Batches that may be in the line at once.
        hang_timeout: How long the reader waits for a batch before a TimeoutError, seconds; `None`: for ever, with a warning after `PATIENCE`.
        describe: What to tell of a worker by its number, beside where its thread stands.
    """

    def __init__(
        self,
        epoch: Callable[[], Iterator[Any] | None],
        make: Callable[[int, Any], Any],
        workers: int,
        room: int,
        hang_timeout: float | None,
        describe: Callable[[int], str],
    ) -> None:
        self._epoch = epoch
        self._make = make
        self._room = room
        self._hang_timeout = hang_timeout
        self._describe = describe
        self._changed = threading.Condition()
        self._line: deque[Batch] = deque()
        self._indices = epoch()
        self._turning = False
        self._stopped = False
        self._active = workers
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True, name=f"torchkeras-worker-{number}") for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def stopped(self) -> bool:
        """Whether `stop` or `give_up` was called, or an error was met."""
        return self._stopped

    def take(self) -> Any:
        """The next batch in order; `END` after the last and after a stop.

        Raises:
            TimeoutError: the batch did not come within `hang_timeout`.
            Exception: whatever came up while it was made.
        """
        batch = self._front()
        if batch is None:
            return END
        if batch.error is not None:
            self.give_up()
            raise batch.error
        return batch.value

    def give_up(self) -> None:
        """Tell the workers to stop, without waiting for them."""
        with self._changed:
            self._stopped = True
            self._line.clear()
            self._changed.notify_all()

    def stop(self, timeout: float | None = None) -> None:
        """Tell the workers to stop and wait for them.

        Args:
            timeout: How long to wait, seconds; `None`: `GRACE`. A worker that is still busy then ends after its batch.
        """
        self.give_up()
        deadline = time.monotonic() + (GRACE if timeout is None else timeout)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        busy = [thread for thread in self._threads if thread.is_alive() and thread is not threading.current_thread()]
        if busy and timeout is None:
            warnings.warn(
                f"{len(busy)} worker(s) are still busy {GRACE:g} s after the stop and end after their batch. {_where(busy[0])}",
                RuntimeWarning,
                stacklevel=3,
            )

    def recall(self, timeout: float | None = None) -> list[Any]:
        """Stop as `stop` does; the batches that were made and not taken, in order."""
        with self._changed:
            line = list(self._line)
            self.give_up()
        self.stop(timeout)
        return [batch.value for batch in line if batch.done and batch.error is None and not batch.ended]

    def _front(self) -> Batch | None:
        """The front batch, taken out of the line once it is done."""
        began = time.monotonic()
        warned = False
        with self._changed:
            while True:
                if self._stopped:
                    return None
                if self._line and self._line[0].done:
                    batch = self._line.popleft()
                    self._changed.notify_all()
                    if not batch.ended:
                        return batch
                    continue
                if not self._line and not self._active:
                    return None
                waited = time.monotonic() - began
                if self._hang_timeout is not None and waited >= self._hang_timeout:
                    break
                if not warned and waited >= PATIENCE:
                    warned = True
                    warnings.warn(f"Waiting for a batch since {waited:.0f} s: {self._stuck()}", RuntimeWarning, stacklevel=4)
                limits = [] if self._hang_timeout is None else [self._hang_timeout - waited]
                limits += [] if warned else [PATIENCE - waited]
                self._changed.wait(max(0.0, min(limits)) if limits else None)
            report = self._stuck()
        self.give_up()
        raise TimeoutError(f"A worker hangs: no batch came for {self._hang_timeout:g} s. {report} Give a longer hang_timeout if that is no fault.")

    def _stuck(self) -> str:
        """Which batch is awaited, and where its worker stands."""
        if not self._line:
            return "The workers are between two epochs, in on_epoch_end. " + " ".join(map(_where, self._threads[:1]))
        batch = self._line[0]
        number = self._threads.index(batch.worker) if batch.worker in self._threads else 0
        return f"Batch {batch.index!r} is made by {self._describe(number)}. {_where(batch.worker)}"

    def _work(self, number: int) -> None:
        """What each thread does."""
        try:
            while (batch := self._place()) is not None:
                try:
                    batch.value = self._make(number, batch.index)
                    batch.ended = batch.value is END
                except BaseException as error:  # the reader's to handle, whatever it is
                    batch.error = error
                with self._changed:
                    batch.done = True
                    self._changed.notify_all()
                    if batch.ended:
                        return
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def _place(self) -> Batch | None:
        """A new place at the end of the line, when there is room; `None`: no more work."""
        while True:
            with self._changed:
                while not self._stopped and (self._turning or len(self._line) >= self._room):
                    self._changed.wait()
                if self._stopped or self._indices is None:
                    return None
                index = next(self._indices, END)
                if index is not END:
                    batch = Batch(index)
                    batch.worker = threading.current_thread()
                    self._line.append(batch)
                    return batch
                if self._line:  # the epoch ends when its last batch was taken
                    self._changed.wait()
                    continue
                self._turning = True
            self._turn()

    def _turn(self) -> None:
        indices, failed = None, None
        try:
            indices = self._epoch()
        except BaseException as error:
            failed = Batch("on_epoch_end")
            failed.error, failed.done = error, True
        with self._changed:
            self._indices = indices
            if failed is not None and not self._stopped:
                self._line.append(failed)
            self._turning = False
            self._changed.notify_all()


def _where(thread: threading.Thread | None) -> str:
    """The innermost lines that a thread stands at."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is None:
        return ""
    return "It stands at\n" + "".join(traceback.format_stack(frame)[-4:])
