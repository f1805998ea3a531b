"""`History`: the values of every epoch."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.base import Callback


class History(Callback):
    """Keeps the logs of all epochs; `fit` returns one.

    Attributes:
        epoch: The epochs that were run, counted from 0.
        history: For each name the list of its values.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `History`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
