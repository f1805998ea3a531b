"""`LearningRateScheduler`: the learning rate of each epoch from a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.callbacks.rates import read_rate, write_rate
from torchkeras.generations import choose


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch, and writes it into the epoch's logs as `lr`.

    Ignite's schedulers are not used: they set the rate before each update. They can be passed in `callbacks=[...]` themselves.

    Args:
        schedule: `schedule(epoch, lr)`, or `schedule(epoch)`: from the epoch, counted from 0, and the present rate, the new rate.
        verbose: 1 prints each rate.

    Raises:
        ValueError: in training, where the schedule gives no float, or the optimizer's rate follows a schedule of its own.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `LearningRateScheduler`.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler takes a function of the epoch, but got {schedule!r}.")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = choose("scheduler.takes_rate") and _binds(schedule, 0, 0.0)
        self._first = choose("callbacks.first_epoch")
        self._text = choose("scheduler.text")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        rate = read_rate(self.model, "LearningRateScheduler")
        rate = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)) and not (isinstance(rate, torch.Tensor) and rate.is_floating_point() and rate.numel() == 1):
            raise ValueError(f"The output of the schedule of LearningRateScheduler should be a float, but for epoch {epoch} it is {rate!r}.")
        write_rate(self.model, float(rate), "LearningRateScheduler")
        if self.verbose > 0 and is_chief():
            print(f"\nEpoch {epoch + self._first:05d}: LearningRateScheduler {self._text} learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["lr"] = read_rate(self.model, "LearningRateScheduler")


def _binds(function: Callable[..., Any], *args: Any) -> bool:
    """Whether a function can be called with these arguments; of a built-in one that does not say, True."""
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
