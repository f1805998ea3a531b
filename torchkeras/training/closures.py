"""Losses and metrics that use symbolic tensors of the model's graph beside their arguments, as programs of Keras 1 and 2 write them.

There the loss was symbolic itself, so that `z_mean` of the graph could stand in it. Here the graph also computes such tensors, and the function
sees their values of the batch in their place.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.symbolic import KerasTensor


@layer_registry.add()
class KeepValue(Layer):
    """Remembers what passes through it, for a loss that uses it.

    Shape:
        inputs (any) -> the same
    """

    supports_masking = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__dict__["kept"] = [None]

    def call(self, inputs: Tensor) -> Tensor:
        self.__dict__["kept"][0] = inputs
        return inputs

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "kept": [None]}


class Place(NamedTuple):
    """Where a function finds a symbolic tensor: a mapping of globals or attributes and a key, or a cell."""

    holder: Any
    key: str | None
    tensor: KerasTensor

    def put(self, value: Any) -> None:
        """Let the function find another value there."""
        if self.key is None:
            self.holder.cell_contents = value
        else:
            self.holder[self.key] = value


def places_of(function: Any) -> list[Place]:
    """The symbolic tensors that a function, or one that it calls, finds in its globals, its closure or the object it is a method of.

    Args:
        function: Any callable; only functions and methods written in Python are looked into.
    """
    return list(_places(function, set()))


def _places(function: Any, seen: set[int]) -> Iterator[Place]:
    if isinstance(function, types.MethodType):
        own = vars(function.__self__) if hasattr(function.__self__, "__dict__") else {}
        yield from (Place(own, name, value) for name, value in own.items() if type(value) is KerasTensor and id(own) not in seen)
        seen.add(id(own))
        function = function.__func__
    if not isinstance(function, types.FunctionType) or id(function) in seen or function.__module__.partition(".")[0] == "torchkeras":
        return
    seen.add(id(function))
    names = function.__globals__
    found: list[tuple[Any, str | None, Any]] = [(names, name, names[name]) for name in sorted(set(_global_names(function.__code__))) if name in names]
    for cell in function.__closure__ or ():
        try:
            found.append((cell, None, cell.cell_contents))
        except ValueError:  # a cell that is not filled yet
            continue
    for holder, key, value in found:
        if type(value) is KerasTensor:
            if (id(holder), key) not in seen:
                seen.add((id(holder), key))  # type: ignore[arg-type]
                yield Place(holder, key, value)
        else:
            yield from _places(value, seen)


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from (one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def with_values(model: Any, structure: Any) -> Any:
    """Losses or metrics, those that use symbolic tensors of the model's graph made to use the batch's values.

    Args:
        model: A model with a graph.
        structure: What compile() was given: names, functions, objects, in lists and dicts.
    """
    if isinstance(structure, (list, tuple)):
        return type(structure)(with_values(model, part) for part in structure)
    if isinstance(structure, Mapping):
        return {key: with_values(model, part) for key, part in structure.items()}
    places = places_of(structure) if callable(structure) else []
    return _wrapped(model, structure, places) if places else structure


def _wrapped(model: Any, function: Callable[..., Any], places: list[Place]) -> Callable[..., Any]:
    keepers: dict[int, KeepValue] = {}
    for place in places:
        if id(place.tensor) not in keepers:
            keeper = keepers[id(place.tensor)] = KeepValue()
            model.compute_also([keeper(place.tensor)])
    kept = [(place, keepers[id(place.tensor)].__dict__["kept"]) for place in places]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            for place, value in kept:
                place.put(value[0])
            return function(*args, **kwargs)
        finally:
            for place, _ in kept:
                place.put(place.tensor)

    return call
