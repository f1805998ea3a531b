"""Calls and configs in Keras 1's words, translated by the one table of them (`legacy_table`).

A class's `__init__` translates what it gets (`keras1_arguments`), so that calls, configs and `super().__init__(...)` of a user's subclass
go the same way; files of Keras 1 are translated by `modernise` before a class is called. Where the chosen release is Keras 1, arguments
by position come in its order and nothing is said; elsewhere one warning a call gives the new spelling.

Source: Keras 1.2.2 `keras.layers`, Keras 2.2.4 `keras.legacy.interfaces`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from torchkeras.generations import keras_version
from torchkeras.layers.legacy_table import CLASSES, FORMER_CLASSES, TABLE, VALUES, Arguments, Spelling
from torchkeras.layers.legacy_values import DIM_ORDERINGS, plain

FORMATS: Final = DIM_ORDERINGS


def modernise(
    class_name: str,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    keras1: bool | None = None,
    tell: bool = True,
) -> tuple[str, tuple[Any, ...], Arguments]:
    """A call of a layer or model in Keras 1's words, in today's.

    Args:
        class_name: The class, by its name in Keras 1 or now.
        args: Arguments by position.
        kwargs: Arguments by name; a config is such, too.
        keras1: `True`: it certainly comes from Keras 1, such as out of its file; `None`: told by the words, and by the chosen release.
        tell: Whether to warn, with the new spelling, where the chosen release is not Keras 1.

    Returns:
        The class's name now, arguments by position and by name. What is not Keras 1's comes back as it is.

    Raises:
        TypeError: an argument given twice.
        ValueError: a value that only Theano knew.
    """
    name = CLASSES.get(class_name, class_name)
    given: Arguments = dict(kwargs or {})
    spelling = TABLE.get(name, TABLE["Layer"])
    if not is_keras1(spelling, args, given, keras1):
        return name, args, given
    rest: tuple[Any, ...] = ()
    if not spelling.order or _mixed(spelling, args, given):
        rest, args = args, ()
    now = _translated(name, spelling, args, given)
    if keras1:
        now = {**{word: value for word, value in spelling.implied.items() if word not in now}, **now}
    if tell and keras1 is None and keras_version() != "1.2.2":
        _warn(name, rest, now, sorted((spelling.old & given.keys()) - {"input_length"}) or ["arguments by position"])
    return name, rest, now


def keras2_layer(class_name: str, config: Mapping[str, Any], data_format: str | None = None) -> tuple[str, Arguments]:
    """The class and config of a layer out of a file, in today's words where they are Keras 1's, else as they are.

    Args:
        class_name: The class, by its name in Keras 1 or now.
        config: Its config.
        data_format: What layers over images have whose config says nothing of it.
    """
    name = CLASSES.get(class_name, class_name)
    spelling = TABLE.get(name)
    if spelling is None:
        return name, dict(config)
    arguments = dict(config)
    if is_keras1(spelling, (), config, False):
        _, _, arguments = modernise(name, (), config, keras1=True)
    if "dim_ordering" in spelling.words and arguments.get("data_format") is None and data_format is not None:
        arguments["data_format"] = data_format
    return name, arguments


def is_keras1(spelling: Spelling, args: tuple[Any, ...], kwargs: Mapping[str, Any], keras1: bool | None = None) -> bool:
    """Whether a call has the words, or the arguments by position, of Keras 1."""
    if keras1 or not spelling.old.isdisjoint(kwargs):
        return True
    if keras1 is False:
        return False
    version = keras_version()
    if version == "1.2.2":
        return bool(args) or spelling.finish is not None
    return version == "2.2.4" and spelling.joins_ints and _has_sides(spelling, args)


def _has_sides(spelling: Spelling, args: tuple[Any, ...]) -> bool:
    """Whether integers stand where Keras 1 had the rows and columns of a kernel."""
    count = len(next(iter(spelling.join.values())))
    places = args[1 : 1 + count]
    return len(places) == count and all(isinstance(place, int) for place in places)


def _mixed(spelling: Spelling, args: tuple[Any, ...], kwargs: Arguments) -> bool:
    """A kernel_size by position, as in Keras 2, beside words of Keras 1."""
    if not spelling.join or len(args) < 2:
        return False
    parts = next(iter(spelling.join.values()))
    named = [part for part in parts if part in kwargs]
    return not all(isinstance(place, int) for place in args[1 : 1 + len(parts)]) or (len(args) - 1 < len(parts) and not named)


def _translated(name: str, spelling: Spelling, args: tuple[Any, ...], kwargs: Arguments) -> Arguments:
    if len(args) > len(spelling.positions):
        raise TypeError(f"{name} takes at most {len(spelling.positions)} arguments by position in Keras 1, but got {len(args)}.")
    pairs = [*zip(spelling.positions, args, strict=False), *kwargs.items()]
    given: Arguments = {}
    for word, value in pairs:
        now = spelling.words.get(word, word)
        if now in given:
            raise TypeError(
                f"{name} got two values for {now!r}" + (f", which Keras 1 called {word!r}" if word != now else "") + ". Keep one of them."
            )
        given[now] = VALUES.get(word, plain)(value)
    for now, parts in spelling.join.items():
        _join(name, now, parts, given)
    if spelling.finish is not None:
        spelling.finish(given)
    return given


def _join(name: str, now: str, parts: tuple[str, ...], given: Arguments) -> None:
    found = [part for part in parts if part in given]
    if not found:
        return
    if len(found) < len(parts):
        missing = [part for part in parts if part not in given]
        raise TypeError(f"{name} got {', '.join(found)} without {', '.join(missing)}. Give {now}=({', '.join(parts)}).")
    if now in given:
        raise TypeError(f"{name} got two values for {now!r}, which Keras 1 called {' and '.join(parts)}. Keep one of them.")
    given[now] = tuple(given.pop(part) for part in parts)


def _warn(name: str, args: tuple[Any, ...], now: Arguments, words: list[str]) -> None:
    call = ", ".join([*(_short(value) for value in args), *(f"{word}={_short(value)}" for word, value in now.items())])
    warnings.warn(
        f"{name}: Keras 1's {', '.join(words)}. Write {name}({call}).",
        DeprecationWarning,
        stacklevel=outside(),
    )


def _short(value: Any) -> str:
    text = getattr(value, "__name__", None) if callable(value) else None
    text = text or repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def outside() -> int:
    """The `stacklevel` at which a warning of the function that calls this points to the user's line."""
    level = 1
    frame = sys._getframe(1)
    own = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == own:
        frame = frame.f_back
        level += 1
    return level


def keras1_arguments(owner: type) -> None:
    """Make a class's own `__init__` take the words of Keras 1 too, where the table has them."""
    written = owner.__dict__.get("__init__")
    spelling = TABLE.get(owner.__name__)
    if written is None or spelling is None:
        return

    @functools.wraps(written)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        mine = type(self).__name__ if type(self).__module__.startswith(_PACKAGE) and type(self).__name__ in TABLE else owner.__name__
        if (args or kwargs) and is_keras1(TABLE[mine], args, kwargs):
            _, args, kwargs = modernise(mine, args, kwargs)
        written(self, *args, **kwargs)

    owner.__init__ = __init__  # type: ignore[misc]


_PACKAGE = __name__.partition(".")[0] + "."


def takes_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a callable's arguments, or none where they cannot be told."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


__all__ = ["CLASSES", "FORMATS", "FORMER_CLASSES", "TABLE", "keras1_arguments", "keras2_layer", "modernise", "outside", "takes_of"]
