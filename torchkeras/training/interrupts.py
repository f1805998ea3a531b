"""Ctrl-C between two batches rather than in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Inside, Ctrl-C waits until the present step is done, so that weights and optimizer state are those of a whole number of steps.

    A second Ctrl-C does not wait. Outside of the main thread, or where the program handles the signal by itself, nothing changes.
    """

    def __init__(self) -> None:
        self._busy = self._pending = False
        self._before: Any = None

    def between(self, step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """A step during which Ctrl-C waits."""
        if self._before is None:
            return step

        def guarded(engine: Any, batch: Any) -> Any:
            self._busy = True
            output = step(engine, batch)
            self._busy = False
            if self._pending:
                raise KeyboardInterrupt
            return output

        return guarded

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if not self._busy or self._pending:
            raise KeyboardInterrupt
        self._pending = True

    def __enter__(self) -> Interrupts:
        alone = threading.current_thread() is threading.main_thread()
        if alone and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            if self._pending and kind is None:  # it came with the last step
                raise KeyboardInterrupt
