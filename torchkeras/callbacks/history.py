"""`History`: the values of every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torchkeras.callbacks.base import Callback
from torchkeras.generations import choose
from torchkeras.utils.plots import plot_history


class History(Callback):
    """Keeps the logs of all epochs; `fit` returns one.

    Attributes:
        epoch: The epochs that were run, counted from 0.
        history: For each name the list of its values.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `History`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("epoch", "history")

    def __init__(self) -> None:
        super().__init__()
        self._keeps = choose("history.keeps")
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch = []
        if not self._keeps:
            self.history = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self

    def plot(self, path: Any = None, *, names: Sequence[str] | None = None, title: str | None = None) -> Any:
        """The values over the epochs as a figure of matplotlib: a panel for each value, its validation in the same one.

        Args:
            path: File to write the picture to; its ending says the format. `None`: none is written.
            names: What to show, without `val_`; `None`: all.
            title: Above the picture.

        Raises:
            ValueError: no epoch has been run, or an unknown name.
            ImportError: matplotlib is not installed.
        """
        return plot_history(self.history, self.epoch, path, names=names, title=title)
