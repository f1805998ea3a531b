"""What callbacks that watch one value share: finding it in the logs, and which way is better."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MODES = ("auto", "min", "max")
_TWINS = {"acc": "accuracy", "accuracy": "acc"}


def twin(name: str) -> str | None:
    """The same value's name in other Keras releases: `val_acc` and `val_accuracy`; `None` where there is no other."""
    head, underscore, last = name.rpartition("_")
    return head + underscore + _TWINS[last] if last in _TWINS else None


def find(logs: Mapping[str, Any] | None, name: str) -> Any:
    """The value of a name in logs, also under its other spelling (`acc`, `accuracy`); `None` where it is missing."""
    if not logs:
        return None
    value = logs.get(name)
    other = twin(name) if value is None else None
    return value if other is None else logs.get(other)


class Names(Mapping[str, Any]):
    """Logs for filling in templates: `{val_acc}` finds `val_accuracy` and the other way round.

    Args:
        logs: The logs.
        **more: Names that come first, such as `epoch`.
    """

    def __init__(self, logs: Mapping[str, Any] | None, **more: Any) -> None:
        self._values = {**(logs or {}), **more}

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        other = twin(name)
        if other in self._values:
            return self._values[other]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def settle_mode(mode: str, monitor: str, who: str, also: tuple[str, ...] = ()) -> str:
    """ "min" or "max": as given, or for "auto" by the name: what has `acc` in it is to grow.

    Args:
        mode: "auto", "min" or "max"; another word is taken as "auto", with a warning.
        monitor: Name of the value.
        who: The callback, for the warning.
        also: Beginnings of further names that are to grow.
    """
    if mode not in MODES:
        warnings.warn(f"{who} mode {mode!r} is unknown (there are {', '.join(MODES)}), fallback to auto mode.", RuntimeWarning, stacklevel=3)
        mode = "auto"
    if mode != "auto":
        return mode
    return "max" if "acc" in monitor or monitor.startswith(also or ("\0",)) else "min"


def better(mode: str) -> Callable[[Any, Any], bool]:
    """Comparison `better(new, old)` of a mode; a NaN is never better."""
    return operator.lt if mode == "min" else operator.gt


def worst(mode: str) -> float:
    """The value that every other one is better than."""
    return float("inf") if mode == "min" else -float("inf")


def warn_missing(what: str, monitor: str, logs: Mapping[str, Any] | None) -> None:
    """Warn that a monitored name is not in the logs, and list what is."""
    available = ", ".join(logs or ()) or "none"
    warnings.warn(f"{what} `{monitor}`, which is not available. Available metrics are: {available}.", RuntimeWarning, stacklevel=4)
