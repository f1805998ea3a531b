"""One script for one process and for many: a small convolutional net on handwritten digits.

    python examples/distributed_digits.py
    torchrun --nproc_per_node=2 examples/distributed_digits.py
    torchrun --nnodes=4 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_endpoint=HOST:29500 examples/distributed_digits.py

`batch_size` is that of the whole batch; each process computes its part. The first process alone prints and writes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchkeras import layers, models
from torchkeras.callbacks.base import is_chief
from torchkeras.datasets import digits


def pictures(x: np.ndarray) -> np.ndarray:
    """Digits of 8x8 pixels, enlarged to 24x24, as floats from 0 to 1."""
    return np.kron(x.reshape(-1, 8, 8, 1) / 16, np.ones((1, 3, 3, 1))).astype("float32")


def main() -> None:
    """Train, evaluate, and say how long an epoch took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="epochs (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="samples of the whole batch (default: %(default)s)")
    options = parser.parse_args()
    (x, y), (x_test, y_test) = digits.load_data()
    x = pictures(x)
    model = models.Sequential(
        [
            layers.Conv2D(16, 3, activation="relu", input_shape=(24, 24, 1)),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=options.batch_size, epochs=1, verbose=2)  # the first epoch also starts the processes
    began = time.perf_counter()
    model.fit(x, y, batch_size=options.batch_size, epochs=options.epochs, initial_epoch=1, verbose=2)
    seconds = (time.perf_counter() - began) / max(options.epochs - 1, 1)
    loss, accuracy = model.evaluate(pictures(x_test), y_test, batch_size=options.batch_size, verbose=0)
    if is_chief():  # evaluate was called by every process: each has its part of the data
        print(f"accuracy {accuracy:.3f}, loss {loss:.3f}, {seconds:.2f} s an epoch")


if __name__ == "__main__":
    main()
