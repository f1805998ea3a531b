"""Keras' `utils.generic_utils`: the progress bar, names to objects, and small functions that ported code calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torchkeras.registry import (
    CustomObjectScope,
    Registry,
    custom_object_scope,
    deserialize_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_object,
)
from torchkeras.utils.progress import Progbar

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "custom_object_scope",
    "deserialize_keras_object",
    "func_dump",
    "func_load",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "has_arg",
    "is_all_none",
    "make_tuple",
    "object_list_uid",
    "register_keras_serializable",
    "serialize_keras_object",
    "slice_arrays",
    "to_list",
    "transpose_shape",
    "unpack_singleton",
]


def serialize_keras_object(instance: Any) -> Any:
    """Config of an object: `None`, a function's name, or `{"class_name": ..., "config": ...}`.

    Raises:
        ValueError: neither a named function nor an object with `get_config`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `serialize_keras_object`.
    """
    return serialize_object(instance)


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """The object that a name or a config stands for.

    Args:
        identifier: `None`, a name, or `{"class_name", "config"}`.
        module_objects: Names that are known beside the user's own; nothing else is looked up or imported.
        custom_objects: The caller's own objects by name.
        printable_module_name: What the object is called in errors.

    Raises:
        ValueError: an unknown name or a config of the wrong form.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `deserialize_keras_object`.
    """
    registry = Registry(printable_module_name)
    for name, thing in (module_objects or {}).items():
        registry.alias(name, thing)
    if isinstance(identifier, str):
        found = registry.find(identifier, custom_objects)
        return found() if inspect.isclass(found) else found
    return deserialize_object(identifier, registry, custom_objects)


def has_arg(fn: Callable[..., Any], name: str, accept_all: bool = False) -> bool:
    """Whether `fn` can be called with the keyword `name`.

    Args:
        fn: A callable.
        name: The argument's name.
        accept_all: Count a `**kwargs` of `fn` as taking it.

    Source: Keras 2.2.4 `has_arg`.
    """
    parameters = inspect.signature(fn).parameters
    if name in parameters:
        return parameters[name].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return accept_all and any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def func_dump(func: Callable[..., Any]) -> Any:
    """Refused: Keras writes a function's bytecode into a file here.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(
        f"func_dump({func!r}) is refused: bytecode in a file runs on whoever loads it, and only on the same Python. "
        "Give the function a name and pass it as custom_objects={name: function} on loading."
    )


def func_load(code: Any, defaults: Any = None, closure: Any = None, globs: Any = None) -> Callable[..., Any]:
    """Refused: Keras runs bytecode out of a file here.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(
        "func_load is refused: it would run bytecode that came out of a file. Define the function in your program and "
        "pass it as custom_objects={name: function} on loading."
    )


def to_list(x: Any, allow_tuple: bool = False) -> list[Any]:
    """`x` itself where it is a list, else a list of it alone; with `allow_tuple` a tuple becomes a list."""
    if isinstance(x, list):
        return x
    if allow_tuple and isinstance(x, tuple):
        return list(x)
    return [x]


def make_tuple(*args: Any) -> tuple[Any, ...]:
    """The arguments as a tuple (Keras 1)."""
    return args


def unpack_singleton(x: Sequence[Any]) -> Any:
    """The only element of a sequence of length 1; any other sequence as it is."""
    return x[0] if len(x) == 1 else x


def object_list_uid(object_list: Any) -> str:
    """A text that identifies these very objects while they live."""
    return ", ".join(str(id(thing)) for thing in to_list(object_list))


def is_all_none(iterable_or_element: Any) -> bool:
    """Whether the element, or every element of the list or tuple, is `None`."""
    return all(element is None for element in to_list(iterable_or_element, allow_tuple=True))


def slice_arrays(arrays: Any, start: Any = None, stop: int | None = None) -> Any:
    """The same rows of an array or of each array in a list; `None` stays `None`.

    Args:
        arrays: An array, a list of arrays, or `None`.
        start: First row, or the row numbers wanted (then `stop` is not used).
        stop: The row behind the last.

    Raises:
        ValueError: row numbers together with `stop`.

    Source: Keras 2.2.4 `slice_arrays`.
    """
    if arrays is None:
        return [None]
    rows: Any = slice(start, stop)
    if hasattr(start, "__len__"):
        if stop is not None:
            raise ValueError(f"slice_arrays takes row numbers or a range, but got row numbers and stop={stop!r}.")
        rows = start.tolist() if hasattr(start, "tolist") else list(start)
    if isinstance(arrays, list):
        return [None if array is None else array[rows] for array in arrays]
    return arrays[rows]


def transpose_shape(shape: Iterable[Any], target_format: str, spatial_axes: Iterable[int]) -> Any:
    """A channels-last shape in the order of `target_format`.

    Args:
        shape: Tuple or list; channels on its last axis.
        target_format: "channels_first" or "channels_last".
        spatial_axes: Positions of the spatial axes in `shape`.

    Raises:
        ValueError: another format.

    Source: Keras 2.2.4 `transpose_shape`.
    """
    before = list(shape)
    spatial = list(spatial_axes)
    if target_format == "channels_first":
        moved = [*before[: spatial[0]], before[-1], *(before[axis] for axis in spatial)]
    elif target_format == "channels_last":
        moved = before
    else:
        raise ValueError(f"transpose_shape takes target_format 'channels_first' or 'channels_last', but got {target_format!r}.")
    return tuple(moved) if isinstance(shape, tuple) else moved
