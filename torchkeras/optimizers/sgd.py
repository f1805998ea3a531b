"""Stochastic gradient descent with Keras' momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import choose
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper
from torchkeras.optimizers.record import keras_arguments

SMALLEST = 5e-324  # a momentum that torch does not take for 0, and that is 0 in float32


class SGD(Optimizer):
    """Gradient descent: `w -= rate g`; with momentum `v = m v - rate g; w += v`.

    torch's own SGD keeps `v = m v + g; w -= rate v`, which differs as soon as the rate moves; here `v` has the rate in it, as in Keras.

    Args:
        learning_rate: Rate per update, or a schedule; also `lr`. 0.01 in every release.
        momentum: Fraction 0-1 of the last change that is kept.
        nesterov: Whether to step along `m v - rate g` instead.
        name: Name in configs.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Raises:
        ValueError: `momentum` outside 0-1.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `SGD`; Sutskever et al. (2013) for `nesterov`.
    """

    slots = {"momentum": "momentum_buffer"}
    placed = frozenset({"momentum"})
    config_keys = ("decay", "momentum", "nesterov")
    keras2_config_keys = ("momentum", "decay", "nesterov")

    momentum = Hyper("momentum")
    nesterov = Hyper("nesterov")

    @keras_arguments("lr", "momentum", "decay", "nesterov")
    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, name: str = "SGD", **kwargs: Any) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"SGD takes a momentum between 0 and 1, but got {momentum!r}.")
        super().__init__(name, learning_rate, {"momentum": float(momentum), "nesterov": bool(nesterov)}, **kwargs)
        self._always_velocity: bool = choose("optimizer.sgd_always_velocity")

    def state_keys(self, group: Mapping[str, Any]) -> dict[str, str]:
        """The velocity, where there is momentum; Keras 2.2.4 always has it."""
        return self.slots if group["momentum"] or self._always_velocity else {}

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """One fused pass where memory layouts allow it, else list operations."""
        group, params = bucket.group, bucket.params
        rate = self.rate(bucket, iteration)
        if not group["momentum"] and not self._always_velocity:
            torch._foreach_add_(params, grads, alpha=-rate)
            return
        velocities = self.states(bucket, "momentum_buffer")
        momentum, nesterov = bucket.number(group["momentum"]), group["nesterov"]
        if bucket.fused:
            # torch's kernel: v = m v + (1 - dampening) g; w -= lr (nesterov ? g + m v : v). With these arguments it is Keras' rule.
            torch._fused_sgd_(
                params,
                list(torch._foreach_mul(grads, -rate)) if nesterov else grads,
                velocities,
                weight_decay=0.0,
                momentum=momentum or SMALLEST,
                lr=-1.0,
                dampening=0.0 if nesterov else 1.0 + rate,
                nesterov=nesterov,
                maximize=False,
                is_first_step=False,
            )
            return
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, grads, alpha=-rate)
        torch._foreach_add_(params, velocities, alpha=momentum if nesterov else 1.0)
        if nesterov:
            torch._foreach_add_(params, grads, alpha=-rate)

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """With momentum, only the rows seen have their velocity decayed and are moved."""
        group, param = bucket.group, bucket.params[0]
        rate = self.rate(bucket, iteration)
        if not group["momentum"] and not self._always_velocity:
            param.index_add_(0, rows, values, alpha=-rate)
            return
        (velocities,) = self.states(bucket, "momentum_buffer")
        momentum = bucket.number(group["momentum"])
        change = bucket.summed(rows, values).mul_(-rate)
        velocity = velocities.index_select(0, rows).mul_(momentum).add_(change)
        velocities.index_copy_(0, rows, velocity)
        bucket.move(rows, velocity.mul_(momentum).add_(change) if group["nesterov"] else velocity)

    def sparse_differs(self) -> bool:
        """With momentum: rows that are not seen keep their velocity and place."""
        return bool(self.read_hyper("momentum")) or super().sparse_differs()
