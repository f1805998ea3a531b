"""Progress bars to choose from: Keras' own, tqdm's and rich's."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from torchkeras.utils.progress import Progbar

Values = Callable[[], Iterable[tuple[str, Any]]]

_INTERVAL = 0.1  # least seconds between two redraws


def chosen_bar(bar: str | None) -> str:
    """The kind of bar to draw: as asked for, by TORCHKERAS_PROGRESS, tqdm in a notebook that has it, else Keras'.

    Raises:
        ValueError: the environment variable names another kind.
    """
    bar = bar or os.environ.get("TORCHKERAS_PROGRESS") or None
    if bar not in (None, "keras", "tqdm", "rich"):
        raise ValueError(f"The environment variable TORCHKERAS_PROGRESS must be 'keras', 'tqdm' or 'rich', but is {bar!r}.")
    if bar is None:
        bar = "tqdm" if "ipykernel" in sys.modules and importlib.util.find_spec("tqdm") is not None else "keras"
    return bar


def make_bar(bar: str | None, *, target: int | None, verbose: int, stateful_metrics: Iterable[str], unit_name: str) -> Any:
    """A bar for one epoch, evaluation or prediction; with verbose=2, Keras' line.

    Raises:
        ImportError: the package of the bar is not installed.
    """
    kind = chosen_bar(bar)
    if kind == "keras" or verbose != 1:
        return Progbar(target, verbose=verbose, stateful_metrics=stateful_metrics, unit_name=unit_name)
    try:
        return (TqdmBar if kind == "tqdm" else RichBar)(target, unit_name)
    except ImportError as error:
        raise ImportError(f"A progress bar of {kind} needs the package {kind}: pip install {kind}, or take bar='keras'.") from error


def _text(values: Iterable[tuple[str, Any]]) -> str:
    numbers = ((name, float(value)) for name, value in values)
    return ", ".join(f"{name}={number:.4f}" if abs(number) > 1e-3 else f"{name}={number:.4e}" for name, number in numbers)


class TqdmBar:
    """A tqdm bar, as a widget in notebooks.

    Args:
        target: Steps or samples in all; `None` where unknown.
        unit_name: What is counted.

    Raises:
        ImportError: tqdm is not installed.
    """

    def __init__(self, target: int | None, unit_name: str) -> None:
        from tqdm.auto import tqdm

        self.target = target
        self._bar = tqdm(total=target, unit=unit_name, file=sys.stdout, mininterval=0, miniters=1, dynamic_ncols=True)
        self._last = 0.0

    def update(self, current: int, values: Values | None = None, finalize: bool = False) -> None:
        """Show that `current` are done."""
        now = time.perf_counter()
        if not finalize and now - self._last < _INTERVAL:
            return
        self._last = now
        if values is not None:
            self._bar.set_postfix_str(_text(values()), refresh=False)
        if finalize:
            self._bar.total = self.target
        self._bar.n = current
        self._bar.refresh()
        if finalize:
            self._bar.close()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class RichBar:
    """A bar of rich.

    Args:
        target: Steps or samples in all; `None` where unknown.
        unit_name: What is counted.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self, target: int | None, unit_name: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.target = target
        self._progress = Progress(
            MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.description}"), auto_refresh=False
        )
        self._task = self._progress.add_task("", total=target)
        self._progress.start()
        self._last = 0.0

    def update(self, current: int, values: Values | None = None, finalize: bool = False) -> None:
        """Show that `current` are done."""
        now = time.perf_counter()
        if not finalize and now - self._last < _INTERVAL:
            return
        self._last = now
        description = {} if values is None else {"description": _text(values())}
        self._progress.update(self._task, completed=current, total=self.target, refresh=True, **description)  # type: ignore[arg-type]
        if finalize:
            self._progress.stop()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()
