"""Runs that are killed at some moment, and go on in a new model by the same program."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchkeras.callbacks import BackupAndRestore, Callback
from torchkeras.random import set_random_seed
from torchkeras.training.resuming.shards import whole

Program = Callable[[Path], tuple[Any, dict[str, Any]]]  # a folder to write to -> a compiled model, and the arguments of fit


class Kill(BaseException):
    """Ends a run at once."""


class Killer(Callback):
    """Ends the run at a batch, counted from 1 over all epochs, in a hook; `hook="epoch"`: at the end of the epoch that the batch is of."""

    def __init__(self, batch: int, hook: str = "end") -> None:
        super().__init__()
        self.left, self.hook = batch, hook

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.hook == "begin":
            self._count()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.hook != "begin":
            self._count()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.left <= 0:
            raise Kill

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0 and self.hook != "epoch":
            raise Kill


def run(program: Program, folder: Path, callbacks: list[Any] | None = None) -> dict[str, Any]:
    """Run a program; all that must come out the same."""
    set_random_seed(7)
    model, fit = program(folder)
    fit = {"verbose": 0, **fit}
    history = model.fit(callbacks=[*fit.pop("callbacks", []), *(callbacks or [])], **fit)
    generators = [random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()]
    own = {name: buffer.clone() for name, buffer in model.named_buffers()}
    optimizer = model.optimizer.state_dict()
    for group in optimizer["param_groups"]:
        group.pop("param_names", None)
    return {
        "history": history.history,
        "epoch": history.epoch,
        "weights": [whole(parameter.detach()).clone() for parameter in model.parameters()],
        "buffers": list(own.values()),
        "optimizer": optimizer,
        "generators": generators,
    }


def equal(first: Any, second: Any) -> bool:
    """Whether two results are the same in every bit."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and first.shape == second.shape and bool(((first == second) | (first.isnan() & second.isnan())).all())
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second, equal_nan=True)
    if isinstance(first, dict):
        return list(first) == list(second) and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(equal(one, other) for one, other in zip(first, second, strict=True))
    return bool(first == second) or (first != first and second != second)


def check_same(found: dict[str, Any], wanted: dict[str, Any], ignored: tuple[str, ...] = ()) -> None:
    """See that all of a result is the same."""
    for name in wanted:
        if name not in ignored:
            assert equal(found[name], wanted[name]), f"{name} differs: {found[name]} instead of {wanted[name]}"


def kill_and_go_on(program: Program, folder: Path, batch: int, hook: str, save_freq: Any, **options: Any) -> dict[str, Any]:
    """A run that is killed, and the run that goes on."""
    killed = False
    try:
        run(program, folder, [BackupAndRestore(folder / "backup", save_freq, **options), Killer(batch, hook)])
    except Kill:
        killed = True
    assert killed, "the run ended before it was killed"
    return run(program, folder, [BackupAndRestore(folder / "backup", save_freq, **options)])
