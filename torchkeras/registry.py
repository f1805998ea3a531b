"""Names to objects and back: closed tables, the user's own objects, configs.

Names resolve only from the closed table of their kind and from objects that the user registered or
passed; nothing is ever imported because a name says so.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_custom_objects: dict[str, Any] = {}


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """End of an error message: the known names nearest to `name`, or all of them where none is near."""
    names = sorted(set(known))
    by_lower = {candidate.lower(): candidate for candidate in names}
    close = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)]
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known are: {', '.join(names)}."


class Registry:
    """Closed table of one kind of object ("activation", "layer", ...)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._objects: dict[str, Any] = {}
        self._later: dict[str, str] = {}

    def add(self, *names: str) -> Callable[[T], T]:
        """Decorator: register under the object's own name and under `names`."""

        def register(thing: T) -> T:
            for name in (thing.__name__, *names):  # type: ignore[attr-defined]
                self._objects[name] = thing
            return thing

        return register

    def alias(self, name: str, thing: Any) -> None:
        """Register `thing` under one more name."""
        self._objects[name] = thing

    def later(self, room: str, *names: str) -> None:
        """Names that a room of the library registers when it is imported; it is, once one of them is asked for."""
        self._later.update(dict.fromkeys(names, room))

    def names(self) -> list[str]:
        """All registered names."""
        return sorted(self._objects)

    def __contains__(self, name: str) -> bool:
        return name in self._objects

    def find(self, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object called `name`: the caller's, the user's, then the library's.

        Raises:
            ValueError: nothing has that name; the message gives the nearest names.
        """
        if not isinstance(name, str):
            raise ValueError(f"The name of a {self.kind} must be a text, but got {name!r:.80}.")
        if name in self._later and name not in self._objects:
            importlib.import_module(self._later[name])
        for table in (custom_objects or {}, _custom_objects, self._objects):
            if name in table:
                return table[name]
        raise ValueError(
            f"Unknown {self.kind}: {name!r}. {nearest(name, self._objects)} An object of your own goes into custom_objects={{{name!r}: ...}}."
        )


def get_custom_objects() -> dict[str, Any]:
    """The global table of the user's own objects, by name; change it in place."""
    return _custom_objects


@contextmanager
def custom_object_scope(*args: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Make objects known by name inside a `with` block.

    Args:
        *args: Mappings from name to class or function.
    """
    before = dict(_custom_objects)
    for objects in args:
        _custom_objects.update(objects)
    try:
        yield _custom_objects
    finally:
        _custom_objects.clear()
        _custom_objects.update(before)


CustomObjectScope = custom_object_scope


def above(room: str, name: str) -> Callable[..., Any]:
    """A function of a room further up, imported when it is first called: the layers' way to the gate for configs, which knows them."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(room), name)(*args, **kwargs)

    return call


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Decorator: make a class or function known as `package>name` in configs and files.

    Raises:
        ValueError: a class without `get_config`.
    """

    def register(thing: T) -> T:
        if inspect.isclass(thing) and not hasattr(thing, "get_config"):
            raise ValueError(f"register_keras_serializable needs a class with get_config(), but {thing!r} has none.")
        registered = f"{package}>{name or thing.__name__}"  # type: ignore[attr-defined]
        _custom_objects[registered] = thing
        _registered_names[thing] = registered
        return thing

    return register


_registered_names: dict[Any, str] = {}


def get_registered_name(thing: Any) -> str:
    """The name of a class or function in configs: `package>name` where it was registered, else its own."""
    try:
        return _registered_names.get(thing, thing.__name__)
    except TypeError:  # not hashable
        return thing.__name__


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The user's object called `name`, or `None`."""
    return (custom_objects or {}).get(name, _custom_objects.get(name))


def serialize_object(thing: Any) -> Any:
    """Config of an object: `None`, a function's name, or `{"class_name": ..., "config": ...}`.

    Raises:
        ValueError: neither a named function nor an object with `get_config`.
    """
    if thing is None or isinstance(thing, (str, dict)):
        return thing
    if hasattr(thing, "get_config"):
        return {"class_name": get_registered_name(type(thing)), "config": thing.get_config()}
    if hasattr(thing, "__name__"):
        return get_registered_name(thing)
    raise ValueError(f"{thing!r} cannot be written to a config: it has neither get_config() nor a name.")


def deserialize_object(identifier: Any, registry: Registry, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The object that a name, a config or an object stands for.

    Args:
        identifier: `None`, a name, `{"class_name", "config"}`, a class (made without arguments) or the object itself.
        registry: Where library names are looked up.
        custom_objects: The caller's own objects by name.

    Raises:
        ValueError: an unknown name or a config of the wrong form.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        found = registry.find(identifier, custom_objects)
        return found() if inspect.isclass(found) else found
    if isinstance(identifier, Mapping):
        if "class_name" not in identifier:
            raise ValueError(f"A {registry.kind} config needs the keys 'class_name' and 'config', but got {dict(identifier)!r}.")
        found = registry.find(identifier["class_name"], custom_objects)
        config = identifier.get("config") or {}
        # Keras 1 lists the layers of a Sequential
        if not isinstance(config, Mapping) and not (isinstance(config, list) and hasattr(found, "from_config")):
            raise ValueError(f"The config of the {registry.kind} {identifier['class_name']!r} must be a dict, but got {config!r:.80}.")
        config = dict(config) if isinstance(config, Mapping) else list(config)
        if hasattr(found, "from_config"):
            with custom_object_scope(custom_objects or {}):
                return found.from_config(config)
        return found(**config) if inspect.isclass(found) else found  # type: ignore[arg-type]
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not read {identifier!r} as a {registry.kind}: give a name, a config or a callable.")
