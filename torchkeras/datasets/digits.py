"""The 1,797 handwritten digits of the UCI repository, 8x8 pixels, shipped with the package: nothing is downloaded.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository (1998), https://doi.org/10.24432/C50P49, licence CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[Any], NDArray[Any]]

DATA = Path(__file__).parent / "data" / "digits.npz"


def load_data(test_split: float = 0.2, seed: int = 113) -> tuple[Arrays, Arrays]:
    """The digits, shuffled once by a fixed seed and split: `(x_train, y_train), (x_test, y_test)`.

    The order is that of `numpy.random.RandomState(seed).permutation(1797)`; the first 1,437 images are for
    training, the other 360 for testing, on every machine.

    Args:
        test_split: Fraction of the images for testing, above 0 and below 1.
        seed: Seed of the order before the split.

    Shape:
        x: uint8 (images, 8, 8), 0 is white and 16 is black; y: uint8 (images,), 0 to 9.

    Raises:
        ValueError: `test_split` is not between 0 and 1.

    Source: UCI Machine Learning Repository, see the module's docstring.
    """
    if not 0 < test_split < 1:
        raise ValueError(f"digits.load_data takes a test_split between 0 and 1, but got {test_split!r}.")
    with np.load(DATA, allow_pickle=False) as file:
        x, y = file["x"], file["y"]
    order = np.random.RandomState(seed).permutation(len(x))
    x, y = x[order], y[order]
    train = int(len(x) * (1 - test_split))
    return (x[:train], y[:train]), (x[train:], y[train:])
