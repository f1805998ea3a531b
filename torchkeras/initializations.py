"""Keras 1's module `initializations`: functions that give a variable of a shape.

Source: Keras 1.2.2 `keras.initializations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras import backend as K
from torchkeras import initializers
from torchkeras.initializers import get

__all__ = [
    "get",
    "get_fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_uniform",
    "normal",
    "one",
    "orthogonal",
    "uniform",
    "zero",
]


def get_fans(shape: Any, dim_ordering: str = "th") -> tuple[float, float]:
    """Numbers of inputs and outputs of a weight; kernels for channels first have them at the front.

    Args:
        shape: Of the weight.
        dim_ordering: "th" or "tf".
    """
    if dim_ordering == "th" and len(shape) in (4, 5):
        shape = (*shape[2:], shape[1], shape[0])
    return initializers.compute_fans(shape)


def _variable(name: str) -> Callable[..., Any]:
    def make(shape: Any, name: str | None = None, dim_ordering: str = "th") -> Any:
        return K.variable(initializers.get(kind)(tuple(shape)), name=name)

    kind = {"zero": "zeros", "one": "ones"}.get(name, name)
    make.__name__ = name
    make.__doc__ = f"A variable that starts as `{kind}` does."
    return make


def uniform(shape: Any, scale: float = 0.05, name: str | None = None, dim_ordering: str = "th") -> Any:
    """A variable that starts uniform between -scale and scale."""
    return K.variable(initializers.RandomUniform(-scale, scale)(tuple(shape)), name=name)


def normal(shape: Any, scale: float = 0.05, name: str | None = None, dim_ordering: str = "th") -> Any:
    """A variable that starts normal with the deviation `scale`."""
    return K.variable(initializers.RandomNormal(0.0, scale)(tuple(shape)), name=name)


def identity(shape: Any, scale: float = 1, name: str | None = None, dim_ordering: str = "th") -> Any:
    """A square matrix that starts as `scale` times the identity."""
    return K.variable(initializers.Identity(scale)(tuple(shape)), name=name)


def orthogonal(shape: Any, scale: float = 1.1, name: str | None = None, dim_ordering: str = "th") -> Any:
    """A variable that starts as an orthogonal matrix times `scale`."""
    return K.variable(initializers.Orthogonal(scale)(tuple(shape)), name=name)


zero = _variable("zero")
one = _variable("one")
glorot_uniform = _variable("glorot_uniform")
glorot_normal = _variable("glorot_normal")
he_uniform = _variable("he_uniform")
he_normal = _variable("he_normal")
lecun_uniform = _variable("lecun_uniform")
