"""Fashion-MNIST: 70,000 pictures of clothes, 28x28, in the form of MNIST.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", Zalando SE (2017), MIT licence; `keras.datasets.fashion_mnist`.
"""

from __future__ import annotations

import os
from typing import Final

from torchkeras.datasets.cache import ORIGIN, cache_folder, data_file
from torchkeras.datasets.idx import FILES, Arrays, load_folder

FOLDER: Final = "fashion-mnist"
# where Debian's and Ubuntu's package dataset-fashion-mnist puts the files
INSTALLED: Final = "/usr/share/datasets/fashion-mnist"
NAMES: Final = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load_data(*, directory: str | os.PathLike[str] | None = None) -> tuple[Arrays, Arrays]:
    """The pictures: `(x_train, y_train), (x_test, y_test)`; the names of the classes are in `NAMES`.

    They come from ~/.keras/datasets/fashion-mnist, else from the system's package `dataset-fashion-mnist` (Debian, Ubuntu), else they are
    downloaded.

    Args:
        directory: A folder with the four idx files, packed or not, to be read instead: nothing is downloaded then.

    Shape:
        x: uint8 (60000 or 10000, 28, 28), 0 to 255; y: uint8 (images,), 0 to 9

    Raises:
        UnsafeData: a file that is broken or holds something else.
        FileNotFoundError: one is missing in `directory`.
        RuntimeError: they could not be downloaded.

    Source: tf.keras 2.4.0 `fashion_mnist.load_data`.
    """
    if directory is not None:
        return load_folder(directory)
    for folder in (cache_folder(FOLDER), INSTALLED):
        if all(os.path.isfile(os.path.join(folder, f"{name}.gz")) for name, _ in FILES):
            return load_folder(folder)
    paths = [data_file(f"{name}.gz", f"{ORIGIN}{name}.gz", cache_subdir=os.path.join("datasets", FOLDER)) for name, _ in FILES]
    return load_folder(os.path.dirname(paths[0]))
