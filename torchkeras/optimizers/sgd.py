"""Stochastic gradient descent with Keras' momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import choose
from torchkeras.optimizers.base import Optimizer, keras_arguments
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper

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
        return {"momentum": "momentum_buffer"} if group["momentum"] or self._always_velocity else {}

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """One fused pass where memory layouts allow it, else list operations."""
        group, params = bucket.group, bucket.params
        rate = self.rate(bucket, iteration)
        momentum = bucket.number(group["momentum"])
        velocities = bucket.states.get("momentum_buffer")
        if velocities is None:
            torch._foreach_add_(params, grads, alpha=-rate)
        elif bucket.fused:
            # torch's kernel: v = m v + (1 - dampening) g; w -= lr (nesterov ? g + m v : v). With these arguments it is Keras' rule.
            nesterov = group["nesterov"]
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
        else:
            torch._foreach_mul_(velocities, momentum)
            torch._foreach_add_(velocities, grads, alpha=-rate)
            torch._foreach_add_(params, velocities, alpha=momentum if group["nesterov"] else 1.0)
            if group["nesterov"]:
                torch._foreach_add_(params, grads, alpha=-rate)

    def update_sparse(self, bucket: Bucket, grad: Tensor, iteration: int) -> None:
        """With momentum, only the rows seen have their velocity decayed and are moved."""
        group, param = bucket.group, bucket.params[0]
        rate = self.rate(bucket, iteration)
        rows, values = grad.indices()[0], grad.values()
        velocities = bucket.states.get("momentum_buffer")
        if velocities is None:
            param.index_add_(0, rows, values, alpha=-rate)
            return
        momentum = bucket.number(group["momentum"])
        velocity = velocities[0].index_select(0, rows).mul_(momentum).sub_(values, alpha=rate)
        velocities[0].index_copy_(0, rows, velocity)
        param.index_add_(0, rows, velocity.mul(momentum).sub_(values, alpha=rate) if group["nesterov"] else velocity)

    def sparse_differs(self) -> bool:
        """With momentum: rows that are not seen keep their velocity."""
        return bool(self.read_hyper("momentum"))
