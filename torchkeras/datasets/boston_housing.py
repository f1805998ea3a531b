"""Boston housing: 506 districts of the 1970s with 13 figures each, and the median price of a house.

The figures include one on the share of Black residents, built on the idea that it moves prices; scikit-learn has withdrawn the data for
that. It is here so that old programs run.

Source: D. Harrison and D. Rubinfeld (1978), StatLib; `keras.datasets.boston_housing`.
"""

from __future__ import annotations

import os

import numpy as np

from torchkeras.datasets.cache import ORIGIN, data_file
from torchkeras.datasets.idx import Arrays
from torchkeras.datasets.npz import read_npz
from torchkeras.datasets.word_lists import generator

HASHES = ("f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",)


def load_data(path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> tuple[Arrays, Arrays]:
    """The districts: `(x_train, y_train), (x_test, y_test)`.

    Args:
        path: Name of the file in ~/.keras/datasets, which is downloaded where it is not there, or the path of a file of your own.
        test_split: Fraction of the districts for testing, from 0 and below 1.
        seed: Seed of the order.

    Shape:
        x: float64 (districts, 13); y: float64 (districts,), thousands of dollars

    Raises:
        ValueError: `test_split` is not from 0 and below 1.
        UnsafeData: a file that is broken or holds something else.
        RuntimeError: it could not be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `boston_housing.load_data`.
    """
    if not 0 <= test_split < 1:
        raise ValueError(f"boston_housing.load_data takes a test_split from 0 and below 1, but got {test_split!r}.")
    arrays = read_npz(data_file(path, ORIGIN + "boston_housing.npz", HASHES), ("x", "y"))
    rows = np.arange(len(arrays["x"]))
    generator(seed).shuffle(rows)
    x, y = arrays["x"][rows], arrays["y"][rows]
    border = int(len(x) * (1 - test_split))
    return (x[:border], y[:border]), (x[border:], y[border:])
