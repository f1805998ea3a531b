"""A process that computes batches for one thread of this process: asked by number, answering with the batch or its error."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from multiprocessing import connection
from typing import Any, Final

import numpy as np
import torch

from torchkeras.utils.shared_memory import Inbox, Outbox

ORPHAN_CHECK: Final = 5.0  # seconds between two looks whether the parent still lives


class RemoteTraceback(Exception):
    """Where in a worker process an error came from: the cause of the error that the caller sees."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class WorkerDied(RuntimeError):
    """A worker process that ended without an answer."""


def seed_all(entropy: list[int]) -> None:
    """Seed Python's, numpy's and torch's global generators from a list of whole numbers."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class WorkerProcess:
    """One process, with a copy of the data source, that answers one request at a time.

    Args:
        answer: Called in the process as `answer(source, request)`.
        source: The data source; under "fork" the process has it as it is now, under "spawn" it is pickled.
        start_method: "fork", "forkserver" or "spawn"; `None`: "fork" on Linux, where nothing needs to be pickled, else "spawn".
    """

    def __init__(self, answer: Callable[[Any, Any], Any], source: Any, start_method: str | None = None) -> None:
        context = multiprocessing.get_context(start_method or ("fork" if sys.platform == "linux" else "spawn"))
        self._connection, theirs = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(theirs, answer, source, os.getpid()), daemon=True, name="torchkeras-worker"
        )
        with warnings.catch_warnings():
            # the process touches nothing that another thread of this one may hold locked
            warnings.filterwarnings("ignore", message=r".*multi-threaded.*fork", category=DeprecationWarning)
            self._process.start()
        theirs.close()
        self._inbox = Inbox(self._connection)

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    def ask(self, request: Any) -> Any:
        """The process's answer.

        Raises:
            WorkerDied: it ended instead.
            Exception: whatever came up in the process, with the traceback there as its cause.
        """
        try:
            self._connection.send(request)
            connection.wait([self._connection, self._process.sentinel])
            reply: Any = self._inbox.receive() if self._connection.poll() else None
        except (OSError, EOFError):
            reply = None
        if reply is None:
            self._process.join(1)
            raise WorkerDied(
                f"A worker process (pid {self.pid}) ended with exit code {self._process.exitcode} while it made a batch. "
                "A negative code is the signal that ended it; -9 often means that memory ran out."
            )
        good, value = reply
        if good:
            return value
        error, text = value
        error.__cause__ = RemoteTraceback(text)
        raise error

    def stop(self) -> None:
        """End the process, busy or not, and wait until it is gone."""
        self._process.terminate()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._inbox.close()
        self._connection.close()


class Fleet:
    """Worker processes that are started and ended together; once ended they stay so.

    Args:
        answer: See `WorkerProcess`.
        source: See `WorkerProcess`.
        workers: Number of processes.
        start_method: See `WorkerProcess`.
    """

    def __init__(self, answer: Callable[[Any, Any], Any], source: Any, workers: int, start_method: str | None) -> None:
        self._begin = lambda: WorkerProcess(answer, source, start_method)
        self._workers = workers
        self._processes: list[WorkerProcess] = []
        self._lock = threading.Lock()
        self._ended = False

    def restart(self) -> bool:
        """Start all anew, with the source as it is now; not when the fleet has been ended."""
        with self._lock:
            self._stop_all()
            if not self._ended:
                self._processes += [self._begin() for _ in range(self._workers)]
            return not self._ended

    def ask(self, worker: int, request: Any) -> Any:
        """The answer of one process, see `WorkerProcess.ask`."""
        return self._processes[worker].ask(request)

    def describe(self, worker: int) -> str:
        """What a message calls a worker."""
        return f"the worker process with pid {self._processes[worker].pid}" if worker < len(self._processes) else "a worker process"

    def end(self) -> None:
        """End all processes for good."""
        with self._lock:
            self._ended = True
            self._stop_all()

    def _stop_all(self) -> None:
        while self._processes:
            self._processes.pop().stop()


def _serve(pipe: Any, answer: Callable[[Any, Any], Any], source: Any, parent: int) -> None:
    """What runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork; and there are other workers
    outbox = Outbox(pipe)
    while True:
        try:
            if not pipe.poll(ORPHAN_CHECK):
                if os.getppid() != parent:
                    return
                continue
            request = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            reply: tuple[bool, Any] = (True, answer(source, request))
        except Exception as error:
            reply = (False, (_sendable(error), traceback.format_exc()))
        try:
            outbox.send(reply)
        except OSError:
            return
        except Exception as error:  # the batch cannot be pickled
            outbox.send((False, (_sendable(error), traceback.format_exc())))


def _sendable(error: Exception) -> Exception:
    """`error` itself where it survives pickling, else one that tells about it."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # some classes cannot be pickled, others not unpickled
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
