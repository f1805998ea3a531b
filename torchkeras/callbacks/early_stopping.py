"""`EarlyStopping`: end the training once a value gets no better."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.callbacks.monitoring import better, find, settle_mode, warn_missing, worst
from torchkeras.generations import choose


class EarlyStopping(Callback):
    """Stops the training when a monitored value has not become better for a number of epochs.

    A value is better where `value - min_delta` (in "max" mode) or `value + min_delta` ("min") beats the best one so far. A NaN is never
    better. Ignite's EarlyStopping is not used: it takes a patience of at least 1, never counts the first epoch, takes a NaN for an
    improvement, and knows no baseline and no best weights.

    Args:
        monitor: Name in the logs; `val_acc` and `val_accuracy` find each other.
        min_delta: Least improvement that counts, in the value's unit.
        patience: Epochs without improvement that end the training.
        verbose: 1 prints when it stops.
        mode: "min", "max", or "auto": by the name.
        baseline: Value that has to be beaten first; `None`: none.
        restore_best_weights: Put the weights of the best epoch back when it stops.

    Attributes:
        wait: Epochs since the last improvement.
        best: The best value so far.
        stopped_epoch: The epoch that it stopped at, counted from 0; 0 while it has not.
        best_weights: The weights of the best epoch, as `get_weights()` gives them.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `EarlyStopping`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("wait", "best", "stopped_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
    ) -> None:
        super().__init__()
        self.monitor = monitor
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.mode = settle_mode(mode, monitor, "EarlyStopping")
        self.monitor_op = better(self.mode)
        delta = abs(min_delta) if choose("stopping.min_delta") == "size" else min_delta
        self.min_delta = -delta if self.mode == "min" else delta
        self._stops_at = choose("stopping.patience") == "reached"
        self._first = choose("callbacks.first_epoch")
        self._end = choose("callbacks.full_stop")
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = worst(self.mode) if self.baseline is None else self.baseline
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        current = self.get_monitor_value(logs)
        if current is None:
            return
        if self.monitor_op(current - self.min_delta, self.best):
            self.best = current
            self.wait = 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        waited = self.wait
        self.wait += 1
        if (self.wait if self._stops_at else waited) >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.restore_best_weights:
                self._restore_best()

    def _restore_best(self) -> None:
        if self.best_weights is None:
            warnings.warn(
                f"EarlyStopping cannot restore the best weights: no epoch's {self.monitor} was better than {self.best}. The last weights stay.",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        if self.verbose > 0 and is_chief():
            print(f"Restoring model weights from the end of the best epoch{self._end}")
        self.model.set_weights(self.best_weights)

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0 and is_chief():
            print(f"Epoch {self.stopped_epoch + self._first:05d}: early stopping")

    def get_monitor_value(self, logs: Any) -> Any:
        """The monitored value; `None`, with a warning, where the logs lack it."""
        value = find(logs, self.monitor)
        if value is None:
            warn_missing("Early stopping conditioned on metric", self.monitor, logs)
        return value
