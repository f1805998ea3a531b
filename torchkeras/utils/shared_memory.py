"""What a worker process sends: large arrays by memory that both processes see, all else by a pipe.

A batch of some megabytes takes several milliseconds through a pipe, which holds a few pages at a time.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
from multiprocessing import reduction
from typing import Any, Final

import numpy as np

LARGE: Final = 1 << 16  # bytes of an array from which on the memory pays


class Outbox:
    """The end that sends. Before anything else is sent, what was sent before has to be received.

    Args:
        pipe: A two-way connection of `multiprocessing`.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self._memory: mmap.mmap | None = None
        self._shares = hasattr(os, "memfd_create")  # elsewhere all goes by the pipe

    def send(self, value: Any) -> None:
        """Send anything that can be pickled.

        Raises:
            OSError: nobody receives.
            Exception: it cannot be pickled; nothing was sent.
        """
        large: list[memoryview] = []

        def goes_along(buffer: pickle.PickleBuffer) -> bool:
            view = buffer.raw()
            if view.nbytes >= LARGE:
                large.append(view)
            return view.nbytes < LARGE

        body = io.BytesIO()
        reduction.ForkingPickler(body, 5, True, goes_along if self._shares else None).dump(value)
        sizes = [view.nbytes for view in large]
        handle = self._grow(sum(sizes)) if sum(sizes) > (0 if self._memory is None else len(self._memory)) else None
        place = 0
        for view in large:
            assert self._memory is not None
            self._memory[place : place + view.nbytes] = view
            place += view.nbytes
        try:
            self.pipe.send((body.getvalue(), sizes, handle is not None))
            if handle is not None:
                reduction.send_handle(self.pipe, handle, None)
        finally:
            if handle is not None:
                os.close(handle)

    def _grow(self, size: int) -> int:
        """Take more memory; the handle by which another process finds it."""
        if self._memory is not None:
            self._memory.close()
        handle = os.memfd_create("torchkeras-batch", os.MFD_CLOEXEC)
        size = 1 << (size - 1).bit_length()
        os.ftruncate(handle, size)
        self._memory = mmap.mmap(handle, size)
        return handle


class Inbox:
    """The end that receives.

    Args:
        pipe: The other end of the connection.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self._memory: mmap.mmap | None = None

    def receive(self) -> Any:
        """What was sent; its arrays are this process's own.

        Raises:
            OSError, EOFError: the other process is gone.
        """
        body, sizes, new = self.pipe.recv()
        if new:
            self.close()
            try:
                handle = reduction.recv_handle(self.pipe)
            except RuntimeError as error:  # it ended just now
                raise EOFError(str(error)) from error
            try:
                self._memory = mmap.mmap(handle, os.fstat(handle).st_size)
            finally:
                os.close(handle)
        buffers, place, memory = [], 0, self._memory
        for size in sizes:
            if memory is None:
                raise EOFError("The connection was closed.")
            buffers.append(np.frombuffer(memory, "u1", size, place).copy())
            place += size
        return pickle.loads(body, buffers=buffers)

    def close(self) -> None:
        """Let the memory go; another thread may be reading it still."""
        self._memory = None
