"""The callbacks that `fit`, `evaluate` and `predict` bring by themselves."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.history import History
from torchkeras.callbacks.progbar_logger import ProgbarLogger
from torchkeras.generations import choose


def _last(given: list[Any], kind: type) -> Any:
    return next((callback for callback in reversed(given) if isinstance(callback, kind)), None)


def with_bar(given: list[Any], verbose: Any, arrays: bool) -> list[Any]:
    """The callbacks together with a progress bar, where one is wanted and none is among them.

    Args:
        given: The user's callbacks.
        verbose: 0 for no bar.
        arrays: Whether the data are arrays, whose samples Keras 1 and 2 count.
    """
    if not verbose or _last(given, ProgbarLogger) is not None:
        return list(given)
    bar = ProgbarLogger(choose("progbar.counts") if arrays else "steps")
    return [bar, *given] if choose("fit.bar_first") else [*given, bar]


def standard_callbacks(given: list[Any], verbose: Any, arrays: bool) -> tuple[History, list[Any]]:
    """The callbacks of `fit`: a bar, the user's, and a `History`, which runs last unless the user has given one.

    Args:
        given: The user's callbacks.
        verbose: 0 for no bar.
        arrays: Whether the data are arrays.

    Returns:
        The history, and all callbacks in their order.
    """
    callbacks = with_bar(given, verbose, arrays)
    history = _last(given, History)
    if history is None:
        history = History()
        callbacks.append(history)
    return history, callbacks
