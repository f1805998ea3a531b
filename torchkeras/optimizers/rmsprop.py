"""RMSprop, plain, centred and with momentum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import BY_GENERATION, choose
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper
from torchkeras.optimizers.record import keras_arguments, resolve_epsilon


class RMSprop(Optimizer):
    """RMSprop: `a = rho a + (1 - rho) g^2; w -= rate g / (sqrt(a) + epsilon)`.

    Centred, the mean of the gradients squared is taken from `a` before the root. With momentum, and in Keras 3, epsilon goes inside the root:
    `v = momentum v + rate g / sqrt(a + epsilon); w -= v`.

    Args:
        learning_rate: Rate per update, or a schedule; also `lr`. 0.001 in every release.
        rho: Decay of the mean of squares, 0-1.
        momentum: Fraction 0-1 of the last change that is kept.
        epsilon: Keeps the division finite; `None` is the global `epsilon()`.
        centered: Whether to divide by the deviation instead of the root of the mean square.
        name: Name in configs.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Raises:
        ValueError: `momentum` outside 0-1.

    Source: Hinton (2012), lecture 6; Keras 2.2.4 and tf.keras 2.4.0 `RMSprop`.
    """

    slots = {"rms": "square_avg", "momentum": "momentum_buffer", "mg": "grad_avg"}
    keras2_numbers = ()
    config_keys = ("decay", "rho", "momentum", "epsilon", "centered")
    keras2_config_keys = ("rho", "decay", "epsilon")
    keras2_extras = {"momentum": 0.0, "centered": False}

    _inside = False  # of pickles that were made before there was a choice

    rho = Hyper("rho")
    momentum = Hyper("momentum")
    epsilon = Hyper("epsilon")
    centered = Hyper("centered")

    @keras_arguments("lr", "rho", "epsilon", "decay")
    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float | None = BY_GENERATION,
        centered: bool = False,
        name: str = "RMSprop",
        **kwargs: Any,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"RMSprop takes a momentum between 0 and 1, but got {momentum!r}.")
        # Keras 3 has it inside in any case
        self._inside = choose("rmsprop.epsilon") == "inside"
        hypers = {"rho": float(rho), "momentum": float(momentum), "epsilon": resolve_epsilon(epsilon), "centered": bool(centered)}
        super().__init__(name, learning_rate, hypers, **kwargs)

    def state_keys(self, group: Mapping[str, Any]) -> dict[str, str]:
        """The mean square, and what momentum and centring need."""
        needed = {"rms": True, "momentum": group["momentum"], "mg": group["centered"]}
        return {slot: key for slot, key in self.slots.items() if needed[slot]}

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """One fused pass for the plain rule where memory layouts allow it, else list operations."""
        group, params = bucket.group, bucket.params
        rate, rho, epsilon = self.rate(bucket, iteration), bucket.number(group["rho"]), group["epsilon"]
        squares = bucket.states["square_avg"]
        if bucket.fused and not group["momentum"] and not group["centered"] and not self._inside:
            # The plain rule is Adam without a first moment: beta1 = 0 sets the moment to the gradient, so the gradient can stand for it.
            torch._fused_adam_(
                params,
                grads,
                grads,
                squares,
                [],
                bucket.steps(math.inf),
                lr=rate,
                beta1=0.0,
                beta2=rho,
                weight_decay=0.0,
                eps=epsilon,
                amsgrad=False,
                maximize=False,
            )
            return
        torch._foreach_mul_(squares, rho)
        torch._foreach_addcmul_(squares, grads, grads, 1.0 - rho)
        roots = squares
        if group["centered"]:
            means = self.states(bucket, "grad_avg")
            torch._foreach_lerp_(means, grads, 1.0 - rho)
            roots = list(torch._foreach_addcmul(squares, means, means, -1.0))
        if not group["momentum"]:
            if self._inside:
                roots = list(torch._foreach_add(roots, epsilon))
                torch._foreach_sqrt_(roots)
            else:
                roots = list(torch._foreach_sqrt(roots))
                torch._foreach_add_(roots, epsilon)
            torch._foreach_addcdiv_(params, grads, roots, -rate)
            return
        roots = list(torch._foreach_add(roots, epsilon))
        torch._foreach_sqrt_(roots)
        changes = self.states(bucket, "momentum_buffer")
        torch._foreach_mul_(changes, bucket.number(group["momentum"]))
        torch._foreach_addcdiv_(changes, grads, roots, rate)
        torch._foreach_sub_(params, changes)

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """With momentum, only the rows seen change, states included; without, the dense rule."""
        group = bucket.group
        if not group["momentum"]:
            super().update_rows(bucket, rows, values, iteration)
            return
        rate, rho = self.rate(bucket, iteration), bucket.number(group["rho"])
        grad = bucket.summed(rows, values)
        (squares,), (changes,) = bucket.states["square_avg"], self.states(bucket, "momentum_buffer")
        square = squares.index_select(0, rows).mul_(rho).addcmul_(grad, grad, value=1.0 - rho)
        squares.index_copy_(0, rows, square)
        if group["centered"]:
            (means,) = self.states(bucket, "grad_avg")
            mean = means.index_select(0, rows).mul_(rho).add_(grad, alpha=1.0 - rho)
            means.index_copy_(0, rows, mean)
            square = square.addcmul(mean, mean, value=-1.0)
        root = square.add(group["epsilon"]).sqrt_()
        change = changes.index_select(0, rows).mul_(bucket.number(group["momentum"])).addcdiv_(grad, root, value=rate)
        changes.index_copy_(0, rows, change)
        bucket.move(rows, change.neg())

    def sparse_differs(self) -> bool:
        """With momentum: rows that are not seen stay as they are."""
        return bool(self.read_hyper("momentum")) or super().sparse_differs()
