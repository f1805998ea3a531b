"""The learning rate of a model's optimizer, of Keras' kind or torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def _optimizer(model: Any, who: str) -> Any:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not (hasattr(optimizer, "lr") or getattr(optimizer, "param_groups", None)):
        raise ValueError(
            f"{who} needs an optimizer with a learning rate (`lr` or param_groups), but model.optimizer is {optimizer!r}. Compile the model first."
        )
    return optimizer


def read_rate(model: Any, who: str) -> float:
    """The present learning rate: of the first param group, and of a schedule its value at the present update.

    Of a Keras optimizer it is a number of float32, the type that Keras keeps it in: comparisons with bounds, and what is printed, depend on it.

    Raises:
        ValueError: the model has no optimizer with a rate.
    """
    optimizer = _optimizer(model, who)
    if not hasattr(optimizer, "lr"):
        return float(optimizer.param_groups[0]["lr"])
    rate = optimizer.lr
    return float(np.float32(rate(int(optimizer.iterations)) if callable(rate) else rate))


def write_rate(model: Any, rate: float, who: str) -> None:
    """Set the learning rate; param groups of a torch optimizer keep the ratio of their rates.

    Raises:
        ValueError: the optimizer's rate follows a schedule.
    """
    optimizer = _optimizer(model, who)
    if hasattr(optimizer, "lr"):
        if callable(optimizer.lr):
            raise ValueError(
                f"{who} cannot set the learning rate of {type(optimizer).__name__}: it follows the schedule {optimizer.lr!r}. "
                "Compile with a number as learning_rate, or leave the callback out."
            )
        optimizer.lr = rate
        return
    first = float(optimizer.param_groups[0]["lr"])
    for group in optimizer.param_groups:
        own = group["lr"]
        wanted = rate if float(own) == first or first == 0 else rate * (float(own) / first)
        if isinstance(own, torch.Tensor):
            own.fill_(wanted)
        else:
            group["lr"] = wanted
