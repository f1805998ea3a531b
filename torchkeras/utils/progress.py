"""The progress bar of Keras, to the letter of each release.

Source: `keras.utils.generic_utils.Progbar` (Keras 1.2.2, 2.2.4), `tf.keras.utils.Progbar` (2.4.0).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from torchkeras.generations import choose

Values = Iterable[tuple[str, Any]]

clock = time.perf_counter  # seconds; tests replace it


def _number(value: Any) -> float:
    """A Python number from a number, an array or a tensor: the one place where a device is waited for."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return float(np.mean(np.asarray(value)))


def _four_digits(number: float, magnitude: float) -> str:
    return f"{number:.4f}" if magnitude > 1e-3 else f"{number:.4e}"


def _remaining(seconds: float) -> str:
    if seconds > 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    if seconds > 60:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
    return f"{int(seconds)}s"


def _redraws_in_place() -> bool:
    """Whether the bar overwrites itself: the rule of the chosen release."""
    rule = choose("progbar.in_place")
    terminal = (hasattr(sys.stdout, "isatty") and sys.stdout.isatty()) or "ipykernel" in sys.modules
    return rule == "always" or terminal or (rule == "posix" and ("posix" in sys.modules or "PYCHARM_HOSTED" in os.environ))


class Progbar:
    """Progress bar on standard output, in the form of the chosen Keras release.

    The bar is redrawn at most once every `interval`; an update in between costs well under a microsecond when
    its values are given lazily. Values that are tensors are added up as tensors and read only when they are shown.

    Args:
        target: Number of steps in all, `None` where unknown.
        width: Width of the bar in characters.
        verbose: 0 silent, 1 the bar, 2 one line at the end.
        interval: Least time between two redraws, seconds.
        stateful_metrics: Names whose values are shown as they come; all others are averaged over the steps.
        unit_name: What a step is called in `3ms/step`.

    Raises:
        ValueError: `verbose` is not 0, 1 or 2, or `target` is negative.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `Progbar`.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 30,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if verbose not in (0, 1, 2):
            raise ValueError(f"Progbar takes verbose=0, 1 or 2, but got {verbose!r}.")
        if target is not None and target < 0:
            raise ValueError(f"Progbar takes a target of at least 0 steps, or None, but got {target!r}.")
        self.target = target
        self.width = width
        self.verbose = int(verbose)
        self.interval = interval
        self.stateful_metrics = set(stateful_metrics or ())
        self.unit_name = unit_name
        self._form = choose("progbar.form")
        self._dynamic_display = _redraws_in_place()
        self._total_width = 0
        self._seen_so_far = 0
        self._values: dict[str, list[Any]] = {}  # name -> [sum, weight]
        self._start = clock()
        self._last_update = -float("inf")

    def update(self, current: int, values: Values | Callable[[], Values] | None = None, finalize: bool | None = None, *, force: bool = False) -> None:
        """Show that `current` steps are done.

        Args:
            current: Steps done so far.
            values: Pairs (name, value of the last steps); averaged over the steps where the name is not
                in `stateful_metrics`. A callable that returns such pairs is called only when they are about to be
                shown, and its values are shown as they are.
            finalize: Whether this is the last update, which ends the line; `None`: once `current` reaches `target`.
            force: Redraw even though `interval` has not passed (Keras 1).
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        lazy = values if callable(values) else None
        if lazy is None and values is not None:
            self._add_up(current, values)  # type: ignore[arg-type]
        self._seen_so_far = current
        if self.verbose == 0:
            return
        now = clock()
        if self.verbose == 1:
            always = finalize or force or (self.target is None and self._form == "keras2")
            if not always and now - self._last_update < self.interval:
                return
        elif not finalize and not (self.target is None and self._form != "tf.keras"):
            return
        if lazy is not None:
            for name, value in lazy():
                self._values[name] = [value, 1]
        sys.stdout.write(self._bar(current, now, finalize) if self.verbose == 1 else self._line(current, now))
        sys.stdout.flush()
        self._last_update = now

    def add(self, n: int, values: Values | Callable[[], Values] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen_so_far + n, values)

    def _add_up(self, current: int, values: Values) -> None:
        steps = current - self._seen_so_far
        if self._form == "tf.keras":
            steps = max(steps, 1)
        for name, value in values:
            if hasattr(value, "detach"):
                value = value.detach()
            if name in self.stateful_metrics:
                self._values[name] = [value, 1]
            elif name in self._values:
                before, weight = self._values[name]
                self._values[name] = [before + value * steps, weight + steps]
            else:
                self._values[name] = [value * steps, steps]

    def _bar(self, current: int, now: float, finalize: bool) -> str:
        """What is written to replace the last bar by a new one."""
        start = "\b" * self._total_width + "\r" if self._dynamic_display else "\n"
        if self.target is None:
            bar = f"{current:7d}/Unknown"
        else:
            filled = int(self.width * (current / self.target)) if self.target else self.width
            head = "" if filled <= 0 else "=" * (filled - 1) + (">" if current < self.target else "=")
            bar = f"{self._count(current)} [{head}{'.' * (self.width - filled)}]"
        text = bar + self._time(current, now, finalize) + self._shown_values(signed=True)
        before, self._total_width = self._total_width, len(text)
        text = text.ljust(before)
        return start + text + ("\n" if finalize else "")

    def _line(self, current: int, now: float) -> str:
        """The one line of verbose=2."""
        elapsed = now - self._start
        if self._form == "keras1":
            return f"{int(elapsed)}s{self._shown_values(signed=False)}\n"
        count = self._count(current) if self._form == "tf.keras" else ""
        return f"{count} - {elapsed:.0f}s{self._shown_values(signed=False)}\n"

    def _count(self, current: int) -> str:
        if self.target is None:
            return f"{current}/Unknown"
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _time(self, current: int, now: float, finalize: bool) -> str:
        elapsed = now - self._start
        each = elapsed / current if current else 0.0
        if self.target is not None and not finalize:
            remaining = each * (self.target - current)
            return f" - ETA: {int(remaining)}s" if self._form == "keras1" else f" - ETA: {_remaining(remaining)}"
        if self._form == "keras1":
            return f" - {int(elapsed)}s"
        if each >= 1 or (each == 0 and self._form == "tf.keras"):
            speed = f"{each:.0f}s"
        elif each >= 1e-3:
            speed = f"{each * 1e3:.0f}ms"
        else:
            speed = f"{each * 1e6:.0f}us"
        return f" - {elapsed:.0f}s {speed}/{self.unit_name}"

    def _shown_values(self, signed: bool) -> str:
        """The values; the one-line form of Keras tells small from large by the value, not by its size."""
        text = ""
        for name, (total, weight) in self._values.items():
            mean = _number(total) / max(1, weight)
            text += f" - {name}: {_four_digits(mean, abs(mean) if signed else mean)}"
        return text
