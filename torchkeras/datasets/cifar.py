"""What CIFAR-10 and CIFAR-100 share: batches of 32x32 colour images in pickles, read as plain data.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009).
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from torchkeras.config import image_data_format
from torchkeras.datasets.cache import cache_folder
from torchkeras.datasets.plain_pickle import UnsafeData, load_plain
from torchkeras.utils.download import get_file


def load_batch(fpath: str | os.PathLike[str], label_key: str = "labels") -> tuple[NDArray[np.uint8], list[int]]:
    """Images and labels of one file.

    Args:
        fpath: The file.
        label_key: Which labels.

    Shape:
        images: uint8 (images, 3, 32, 32); labels: a list

    Raises:
        UnsafeData: a file that is broken or holds something else.

    Source: tf.keras 2.4.0 `cifar.load_batch`.
    """
    with open(fpath, "rb") as file:
        content = load_plain(file, str(fpath))
    if not isinstance(content, dict):
        raise UnsafeData(f"{fpath} holds no dictionary.")
    values = {key.decode("utf8", "replace") if isinstance(key, bytes) else key: value for key, value in content.items()}
    data, labels = values.get("data"), values.get(label_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        raise UnsafeData(f"{fpath} holds no images of 32x32 in three colours.")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(label) is int for label in labels):
        raise UnsafeData(f"{fpath} does not hold one of the {label_key!r} for each of its {len(data)} images.")
    return data.reshape(-1, 3, 32, 32), labels


def batches_folder(name: str, origin: str, file_hash: str, files: tuple[str, ...]) -> str:
    """The folder with the batches: in the cache, or downloaded and unpacked there."""
    folder = cache_folder(name)
    if all(os.path.isfile(os.path.join(folder, file)) for file in files):
        return folder
    return get_file(name, origin, untar=True, file_hash=file_hash)


def in_data_format(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images with their channels where the global setting has them; a view."""
    return images.transpose(0, 2, 3, 1) if image_data_format() == "channels_last" else images
