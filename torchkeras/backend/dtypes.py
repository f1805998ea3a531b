"""Types of tensors, under Keras' names."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from torchkeras import config
from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.random import as_dtype


def dtype(x: Any) -> str:
    """Name of the type of a tensor, array, number or shape, such as "float32"."""
    if not isinstance(x, Tensor):
        x = as_tensor(x)
    return str(x.dtype).removeprefix("torch.")


@recorded
def cast(x: Any, dtype: Any) -> Tensor:
    """`x` in another type; floats lose their fraction on the way to integers, and anything but 0 is `True`.

    Args:
        x: A tensor, array or number.
        dtype: Name of a type, a torch dtype or a NumPy dtype.

    Raises:
        ValueError: no type has that name.
    """
    return as_tensor(x).to(as_dtype(dtype))


@recorded
def cast_to_floatx(x: Any) -> Any:
    """A tensor or an array in the type of `floatx()`; lists and numbers become arrays.

    With the type bfloat16, which NumPy lacks, the result is always a tensor.
    """
    if isinstance(x, Tensor) or config.floatx() == "bfloat16":
        return cast(x, config.floatx())
    return np.asarray(x, dtype=config.floatx())
