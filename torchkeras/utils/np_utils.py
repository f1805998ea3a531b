"""Labels to one-hot rows, rows to unit length, and the small array functions of Keras 1.

Source: `keras.utils.np_utils` (Keras 1.2.2, 2.2.4), `tf.keras.utils` (2.4.0).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from torchkeras import absent
from torchkeras.generations import choose


def to_categorical(y: ArrayLike, num_classes: int | None = None, dtype: DTypeLike = "float32", *, nb_classes: int | None = None) -> NDArray[Any]:
    """Class numbers as one-hot rows, for categorical_crossentropy.

    Args:
        y: Class numbers from 0.
        num_classes: Number of classes; `None`: the largest class number and one.
        dtype: Type of the result.
        nb_classes: Keras 1's name of `num_classes`.

    Shape:
        y (...) or (..., 1) -> (..., num_classes); under Keras 1.2.2 always two axes.

    Raises:
        ValueError: a class number below 0 or beyond `num_classes`, or no labels and no `num_classes`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `to_categorical`.
    """
    if nb_classes is not None:
        warnings.warn("to_categorical(nb_classes=...) is the spelling of Keras 1: write num_classes=...", DeprecationWarning, stacklevel=2)
        num_classes = nb_classes
    labels = np.asarray(y).astype(np.int64)
    shape = labels.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    labels = labels.ravel()
    if not num_classes:
        if not labels.size:
            raise ValueError("to_categorical got no labels to count the classes by. Give num_classes.")
        num_classes = int(labels.max()) + 1
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"to_categorical takes class numbers from 0 to num_classes - 1 = {num_classes - 1}, but got {wrong}.")
    rows = np.zeros((labels.size, num_classes), dtype=dtype)
    rows[np.arange(labels.size), labels] = 1
    return rows if choose("to_categorical.flat") else rows.reshape(*shape, num_classes)


def normalize(x: ArrayLike, axis: int = -1, order: int | float = 2) -> NDArray[Any]:
    """`x` divided by its norm along `axis`; what has the norm 0 stays 0.

    Args:
        x: An array.
        axis: Axis along which the norm is taken.
        order: Order of the norm: 2 is the length, 1 the sum of magnitudes.

    Shape:
        (...) -> (...)

    Source: Keras 2.2.4 and tf.keras 2.4.0 `normalize`.
    """
    values = np.asarray(x)
    norms = np.atleast_1d(np.linalg.norm(values, order, axis))
    norms[norms == 0] = 1
    return values / np.expand_dims(norms, axis)


def probas_to_classes(y_pred: NDArray[Any]) -> NDArray[Any]:
    """Class numbers of predicted probabilities: the likeliest of many, or whether the only one is above one half.

    Shape: (batch, classes) -> (batch,)

    Source: Keras 1.2.2 `np_utils.probas_to_classes`.
    """
    if y_pred.ndim > 1 and y_pred.shape[1] > 1:
        return categorical_probas_to_classes(y_pred)
    return (y_pred.reshape(len(y_pred)) > 0.5).astype(np.int64)


def categorical_probas_to_classes(p: NDArray[Any]) -> NDArray[Any]:
    """The likeliest class of each row.

    Source: Keras 1.2.2 `np_utils.categorical_probas_to_classes`.
    """
    return np.argmax(p, axis=1)


def accuracy(p: ArrayLike, y: ArrayLike) -> float:
    """Fraction of the entries of `p` that equal those of `y`.

    Source: Keras 1.2.2 `np_utils.accuracy`.
    """
    return float(np.mean(np.asarray(p) == np.asarray(y)))


def binary_logloss(p: ArrayLike, y: ArrayLike) -> Any:
    """Mean over the rows of the negative log-likelihood of 0/1 labels `y` under the probabilities `p`.

    Shape: (batch, ...) and (batch, ...) -> (...)

    Source: Keras 1.2.2 `np_utils.binary_logloss`.
    """
    probability = np.clip(np.asarray(p, dtype=np.float64), 1e-15, 1 - 1e-15)
    labels = np.asarray(y)
    return -(labels * np.log(probability) + (1 - labels) * np.log(1 - probability)).sum(axis=0) / len(labels)


def multiclass_logloss(p: Sequence[Sequence[float]], y: Sequence[int]) -> float:
    """Mean negative log-probability of the right classes; class numbers in `y` count from 1.

    Source: Keras 1.2.2 `np_utils.multiclass_logloss`.
    """
    return -float(np.mean([np.log(row[label - 1]) for row, label in zip(p, y, strict=True)]))


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
