"""How `compile` was told to run the steps, beside what to compute."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch

from torchkeras import config
from torchkeras.training.jit import OVERHEAD
from torchkeras.training.precision import policy_dtype


@dataclass(frozen=True)
class Modes:
    """The keyword-only arguments of `compile`.

    Attributes:
        dtype: Half float type of mixed precision, or `None`.
        accumulation: Batches whose gradients are averaged for one update.
        jit: Whether steps are compiled by torch.compile: False, True, or "reduce-overhead".
        anomaly: Whether a loss that is not finite is traced to its layer.
        scheduler: A scheduler of torch, or a class or function that makes one of the optimizer.
        scheduler_unit: "epoch" or "batch": after what it is stepped.
        distribute: "fsdp" where several processes are to have a shard of the weights each; `None`: each has all.
    """

    dtype: torch.dtype | None = None
    accumulation: int = 1
    jit: Any = False
    anomaly: bool = False
    scheduler: Any = None
    scheduler_unit: str = "epoch"
    distribute: str | None = None

    @classmethod
    def of(cls, mixed_precision: Any, accumulation: Any, jit: Any, anomaly: Any, scheduler: Any, distribute: Any = None) -> Modes:
        """The modes for arguments as users give them.

        Raises:
            TypeError: a scheduler that is none.
            ValueError: a number of steps below 1, an unknown unit, or another way to distribute.
        """
        if not isinstance(accumulation, int) or isinstance(accumulation, bool) or accumulation < 1:
            raise ValueError(f"compile needs gradient_accumulation_steps of at least 1, but got {accumulation!r}.")
        if distribute not in (None, "ddp", "fsdp"):
            raise ValueError(
                f"compile takes distribute='fsdp' (sharded weights), 'ddp' or None (each process has all weights), but got {distribute!r}."
            )
        if isinstance(jit, str) and jit != OVERHEAD:
            raise ValueError(f"compile takes jit_compile=True, False or {OVERHEAD!r}, but got {jit!r}.")
        unit = "epoch"
        if isinstance(scheduler, (list, tuple)) and len(scheduler) == 2:
            scheduler, unit = scheduler
        if unit not in ("epoch", "batch"):
            raise ValueError(f"compile takes lr_scheduler=(scheduler, 'epoch') or (scheduler, 'batch'), but got {unit!r}.")
        if scheduler is not None and not (hasattr(scheduler, "step") or callable(scheduler)):
            raise TypeError(f"lr_scheduler must be a scheduler of torch.optim, or a function of the optimizer that makes one, but got {scheduler!r}.")
        policy = config._settings["policy"] if mixed_precision is None else mixed_precision
        return cls(policy_dtype(policy), accumulation, jit if jit == OVERHEAD else bool(jit), bool(anomaly), scheduler, unit, distribute)

    @property
    def plain(self) -> bool:
        """Whether an update is one backward pass and one step of the optimizer."""
        return self.accumulation == 1 and self.dtype is not torch.float16 and not (self.scheduler is not None and self.scheduler_unit == "batch")


class Scheduling:
    """A scheduler of torch that moves the rate of the model's optimizer.

    Args:
        modes: What `compile` was told.
        optimizer: The bound optimizer.

    Raises:
        ValueError: the scheduler belongs to another optimizer.
    """

    def __init__(self, modes: Modes, optimizer: Any) -> None:
        given = modes.scheduler
        self.scheduler = given if hasattr(given, "step") and not inspect.isclass(given) else given(optimizer)
        self.unit = modes.scheduler_unit
        owner = getattr(self.scheduler, "optimizer", optimizer)
        if owner is not optimizer:
            raise ValueError(
                f"The {type(self.scheduler).__name__} given as lr_scheduler moves another optimizer than the one given to compile. "
                "Give a function that makes it: lr_scheduler=lambda optimizer: StepLR(optimizer, 10)."
            )
        self.takes_metric = next(iter(inspect.signature(self.scheduler.step).parameters), None) == "metrics"

    def step(self, logs: dict[str, float] | None = None) -> None:
        """Move on by one epoch or one update.

        Args:
            logs: The values of the epoch; a scheduler that follows a metric is given the validation loss, or the loss without validation.

        Raises:
            ValueError: such a scheduler after a batch, when there is no such value.
        """
        if not self.takes_metric:
            self.scheduler.step()
            return
        if logs is None:
            raise ValueError(f"{type(self.scheduler).__name__} follows the loss of an epoch: give it as lr_scheduler=(scheduler, 'epoch').")
        self.scheduler.step(logs.get("val_loss", logs.get("loss")))
