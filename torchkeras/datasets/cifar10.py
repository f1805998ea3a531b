"""CIFAR-10: 60,000 colour images of ten classes, 32x32.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009); `keras.datasets.cifar10`.
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np

from torchkeras.datasets.cifar import batches_folder, in_data_format, load_batch
from torchkeras.datasets.idx import Arrays

FOLDER: Final = "cifar-10-batches-py"
ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
HASH = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
BATCHES: Final = tuple(f"data_batch_{number}" for number in range(1, 6))


def load_data() -> tuple[Arrays, Arrays]:
    """The images: `(x_train, y_train), (x_test, y_test)`, from ~/.keras/datasets or downloaded.

    Shape:
        x: uint8 (50000 or 10000, 32, 32, 3), or (images, 3, 32, 32) where the global data format is "channels_first";
        y: uint8 (images, 1), 0 to 9

    Raises:
        UnsafeData: a file that is broken or holds something else.
        RuntimeError: it could not be downloaded.

    Source: tf.keras 2.4.0 `cifar10.load_data`.
    """
    folder = batches_folder(FOLDER, ORIGIN, HASH, (*BATCHES, "test_batch"))
    parts = [load_batch(os.path.join(folder, name)) for name in BATCHES]
    x_train = np.concatenate([images for images, _ in parts])
    y_train = np.concatenate([np.array(labels, dtype="uint8") for _, labels in parts])
    x_test, labels = load_batch(os.path.join(folder, "test_batch"))
    y_test = np.array(labels, dtype="uint8")
    return (in_data_format(x_train), y_train.reshape(-1, 1)), (in_data_format(x_test), y_test.reshape(-1, 1))
