"""MNIST: 70,000 handwritten digits, 28x28.

Source: Y. LeCun and C. Cortes, licence CC BY-SA 3.0; `keras.datasets.mnist`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from typing import Any, Final

from torchkeras.datasets.cache import ORIGIN, data_file
from torchkeras.datasets.idx import Arrays, load_folder
from torchkeras.datasets.npz import read_npz
from torchkeras.datasets.plain_pickle import UnsafeData, loads_plain

HASHES = ("731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1", "8a61469f7ea1b51cbae51d4f78837e45")

MAX_PICKLE: Final = 2**30  # bytes


def load_data(path: str | os.PathLike[str] = "mnist.npz", *, directory: str | os.PathLike[str] | None = None) -> tuple[Arrays, Arrays]:
    """The digits: `(x_train, y_train), (x_test, y_test)`.

    Args:
        path: Name of the file in ~/.keras/datasets, which is downloaded where it is not there, or the path of a file of your own: an `.npz`,
            or Keras 1's `.pkl` and `.pkl.gz`.
        directory: A folder with the four idx files of the original distribution, to be read instead: nothing is downloaded then.

    Shape:
        x: uint8 (60000 or 10000, 28, 28), 0 to 255; y: uint8 (images,), 0 to 9

    Raises:
        UnsafeData: a file that is broken or holds something else.
        RuntimeError: it could not be downloaded.

    Source: tf.keras 2.4.0 `mnist.load_data`.
    """
    if directory is not None:
        return load_folder(directory)
    if str(path).endswith((".pkl", ".pkl.gz")):
        return _load_pickle(path)
    arrays = read_npz(data_file(path, ORIGIN + "mnist.npz", HASHES), ("x_train", "y_train", "x_test", "y_test"))
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def _load_pickle(path: str | os.PathLike[str]) -> tuple[Arrays, Arrays]:
    found = data_file(path, "https://s3.amazonaws.com/img-datasets/mnist.pkl.gz")
    try:
        with open(found, "rb") as raw:
            file: Any = gzip.GzipFile(fileobj=raw) if found.endswith(".gz") else raw
            content = file.read(MAX_PICKLE + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnsafeData(f"{found} is broken: {error}.") from error
    if len(content) > MAX_PICKLE:
        raise UnsafeData(f"{found} is refused: it unpacks to more than {MAX_PICKLE} bytes.")
    data = loads_plain(content, found)
    if not isinstance(data, (tuple, list)) or len(data) != 2 or any(len(part) != 2 for part in data):
        raise UnsafeData(f"{found} does not hold (x_train, y_train), (x_test, y_test).")
    return tuple(tuple(part) for part in data)  # type: ignore[return-value]
