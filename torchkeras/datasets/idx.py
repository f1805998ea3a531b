"""Files in the idx format of MNIST: a magic number, the sizes of the axes, then bytes.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from torchkeras.datasets.plain_pickle import UnsafeData

Arrays = tuple[NDArray[Any], NDArray[Any]]
BYTES: Final = 8  # the code of unsigned bytes
MAX_BYTES: Final = 2**31
FILES: Final = (
    ("train-images-idx3-ubyte", 3),
    ("train-labels-idx1-ubyte", 1),
    ("t10k-images-idx3-ubyte", 3),
    ("t10k-labels-idx1-ubyte", 1),
)


def read_idx(path: str | os.PathLike[str], axes: int) -> NDArray[np.uint8]:
    """The array of an idx file of bytes, packed by gzip or not.

    Args:
        path: The file.
        axes: Number of axes that it must have.

    Raises:
        UnsafeData: another format, another number of axes, or another length than the sizes say.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            head = file.read(4 + 4 * axes)
            if head[:4] != bytes([0, 0, BYTES, axes]) or len(head) < 4 + 4 * axes:
                raise UnsafeData(f"{path} is no idx file of bytes with {axes} axes: it starts with {head[:4].hex(' ')}.")
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise UnsafeData(f"{path} says that it has the shape {shape}, which is too much.")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnsafeData(f"{path} is broken: {error}.") from error
    if len(content) != size:
        raise UnsafeData(f"{path} says that it has the shape {shape}, {size} bytes, but has {'more' if len(content) > size else len(content)}.")
    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)


def load_folder(folder: str | os.PathLike[str]) -> tuple[Arrays, Arrays]:
    """`(x_train, y_train), (x_test, y_test)` of the four idx files in a folder, each with or without .gz.

    Raises:
        FileNotFoundError: one is missing.
        UnsafeData: one is broken, or there are not as many labels as images.
    """
    arrays = []
    for name, axes in FILES:
        path = next((path for ending in (".gz", "") if (path := Path(folder) / (name + ending)).is_file()), None)
        if path is None:
            raise FileNotFoundError(f"There is neither {name}.gz nor {name} in {folder}.")
        arrays.append(read_idx(path, axes))
    x_train, y_train, x_test, y_test = arrays
    if len(x_train) != len(y_train) or len(x_test) != len(y_test):
        raise UnsafeData(f"The files in {folder} have {len(x_train)} + {len(x_test)} images, but {len(y_train)} + {len(y_test)} labels.")
    return (x_train, y_train), (x_test, y_test)
