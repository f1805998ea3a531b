"""Losses and metrics as scalars: of epochs, and of batches without waiting for the device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from torchkeras.callbacks.rates import read_rate
from torchkeras.callbacks.tensorboard.writing import Runs
from torchkeras.training.logs import read_all

_ROOM = 4096  # values that wait on the device
_PATIENCE = 2.0  # seconds that they wait


def epoch_scalars(runs: Runs, model: Any, step: int, logs: Mapping[str, Any]) -> None:
    """Write an epoch's values, and the learning rate, under the tags of the release.

    Args:
        runs: Where to.
        model: Whose optimizer has a learning rate.
        step: The epoch, counted from 0.
        logs: The epoch's values; those of validation begin with `val_`.
    """
    values = {name: float(value) for name, value in logs.items() if name not in ("batch", "size") and _is_number(value)}
    if getattr(model, "optimizer", None) is not None:
        values.setdefault("lr" if runs.one else "learning_rate", read_rate(model, "TensorBoard"))
    for name, value in values.items():
        if runs.one:
            runs["train"].add_scalar(name, value, step)
        elif name.startswith("val_"):
            runs["validation"].add_scalar(f"epoch_{name[4:]}", value, step)
        else:
            runs["train"].add_scalar(f"epoch_{name}", value, step)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0


class BatchScalars:
    """Values of batches, which wait on the device and are read many at a time.

    Args:
        update_freq: "epoch", or how often: batches, in Keras 1 and 2 samples.
        one_run: Whether tags and steps are those of Keras 1 and 2.
    """

    def __init__(self, update_freq: Any, one_run: bool) -> None:
        self.update_freq, self.one_run = update_freq, one_run
        self._waiting: list[tuple[int, list[str], list[Any]]] = []
        self._values = 0
        self.written_at = 0
        self._since = 0.0

    def start(self) -> None:
        """A new training."""
        self._waiting, self._values, self.written_at = [], 0, 0

    def size(self, logs: Any) -> int:
        """How far a batch counts: one, in Keras 1 and 2 its samples."""
        return (getattr(logs, "known", logs) or {}).get("size", 1) if self.one_run else 1

    def add(self, runs: Runs, seen: int, logs: Any) -> None:
        """Take a batch's values, if it is its turn."""
        if self.one_run:
            if seen - self.written_at < self.update_freq:
                return
            self.written_at = seen
        elif seen % self.update_freq:
            return
        raw = logs.raw() if hasattr(logs, "raw") else dict(logs or {})
        names = [name for name in raw if name not in ("batch", "size")]
        # a running value may be changed in place by the next batch
        values = [raw[name].detach().clone() if isinstance(raw[name], torch.Tensor) else raw[name] for name in names]
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((seen, names, values))
        self._values += len(values)
        if self._values > _ROOM or time.monotonic() - self._since > _PATIENCE:
            self.write(runs)

    def write(self, runs: Runs) -> None:
        """Read what waits, at once, and write it."""
        waiting, self._waiting, self._values = self._waiting, [], 0
        read = iter(read_all(value for _, _, values in waiting for value in values))
        for step, names, _ in waiting:
            for name in names:
                runs["train"].add_scalar(name if self.one_run else f"batch_{name}", next(read), step)
