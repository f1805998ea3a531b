"""Values of Keras 1's arguments in today's form: data formats, initializers, regularizers and constraints as its configs write them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

Values = Callable[[Any], Any]
INPUT_LENGTH: Final = "input_length"
DIM_ORDERINGS: Final[dict[Any, str | None]] = {"th": "channels_first", "tf": "channels_last", "default": None}
IMPLEMENTATIONS: Final[dict[Any, int]] = {"cpu": 0, "mem": 1, "gpu": 2}
_INITIALIZERS: Final[dict[Any, str]] = {"zero": "zeros", "one": "ones"}
_REGULARIZERS: Final = ("WeightRegularizer", "ActivityRegularizer", "L1L2Regularizer")
_CONSTRAINT_WORDS: Final = {"m": "max_value", "low": "min_value", "high": "max_value"}


def plain(value: Any) -> Any:
    """As it is."""
    return value


def data_format(value: Any) -> Any:
    """`dim_ordering` as `data_format`.

    Raises:
        ValueError: neither "th", "tf" nor "default".
    """
    if value in DIM_ORDERINGS:
        return DIM_ORDERINGS[value]
    if value in ("channels_first", "channels_last", None):
        return value
    raise ValueError(f"dim_ordering takes 'th' (channels first), 'tf' (channels last) or 'default', but got {value!r}.")


def padding(value: Any) -> Any:
    """`border_mode` as `padding`.

    Raises:
        ValueError: a mode that only Theano knew.
    """
    if value in ("full", "half"):
        raise ValueError(
            f"border_mode={value!r} was for Theano alone. "
            + (
                "'same' is the same for kernels of odd size and stride 1."
                if value == "half"
                else "Put ZeroPadding before a layer with border_mode='valid'."
            )
        )
    return value


def implementation(value: Any) -> Any:
    """`consume_less` as `implementation`: "cpu" 0, "mem" 1, "gpu" 2."""
    return IMPLEMENTATIONS.get(value, value)


def initializer(value: Any) -> Any:
    """A name, or a function `init(shape, name=None)` that gives a variable, as an initializer of today."""
    if isinstance(value, str):
        return _INITIALIZERS.get(value, value)
    if not callable(value) or inspect.isclass(value) or hasattr(value, "get_config"):
        return value
    try:
        takes = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return value
    if "dtype" in takes or any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return value

    @functools.wraps(value)
    def of_keras1(shape: Any, dtype: Any = None) -> torch.Tensor:
        made = value(shape, name=None) if "name" in takes else value(shape)
        return torch.as_tensor(made).detach().as_subclass(torch.Tensor).clone()

    return of_keras1


def regularizer(value: Any) -> Any:
    """`{"name": "L1L2Regularizer", "l1": ..., "l2": ...}` in the form of today."""
    if not isinstance(value, Mapping) or "name" not in value:
        return value
    rest = {word: part for word, part in value.items() if word != "name"}
    return {"class_name": "L1L2" if value["name"] in _REGULARIZERS else value["name"], "config": rest}


def constraint(value: Any) -> Any:
    """`{"name": "MaxNorm", "m": 2, "axis": 0}` in the form of today."""
    if not isinstance(value, Mapping) or "name" not in value:
        return value
    return {"class_name": value["name"], "config": {_CONSTRAINT_WORDS.get(word, word): part for word, part in value.items() if word != "name"}}
