"""`python -m benchmarks callbacks`: what a callback that does nothing adds to a step, and what TensorBoard's logs of each epoch add to training."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ignite.engine import Events

import torchkeras
from benchmarks import harness
from torchkeras.callbacks import Callback, TensorBoard
from torchkeras.layers import Dense
from torchkeras.training.hooks import HOOKS, CallbackList, bind, does_nothing

BATCH, FEATURES, HIDDEN, CLASSES = 128, 93, 100, 9
EMPTY_GOAL, LOGGING_GOAL = 2e-6, 0.01  # seconds a step; of a step
EVENTS = 20_000  # in one measurement of an event


class Empty(Callback):
    """Hooks that a user wrote and left empty."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Nothing."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Nothing."""


class OnlyEpochs(Callback):
    """A callback without hooks of a batch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Nothing."""


def model() -> Any:
    """A network of two layers."""
    made = torchkeras.Sequential([Dense(HIDDEN, activation="relu", input_shape=(FEATURES,)), Dense(CLASSES, activation="softmax")])
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, since only the time counts."""
    random = np.random.RandomState(0)
    return random.standard_normal((samples, FEATURES)).astype("float32"), random.randint(0, CLASSES, size=samples)


def events(callbacks: list[Any]) -> Callable[[], None]:
    """The two events of a step, fired again and again on an engine to which callbacks are bound."""
    trained = model()
    trained.fit(*data(BATCH), verbose=0)
    engine = trained.trainer
    engine.state.iteration, engine.state.epoch_length = 3, 10
    bind(engine, CallbackList(callbacks, trained, {}), trained._compiled, "train", None)

    def fire() -> None:
        for _ in range(EVENTS):
            engine._fire_event(Events.ITERATION_STARTED)
            engine._fire_event(Events.ITERATION_COMPLETED)

    return fire


class Timed(TensorBoard):
    """TensorBoard's callback, which notes how long its hooks take in the thread of training.

    Attributes:
        seconds: Of the hooks of epochs and batches, and of the begin and end of training: processor time.
    """

    def __init__(self, folder: str, **arguments: Any) -> None:
        super().__init__(folder, update_freq="epoch", profile_batch=0, **arguments)
        self.seconds = {"epochs": 0.0, "once": 0.0}
        for hook in HOOKS:
            method = getattr(self, hook)
            if self.listens(hook) and not does_nothing(method):
                setattr(self, hook, self._timed(method, "once" if hook in ("on_train_begin", "on_train_end") else "epochs"))

    def _timed(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        def hook(*args: Any) -> None:
            start = time.thread_time()
            method(*args)
            self.seconds[part] += time.thread_time() - start

        return hook


def logging(samples: int, epochs: int, **arguments: Any) -> tuple[float, float, float]:
    """Train with TensorBoard's callback: seconds of the training itself, and of the callback's hooks by epoch and once."""
    trained, (x, y) = model(), data(samples)
    trained.fit(x, y, batch_size=BATCH, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        board = Timed(folder, **arguments)
        start = time.thread_time()
        trained.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[board])
        took = time.thread_time() - start
    return took - sum(board.seconds.values()), board.seconds["epochs"], board.seconds["once"]


def main(arguments: list[str]) -> int:
    """Print microseconds a step, and shares of a step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks callbacks", description=__doc__)
    parser.add_argument("--samples", type=int, default=61878, help="in an epoch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a machine busy with other work")
    options = parser.parse_args(arguments)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    with harness.threads(1):
        fired = {"none": events([]), "no hooks of a batch": events([OnlyEpochs()]), "empty hooks": events([Empty()])}
        steps = harness.compare(fired, baseline="none", rounds=options.rounds, clock=clock)
    for name in ("no hooks of a batch", "empty hooks"):
        spread = steps.excess(name)
        low, median, high = (value / EVENTS * 1e6 for value in (spread.low, spread.median, spread.high))
        met = "met" if median <= EMPTY_GOAL * 1e6 else "missed"
        print(f"callback with {name:20} {median:+.2f} ({low:+.2f} to {high:+.2f}) us a step; goal of {EMPTY_GOAL * 1e6:.0f} us {met}")
    boards: dict[str, dict[str, Any]] = {
        "scalars": {"write_graph": False},
        "scalars and graph": {"write_graph": True},
        "histograms too": {"write_graph": False, "histogram_freq": 1},
    }
    for name, asked in boards.items():
        runs = [logging(options.samples, 5, **asked) for _ in range(options.rounds)]
        share = harness.Spread.of([each / training * 100 for training, each, _ in runs])
        once = harness.Spread.of([once * 1e3 for _, _, once in runs])
        met = "met" if share.median <= LOGGING_GOAL * 100 else "missed"
        print(f"TensorBoard each epoch, {name:18} {share} % of a step; goal of {LOGGING_GOAL * 100:.0f} % {met}; and {once} ms once a training")
    return 0
