"""Types of tensors, under Keras' names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
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


def standardize_dtype(dtype: Any) -> str:
    """Name of a type given as a name, torch dtype, NumPy dtype or Python type; `floatx()` for `None`.

    Source: Keras 3 `keras.backend.standardize_dtype`.
    """
    aliases: dict[Any, Any] = {int: "int64", float: config.floatx(), bool: "bool", "int": "int64", "float": config.floatx()}
    return str(as_dtype(aliases.get(dtype, dtype))).removeprefix("torch.")


def is_float_dtype(dtype: Any) -> bool:
    """Whether a type is one of floats. Source: Keras 3."""
    return as_dtype(standardize_dtype(dtype)).is_floating_point


def is_int_dtype(dtype: Any) -> bool:
    """Whether a type is one of integers; bool is none. Source: Keras 3."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


def result_type(*dtypes: Any) -> str:
    """Type of the result where operands of several types meet: an integer and a float give the float's.

    Args:
        *dtypes: Types as `standardize_dtype` takes them. Python's `int`, `float` and `bool` are weak: they yield to a
            type of their own kind.

    Source: Keras 3 `keras.backend.result_type`.
    """
    if not dtypes:
        return config.floatx()
    weak = [one for one in dtypes if one in (int, float, bool, "int", "float")]
    strong = [as_dtype(standardize_dtype(one)) for one in dtypes if one not in (int, float, bool, "int", "float")]
    if not strong:
        ranked = max(("bool", "int32", "float32").index("bool" if one is bool else "int32" if one in (int, "int") else "float32") for one in weak)
        return config.floatx() if ranked == 2 else ("bool", "int32")[ranked]
    found = strong[0]
    for other in strong[1:]:
        found = torch.promote_types(found, other)
    for one in weak:
        if one in (float, "float") and not found.is_floating_point:
            found = config.float_dtype()
        elif one in (int, "int") and found == torch.bool:
            found = torch.int32
    if found == torch.int64 and torch.float32 in strong:
        found = torch.float32
    return str(found).removeprefix("torch.")
