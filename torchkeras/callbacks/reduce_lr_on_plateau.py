"""`ReduceLROnPlateau`: a lower learning rate once a value gets no better."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.callbacks.monitoring import better, find, settle_mode, warn_missing, worst
from torchkeras.callbacks.rates import read_rate, write_rate
from torchkeras.generations import choose


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when a monitored value has not become better for a number of epochs.

    It writes the rate of each epoch into its logs, as `lr`. torch's scheduler of that name, which Ignite wraps, is not used: it measures
    improvements relatively, reduces one epoch later, and leaves the logs alone.

    Args:
        monitor: Name in the logs; `val_acc` and `val_accuracy` find each other.
        factor: What the rate is multiplied by, 0-1.
        patience: Epochs without improvement before the rate is lowered.
        verbose: 1 prints each change.
        mode: "min", "max", or "auto": by the name.
        min_delta: Least improvement that counts, in the value's unit.
        cooldown: Epochs after a change that do not count.
        min_lr: Lower bound of the rate.
        **kwargs: `epsilon`, the old name of `min_delta`.

    Raises:
        ValueError: `factor` is 1 or more.
        TypeError: another keyword.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `ReduceLROnPlateau`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("wait", "best", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau does not support a factor >= 1.0, but got {factor!r}: the rate would not fall.")
        if "epsilon" in kwargs:
            min_delta = kwargs.pop("epsilon")
            if not choose("plateau.epsilon"):
                warnings.warn("`epsilon` argument of ReduceLROnPlateau is deprecated, use `min_delta` instead.", stacklevel=2)
        if kwargs:
            raise TypeError(f"ReduceLROnPlateau got an unexpected keyword argument {next(iter(kwargs))!r}.")
        self.monitor = monitor
        self.factor = factor
        self.min_lr = min_lr
        self.min_delta = min_delta
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.mode = settle_mode(mode, monitor, "ReduceLROnPlateau")
        self.monitor_op = better(self.mode)
        self._delta = min_delta if self.mode == "max" else -min_delta
        self._acts_at = choose("stopping.patience") == "reached"
        self._first = choose("callbacks.first_epoch")
        self._floor = min_lr if self._acts_at else min_lr * (1 + 1e-4)  # Keras 1 leaves rates alone that are nearly there
        self._text = "ReduceLROnPlateau reducing" if self._acts_at else "reducing"
        self._reset()

    def _reset(self) -> None:
        self.best = worst(self.mode)
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = {} if logs is None else logs
        logs["lr"] = read_rate(self.model, "ReduceLROnPlateau")
        current = find(logs, self.monitor)
        if current is None:
            warn_missing("Reduce LR on plateau conditioned on metric", self.monitor, logs)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.monitor_op(current, self.best + self._delta):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self._count(epoch)

    def _count(self, epoch: int) -> None:
        """One epoch more without improvement: Keras 2 counts it before it compares with the patience, Keras 1 afterwards."""
        self.wait += self._acts_at
        if self.wait >= self.patience:
            self._reduce(epoch)
        self.wait += not self._acts_at

    def _reduce(self, epoch: int) -> None:
        old = read_rate(self.model, "ReduceLROnPlateau")
        if old <= self._floor:
            return
        new = max(old * self.factor, self.min_lr)
        write_rate(self.model, new, "ReduceLROnPlateau")
        if self.verbose > 0 and is_chief():
            print(f"\nEpoch {epoch + self._first:05d}: {self._text} learning rate to {new}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether a change was so short ago that epochs do not count."""
        return self.cooldown_counter > 0
