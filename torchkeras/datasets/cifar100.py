"""CIFAR-100: 60,000 colour images of a hundred classes in twenty groups, 32x32.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009); `keras.datasets.cifar100`.
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np

from torchkeras.datasets.cifar import batches_folder, in_data_format, load_batch
from torchkeras.datasets.idx import Arrays

FOLDER: Final = "cifar-100-python"
ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
HASH = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[Arrays, Arrays]:
    """The images: `(x_train, y_train), (x_test, y_test)`, from ~/.keras/datasets or downloaded.

    Args:
        label_mode: "fine" for the hundred classes, "coarse" for the twenty groups.

    Shape:
        x: uint8 (50000 or 10000, 32, 32, 3), or (images, 3, 32, 32) where the global data format is "channels_first";
        y: int64 (images, 1)

    Raises:
        ValueError: another `label_mode`.
        UnsafeData: a file that is broken or holds something else.
        RuntimeError: it could not be downloaded.

    Source: tf.keras 2.4.0 `cifar100.load_data`.
    """
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f"cifar100.load_data takes label_mode='fine' or 'coarse', but got {label_mode!r}.")
    folder = batches_folder(FOLDER, ORIGIN, HASH, ("train", "test"))
    parts = []
    for name in ("train", "test"):
        images, labels = load_batch(os.path.join(folder, name), label_key=f"{label_mode}_labels")
        parts.append((in_data_format(images), np.array(labels, dtype="int64").reshape(-1, 1)))
    return parts[0], parts[1]
