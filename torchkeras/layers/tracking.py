"""Layers that user code keeps in lists and dicts belong to the layer around them, as in tf.keras.

The attribute stays a Python list or dict; an nn.ModuleList or nn.ModuleDict of the same name mirrors it among the children, so that
parameters, `state_dict`, `to()` and hooks see the layers inside.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import nn


def track(owner: nn.Module, name: str, value: Any) -> Any:
    """What to keep for an attribute: lists and dicts that follow the layers put into them, all else as it is."""
    if type(value) is list:
        return TrackedList(value, owner, name)
    if type(value) is dict:
        return TrackedDict(value, owner, name)
    if type(value) is tuple and any(isinstance(part, nn.Module) for part in value):
        owner._modules[name] = nn.ModuleList(part for part in value if isinstance(part, nn.Module))
    return value


def _mirrored(method_name: str, base: type) -> Callable[..., Any]:
    method = getattr(base, method_name)

    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        self._mirror()
        return result

    changed.__name__ = method_name
    return changed


class TrackedList(list):
    """A list whose layers are children of the layer that it is an attribute of."""

    def __init__(self, values: list[Any], owner: nn.Module, name: str) -> None:
        super().__init__(values)
        self._owner, self._name = weakref.ref(owner), name
        self._mirror()

    def _mirror(self) -> None:
        owner = self._owner()
        if owner is None:
            return
        modules = [part for part in self if isinstance(part, nn.Module)]
        if modules or self._name in owner._modules:
            owner._modules[self._name] = nn.ModuleList(modules)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (list, (list(self),))

    append = _mirrored("append", list)
    extend = _mirrored("extend", list)
    insert = _mirrored("insert", list)
    remove = _mirrored("remove", list)
    pop = _mirrored("pop", list)
    clear = _mirrored("clear", list)
    reverse = _mirrored("reverse", list)
    __setitem__ = _mirrored("__setitem__", list)
    __delitem__ = _mirrored("__delitem__", list)
    __iadd__ = _mirrored("__iadd__", list)


class TrackedDict(dict):
    """A dict whose layers are children of the layer that it is an attribute of."""

    def __init__(self, values: dict[Any, Any], owner: nn.Module, name: str) -> None:
        super().__init__(values)
        self._owner, self._name = weakref.ref(owner), name
        self._mirror()

    def _mirror(self) -> None:
        owner = self._owner()
        if owner is None:
            return
        modules = {str(key).replace(".", "_"): part for key, part in self.items() if isinstance(part, nn.Module)}
        if modules or self._name in owner._modules:
            owner._modules[self._name] = nn.ModuleDict(modules)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (dict, (dict(self),))

    __setitem__ = _mirrored("__setitem__", dict)
    __delitem__ = _mirrored("__delitem__", dict)
    pop = _mirrored("pop", dict)
    popitem = _mirrored("popitem", dict)
    clear = _mirrored("clear", dict)
    update = _mirrored("update", dict)
    setdefault = _mirrored("setdefault", dict)
