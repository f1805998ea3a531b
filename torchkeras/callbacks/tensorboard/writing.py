"""Event files: whole records, buffered, that survive a full disk."""

from __future__ import annotations

import itertools
import os
import socket
import time
import warnings
from typing import Any

_numbers = itertools.count()
_FLUSH_EVERY = 5.0  # seconds


class EventFile:
    """An event file whose records are written together, from the thread that makes them.

    What tensorboard brings writes in a thread, which ends with a traceback once the disk is full. Here a write that fails leaves the file as it
    was, warns once, and later ones are tried again.

    Args:
        log_dir: The run's folder, made if it is not there.

    Raises:
        OSError: the folder or the file cannot be made.
    """

    def __init__(self, log_dir: str) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._logdir = log_dir
        self._pending = _Buffer()
        self._records = RecordWriter(self._pending)
        self._size = 0
        self._failed = False
        self._flushed = time.monotonic()
        try:
            os.makedirs(log_dir, exist_ok=True)
            name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
            self.path = os.path.join(log_dir, name)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise type(error)(
                error.errno, f"TensorBoard cannot write to its log_dir ({error.strerror}). Choose another folder, or make this one writable", log_dir
            ) from None
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def get_logdir(self) -> str:
        """The run's folder."""
        return self._logdir

    def add_event(self, event: Any) -> None:
        """Add an event; it reaches the file at the next `flush`, or some seconds later."""
        if self._descriptor < 0:
            raise ValueError(f"The event file {self.path!r} is closed.")
        self._records.write(event.SerializeToString())
        if time.monotonic() - self._flushed > _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what has been added."""
        self._flushed = time.monotonic()
        data = self._pending.take()
        if not data or self._descriptor < 0:
            return
        try:
            written = os.pwrite(self._descriptor, data, self._size) if hasattr(os, "pwrite") else os.write(self._descriptor, data)
            if written != len(data):
                raise OSError(28, os.strerror(28))
            self._size += len(data)
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            if not self._failed:
                warnings.warn(f"TensorBoard could not write to {self.path!r}: {error}. Training goes on without these values.", stacklevel=2)
            self._failed = True

    def close(self) -> None:
        """Write what has been added, and close the file."""
        if self._descriptor >= 0:
            self.flush()
            os.close(self._descriptor)
            self._descriptor = -1

    def reopen(self) -> None:
        """Nothing to do: a closed file stays closed."""


class _Buffer:
    """What a RecordWriter writes to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def flush(self) -> None:
        """Nothing to do."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def make_writer(log_dir: str) -> Any:
    """A `torch.utils.tensorboard.SummaryWriter` on an `EventFile`.

    Args:
        log_dir: The run's folder.

    Raises:
        OSError: the folder or the file cannot be made.
    """
    from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

    class RunFile(FileWriter):
        def __init__(self, log_dir: str) -> None:
            self.event_writer = EventFile(log_dir)

    class RunWriter(SummaryWriter):
        def _get_file_writer(self) -> Any:
            if self.all_writers is None or self.file_writer is None:
                self.file_writer: Any = RunFile(self.log_dir)
                self.all_writers: Any = {self.log_dir: self.file_writer}
            return self.file_writer

    return RunWriter(log_dir)


class Runs:
    """The writers of a log directory, each made when it is first needed.

    Args:
        log_dir: The folder.
        one: Whether all runs are one, in the folder itself, as in Keras 1 and 2.
    """

    def __init__(self, log_dir: str, one: bool) -> None:
        self.log_dir, self.one = log_dir, one
        self._writers: dict[str, Any] = {}

    def folder(self, run: str) -> str:
        """The folder of a run; "" is the log directory itself."""
        return self.log_dir if self.one or not run else os.path.join(self.log_dir, run)

    def __getitem__(self, run: str) -> Any:
        folder = self.folder(run)
        if folder not in self._writers:
            self._writers[folder] = make_writer(folder)
        return self._writers[folder]

    def add(self, run: str, summary: Any, step: int | None) -> None:
        """Write a summary as it is."""
        self[run]._get_file_writer().add_summary(summary, step)

    def flush(self) -> None:
        """Write what has been added to all of them."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close all of them; a later use opens new files beside the old ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
