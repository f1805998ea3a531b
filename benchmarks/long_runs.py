"""What is left behind by many short trainings, and by one of many epochs: `python -m benchmarks.long_runs --fits 10000 --epochs 1000`.

Memory is that of this process that is not shared; files, threads and child processes are counted. Nothing of them may grow.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from torchkeras import layers, models
from torchkeras.callbacks import EarlyStopping, LambdaCallback
from torchkeras.utils import Sequence


class Left(NamedTuple):
    """What a process holds."""

    kilobytes: int
    files: int
    threads: int
    children: int
    tensors: int


def held() -> Left:
    """What this process holds now, after a collection of garbage. Linux only."""
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda size: None)(0)  # memory that malloc keeps for later is no leak
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    listed = Path(f"/proc/self/task/{os.getpid()}/children")  # where the kernel tells
    children = listed.read_text().split() if listed.exists() else []
    tensors = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
    return Left(int(status["RssAnon"].split()[0]), len(os.listdir("/proc/self/fd")), threading.active_count(), len(children), tensors)


class Batches(Sequence):
    """Batches that a thread makes."""

    def __init__(self, x: Any, y: Any) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return self.x[index * 8 : index * 8 + 8], self.y[index * 8 : index * 8 + 8]


def trainer() -> Callable[[], None]:
    """A function that builds, trains, evaluates and forgets a model, and trains another one on."""
    random = np.random.RandomState(0)
    x, y = random.standard_normal((16, 6)).astype("float32"), random.randint(0, 3, 16)
    kept = model()
    sequence = Batches(x, y)

    def fit() -> None:
        kept.fit(x, y, batch_size=8, epochs=1, validation_data=(x, y), callbacks=[EarlyStopping("loss")], verbose=0)
        fresh = model()
        fresh.fit(sequence, epochs=1, workers=1, verbose=0)
        fresh.evaluate(x, y, verbose=0)
        fresh.predict(x)

    return fit


def model() -> Any:
    """A small compiled net."""
    net = models.Sequential([layers.Dense(8, activation="relu", input_shape=(6,)), layers.Dense(3, activation="softmax")])
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


def growth(fits: int, warm: int) -> tuple[Left, Left]:
    """What is held after the first trainings, and after all."""
    fit = trainer()
    for _ in range(warm):
        fit()
    before = held()
    for _ in range(fits):
        fit()
    return before, held()


def epoch_times(epochs: int) -> list[float]:
    """Processor seconds of each epoch of one training."""
    random = np.random.RandomState(0)
    x, y = random.standard_normal((64, 6)).astype("float32"), random.randint(0, 3, 64)
    times: list[float] = []
    net = model()

    net.fit(
        x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=[LambdaCallback(on_epoch_end=lambda epoch, logs: times.append(time.process_time()))]
    )
    return [after - before for before, after in itertools.pairwise(times)]


def main() -> None:
    """Print what was held before and after, and how the epochs went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_runs", description=main.__doc__)
    parser.add_argument("--fits", type=int, default=10000, help="short trainings (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=1000, help="epochs of the long one (default: %(default)s)")
    options = parser.parse_args()
    before, after = growth(options.fits, warm=1000)  # bounded caches have filled by then
    print(f"before {before}\nafter  {after}: {(after.kilobytes - before.kilobytes) / max(options.fits, 1):.3f} KB a training")
    times = epoch_times(options.epochs)
    tenth = max(len(times) // 10, 1)
    first, last = np.median(times[:tenth]), np.median(times[-tenth:])
    print(f"an epoch: {first * 1e3:.3f} ms in the first tenth, {last * 1e3:.3f} ms in the last: {last / first:.3f}")


if __name__ == "__main__":
    main()
