"""`BaseLogger`: averages of the batches' values over the epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torchkeras.callbacks.base import Callback


class BaseLogger(Callback):
    """Averages what the batches' logs show, weighted by their sizes, and puts the averages into the epoch's logs.

    `fit` does this by itself without reading each batch's values, which this callback has to; it is here for loops of one's own.

    Args:
        stateful_metrics: Names whose last value counts instead of the average. Where logs have no `size`, as in tf.keras, their values are
            averages over the epoch already, and count so, too.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `BaseLogger`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("seen", "totals", "_last")

    def __init__(self, stateful_metrics: Iterable[str] | None = None) -> None:
        super().__init__()
        self.stateful_metrics = set(stateful_metrics or ())
        self.seen = 0
        self.totals: dict[str, Any] = {}
        self._last: set[str] = set()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen = 0
        self.totals = {}
        self._last = set(self.stateful_metrics)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        logs = logs or {}
        size = logs.get("size")
        self.seen += (size or 0) * logs.get("num_steps", 1)
        for name, value in logs.items():
            if name in self.stateful_metrics or size is None:
                self.totals[name] = value
                self._last.add(name)
            else:
                self.totals[name] = self.totals.get(name, 0) + value * size

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is None:
            return
        for name in self.params.get("metrics", ()):
            if name in self.totals:
                logs[name] = self.totals[name] if name in self._last else self.totals[name] / self.seen
