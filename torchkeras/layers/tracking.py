"""Layers that user code keeps in lists, tuples and dicts belong to the layer around them, as in tf.keras.

Where all parts are modules, the attribute becomes an nn.ModuleList or nn.ModuleDict with the methods that a list or dict has beside
those, so that all of torch's tools see what is inside. A list or dict of other things stays what it is; it is watched, since
layers may be put into it later.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn


class LayerList(nn.ModuleList):
    """An nn.ModuleList with the rest of a list's methods."""

    def remove(self, module: nn.Module) -> None:
        """Take the first place of a module out."""
        del self[self.index(module)]

    def index(self, module: nn.Module) -> int:
        """The first place of a module."""
        return list(self).index(module)

    def count(self, module: nn.Module) -> int:
        """How often a module is in it."""
        return list(self).count(module)

    def copy(self) -> list[nn.Module]:
        """A plain list of the modules."""
        return list(self)

    def reverse(self) -> None:
        """Turn the order round."""
        self._replace(reversed(list(self)))

    def clear(self) -> None:
        """Take all modules out."""
        self._replace(())

    def sort(self, *, key: Callable[[nn.Module], Any], reverse: bool = False) -> None:
        """Order the modules by a key."""
        self._replace(sorted(self, key=key, reverse=reverse))

    def __radd__(self, other: Iterable[nn.Module]) -> list[nn.Module]:
        return [*other, *self]

    def _replace(self, modules: Iterable[nn.Module]) -> None:
        kept = list(modules)
        self._modules.clear()
        self._modules.update((str(number), module) for number, module in enumerate(kept))


class LayerDict(nn.ModuleDict):
    """An nn.ModuleDict with the rest of a dict's methods."""

    def get(self, key: str, default: Any = None) -> Any:
        """The module of a key, or a default."""
        return self._modules.get(key, default)

    def setdefault(self, key: str, default: nn.Module) -> nn.Module:
        """The module of a key, which is put in where it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[str, nn.Module]:
        """Take the last key and its module out."""
        key = next(reversed(self._modules))
        return key, self.pop(key)

    def copy(self) -> dict[str, nn.Module]:
        """A plain dict of the modules."""
        return dict(self.items())


def track(owner: nn.Module, name: str, value: Any) -> Any:
    """What to keep for an attribute: lists, tuples and dicts that show the layers in them to torch, all else as it is."""
    modules = _as_modules(value)
    if modules is not None:
        return modules
    if type(value) is list:
        return TrackedList(value, owner, name)
    if type(value) is dict:
        return TrackedDict(value, owner, name)
    if type(value) is tuple:
        _show(owner, name, value)
    return value


def _as_modules(value: Any) -> nn.Module | None:
    """A container of torch for a container of modules alone."""
    parts = value.values() if isinstance(value, dict) else value
    if not parts or not all(isinstance(part, nn.Module) for part in parts):
        return None
    if not isinstance(value, dict):
        return LayerList(value)
    fit = all(isinstance(key, str) and key and "." not in key and not hasattr(nn.ModuleDict, key) for key in value)
    return LayerDict(value) if fit else None


def _show(owner: nn.Module, name: str, parts: Iterable[Any]) -> None:
    """Show the modules among other things to torch, as children under a name beside the attribute's."""
    modules = [part for part in parts if isinstance(part, nn.Module)]
    owner._modules.pop(name, None)
    if modules or f"{name}_layers" in owner._modules:
        owner._modules[f"{name}_layers"] = nn.ModuleList(modules)


_OF_SEVERAL = ("extend", "update", "__iadd__")


def _watched(method_name: str, base: type) -> Callable[..., Any]:
    method = getattr(base, method_name)

    def changed(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if self._holds or method_name in _OF_SEVERAL or (args and isinstance(args[-1], nn.Module)):
            self._look()
        return result

    changed.__name__ = method_name
    return changed


class _Tracked:
    """A container that is an attribute of a layer and looks for layers in it after each change."""

    _owner: weakref.ref[nn.Module]
    _name: str
    _holds = False  # whether there are modules in it

    def _watch(self, owner: nn.Module, name: str) -> None:
        self._owner, self._name = weakref.ref(owner), name
        self._look()

    def _look(self) -> None:
        owner = self._owner()
        if owner is None:
            return
        parts: Any = self.values() if isinstance(self, dict) else self
        self._holds = any(isinstance(part, nn.Module) for part in parts)
        modules = _as_modules(self)
        if modules is None:
            _show(owner, self._name, parts)
        elif owner.__dict__.get(self._name) is self or self._name in owner._modules:  # nothing else took the attribute's place
            owner.__dict__.pop(self._name, None)
            owner._modules[self._name] = modules


class TrackedList(_Tracked, list):
    """A list that becomes an nn.ModuleList once there are layers in it, and nothing else."""

    def __init__(self, values: list[Any], owner: nn.Module, name: str) -> None:
        super().__init__(values)
        self._watch(owner, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (list, (list(self),))

    append = _watched("append", list)
    extend = _watched("extend", list)
    insert = _watched("insert", list)
    remove = _watched("remove", list)
    pop = _watched("pop", list)
    clear = _watched("clear", list)
    reverse = _watched("reverse", list)
    __setitem__ = _watched("__setitem__", list)
    __delitem__ = _watched("__delitem__", list)
    __iadd__ = _watched("__iadd__", list)


class TrackedDict(_Tracked, dict):
    """A dict that becomes an nn.ModuleDict once there are layers in it, and nothing else."""

    def __init__(self, values: dict[Any, Any], owner: nn.Module, name: str) -> None:
        super().__init__(values)
        self._watch(owner, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (dict, (dict(self),))

    __setitem__ = _watched("__setitem__", dict)
    __delitem__ = _watched("__delitem__", dict)
    pop = _watched("pop", dict)
    popitem = _watched("popitem", dict)
    clear = _watched("clear", dict)
    update = _watched("update", dict)
    setdefault = _watched("setdefault", dict)
