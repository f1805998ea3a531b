"""`TerminateOnNaN`: end the training once the loss is no number any more."""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from torchkeras.callbacks.base import Callback

_INTERVAL = 0.25  # least seconds between two reads of a device that cannot say whether a copy has arrived


class TerminateOnNaN(Callback):
    """Stops the training when a loss is NaN or infinite.

    On the CPU each batch is looked at. A CUDA device is never waited for: the sum of the epoch's losses, which stays NaN or infinite once one of
    them was, travels to the host while training goes on, and is looked at when it has arrived, a few batches later; the batch that is printed is
    the one that the sum was of. Other devices are read four times a second. The end of an epoch misses nothing on any of them. Ignite's
    TerminateOnNan is not used: it looks at everything that a step gives, and waits for the device each time.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `TerminateOnNaN`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._copy = _LateCopy()
        self._last_read = 0.0
        self._found = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._copy.forget()
        self._found = False

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        loss_sum = getattr(logs, "loss_sum", None)
        value = loss_sum() if loss_sum is not None else (logs or {}).get("loss")
        if value is None:
            return
        if not isinstance(value, torch.Tensor) or value.device.type == "cpu":
            self._check(batch, float(value))
        elif value.device.type == "cuda":
            arrived = self._copy.exchange(batch, value)
            if arrived is not None:
                self._check(*arrived)
        elif time.monotonic() - self._last_read > _INTERVAL:
            self._last_read = time.monotonic()
            self._check(batch, float(value))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not self._found:
            self._check((self.params.get("steps") or 1) - 1, float(loss))

    def _check(self, batch: int, value: float) -> None:
        if not math.isfinite(value):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self._found = True
            self.model.stop_training = True


class _LateCopy:
    """One number on its way from a CUDA device to the host; at most one at a time."""

    def __init__(self) -> None:
        self._host: torch.Tensor | None = None
        self._event: Any = None
        self._batch: int | None = None

    def forget(self) -> None:
        """What is on its way does not count any more."""
        self._batch = None

    def exchange(self, batch: int, value: torch.Tensor) -> tuple[int, float] | None:
        """Send the value of a batch if nothing is on its way; give the one that has arrived, with its batch."""
        if self._event is None or self._host is None:
            self._host = torch.empty((), dtype=value.dtype, pin_memory=True)
            self._event = torch.cuda.Event()
        arrived = None
        if self._event.query():  # true as well when nothing has been sent yet
            if self._batch is not None:
                arrived = self._batch, float(self._host)
            self._host.copy_(value, non_blocking=True)
            self._event.record()
            self._batch = batch
        return arrived
