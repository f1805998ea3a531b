"""Adam with Nesterov momentum."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from torchkeras.generations import BY_GENERATION, keras_version, resolve
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper
from torchkeras.optimizers.rates import LearningRateSchedule
from torchkeras.optimizers.record import keras_arguments, resolve_epsilon

MOMENTUM_BASE = 0.96  # Dozat (2016): the momentum rises as 1 - 0.96^(t schedule_decay) / 2


class Nadam(Optimizer):
    """Adam whose first moment looks one step ahead, with a momentum that rises to `beta_1`.

    Of a sparse gradient, all moments decay, and only the rows seen are moved.

    Args:
        learning_rate: Rate per update; also `lr`. 0.001, in Keras 2.2.4 0.002.
        beta_1: Decay of the first moment, 0-1.
        beta_2: Decay of the second moment, 0-1.
        epsilon: Added to the root; `None` is the global `epsilon()`.
        name: Name in configs.
        **kwargs: `schedule_decay` (how fast the momentum rises; 0.004), `clipnorm`, `clipvalue`, `global_clipnorm`. tf.keras 2.4.0 takes
            `decay` and passes over it; so does this, with a warning.

    Raises:
        TypeError: `decay` outside tf.keras.
        ValueError: a schedule as the rate, as in every release.

    Source: Dozat (2016); Keras 2.2.4 and tf.keras 2.4.0 `Nadam`.
    """

    slots = {"m": "exp_avg", "v": "exp_avg_sq"}
    numbers = ("iterations", "momentum_cache")
    config_keys = ("schedule_decay", "beta_1", "beta_2", "epsilon")
    keras2_config_keys = ("beta_1", "beta_2", "epsilon", "schedule_decay")
    config_names = {"schedule_decay": "decay"}

    beta_1 = Hyper("beta_1")
    beta_2 = Hyper("beta_2")
    epsilon = Hyper("epsilon")
    schedule_decay = Hyper("schedule_decay")

    @keras_arguments("lr", "beta_1", "beta_2", "epsilon", "schedule_decay")
    def __init__(
        self,
        learning_rate: Any = BY_GENERATION,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = BY_GENERATION,
        name: str = "Nadam",
        *,
        schedule_decay: float = 0.004,
        **kwargs: Any,
    ) -> None:
        if "decay" in kwargs:
            if keras_version() != "2.4.0":
                raise TypeError("Nadam takes no decay: its momentum follows schedule_decay, its rate is constant.")
            warnings.warn(f"Nadam passes over decay={kwargs.pop('decay')!r}, as tf.keras 2.4.0 does: use schedule_decay.", stacklevel=3)
        if isinstance(learning_rate, LearningRateSchedule):
            raise ValueError("Nadam does not take a LearningRateSchedule as its learning_rate. Give a number, or use Adam.")
        hypers = {
            "beta_1": float(beta_1),
            "beta_2": float(beta_2),
            "epsilon": resolve_epsilon(epsilon),
            "schedule_decay": float(schedule_decay),
            "momentum_cache": 1.0,
        }
        super().__init__(name, resolve(learning_rate, "optimizer.rate.small"), hypers, **kwargs)
        if self.generation != "2.4.0":
            self.unrounded = self.unrounded | {"schedule_decay"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """An optimizer from `get_config()` of any release; the `decay` in configs of tf.keras is `schedule_decay`."""
        config = dict(config)
        if "decay" in config:
            config["schedule_decay"] = config.pop("decay")
        return super().from_config(config, custom_objects)

    @staticmethod
    def _momentum(group: Mapping[str, Any], beta_1: float, step: int) -> float:
        """The momentum of a step, counted from 1."""
        return beta_1 * (1.0 - 0.5 * MOMENTUM_BASE ** (step * group["schedule_decay"]))

    def _factors(self, bucket: Bucket, iteration: int) -> tuple[float, float, float, float]:
        """What to multiply gradient and first moment by, the rate, and epsilon, with the second moment's correction worked in."""
        group, step = bucket.group, iteration + 1
        beta_1, beta_2 = bucket.number(group["beta_1"]), bucket.number(group["beta_2"])
        momentum, next_momentum = self._momentum(group, beta_1, step), self._momentum(group, beta_1, step + 1)
        product = group["momentum_cache"] * momentum
        of_gradient = (1.0 - momentum) / (1.0 - product)
        of_mean = next_momentum / (1.0 - product * next_momentum)
        root = math.sqrt(1.0 - bucket.number(beta_2**step))
        return of_gradient, of_mean, bucket.number(group["lr"]) * root, group["epsilon"] * root

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """List operations."""
        of_gradient, of_mean, rate, epsilon = self._factors(bucket, iteration)
        beta_1, beta_2 = bucket.number(bucket.group["beta_1"]), bucket.number(bucket.group["beta_2"])
        means, squares = bucket.states["exp_avg"], bucket.states["exp_avg_sq"]
        torch._foreach_lerp_(means, grads, 1.0 - beta_1)
        torch._foreach_mul_(squares, beta_2)
        torch._foreach_addcmul_(squares, grads, grads, 1.0 - beta_2)
        ahead = list(torch._foreach_mul(grads, of_gradient))
        torch._foreach_add_(ahead, means, alpha=of_mean)
        roots = list(torch._foreach_sqrt(squares))
        torch._foreach_add_(roots, epsilon)
        torch._foreach_addcdiv_(bucket.params, ahead, roots, -rate)

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """All moments decay; only the rows seen are moved."""
        of_gradient, of_mean, rate, epsilon = self._factors(bucket, iteration)
        beta_1, beta_2 = bucket.number(bucket.group["beta_1"]), bucket.number(bucket.group["beta_2"])
        (means,), (squares,) = bucket.states["exp_avg"], bucket.states["exp_avg_sq"]
        dense = bucket.spread(rows, values)
        means.mul_(beta_1).add_(dense, alpha=1.0 - beta_1)
        squares.mul_(beta_2).addcmul_(dense, dense, value=1.0 - beta_2)
        ahead = dense.index_select(0, rows).mul_(of_gradient).add_(means.index_select(0, rows), alpha=of_mean)
        bucket.clear(rows)
        root = squares.index_select(0, rows).sqrt_().add_(epsilon)
        bucket.move(rows, ahead.div_(root).mul_(-rate))

    def end_step(self, group: dict[str, Any], iteration: int) -> None:
        """Also the product of all momenta so far."""
        super().end_step(group, iteration)
        group["momentum_cache"] *= self._momentum(group, group["beta_1"], iteration + 1)

    def sparse_differs(self) -> bool:
        """Always: rows that are not seen stay where they are."""
        return True
