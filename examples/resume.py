"""A training that is killed again and again, and ends as if nothing had been.

Run it with `python examples/resume.py`. It starts itself as a training that keeps backups, kills that by SIGKILL in the middle of an epoch, starts it
again by the same command until it has ended, and compares weights and history with those of a run that was left alone: every bit is the same.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from torchkeras.callbacks import BackupAndRestore, Callback, EarlyStopping
from torchkeras.datasets import digits
from torchkeras.layers import Conv2D, Dense, Dropout, Flatten
from torchkeras.models import Sequential
from torchkeras.utils import set_random_seed


class Killed(Callback):
    """The process ends here, as if the power had failed."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder, kill_after=None, epochs=4):
    """The program: nothing in it but the callback tells that it may have been killed before."""
    set_random_seed(1)
    (x, y), _ = digits.load_data()
    x = x[..., None].astype("float32") / 16
    model = Sequential()
    model.add(Conv2D(8, 3, activation="relu", input_shape=(8, 8, 1)))
    model.add(Flatten())
    model.add(Dropout(0.3))
    model.add(Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [BackupAndRestore(folder / "backup", save_freq=5), EarlyStopping(patience=2)]
    if kill_after:
        callbacks.append(Killed(kill_after))
    history = model.fit(x, y, batch_size=64, epochs=epochs, validation_split=0.1, verbose=0, callbacks=callbacks)
    np.savez(folder / "result.npz", *model.get_weights(), *history.history.values())


def start(folder, *more):
    """Run the program in a process of its own; the code it ended with, negative for a signal."""
    return subprocess.run([sys.executable, __file__, "--train", str(folder), *more], check=False).returncode


def main():
    with tempfile.TemporaryDirectory() as place:
        alone, killed = Path(place, "alone"), Path(place, "killed")
        alone.mkdir()
        killed.mkdir()
        start(alone)
        for after in (37, 29):
            code = start(killed, "--kill-after", str(after))
            backups = sorted(path.name for path in (killed / "backup").iterdir())
            print(f"killed after {after} batches (exit code {code}); backups: {', '.join(backups)}")
        start(killed)
        with np.load(alone / "result.npz") as wanted, np.load(killed / "result.npz") as found:
            same = wanted.files == found.files and all(np.array_equal(wanted[name], found[name]) for name in wanted.files)
            loss = wanted[wanted.files[-4]]
        print(
            f"left alone, the losses were {np.round(loss, 4)}; killed twice, weights and history are",
            "the same in every bit" if same else "DIFFERENT",
        )
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="folder of one run")
    parser.add_argument("--kill-after", type=int, help="batches after which the run is killed")
    options = parser.parse_args()
    if options.train:
        train(options.train, options.kill_after)
    else:
        sys.exit(not main())
