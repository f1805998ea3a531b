"""Adam, with AMSGrad, and Adamax, in Keras' form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import BY_GENERATION, choose, resolve
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper
from torchkeras.optimizers.record import keras_arguments, resolve_epsilon


class Adam(Optimizer):
    """Adam: `m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= rate_t m / (sqrt(v) + epsilon)`.

    `rate_t = rate sqrt(1 - b2^t) / (1 - b1^t)`: epsilon is added before the bias correction of the root, torch adds it after.

    Args:
        learning_rate: Rate per update, or a schedule; also `lr`. 0.001 in every release.
        beta_1: Decay of the first moment, 0-1.
        beta_2: Decay of the second moment, 0-1.
        epsilon: Added to the root; `None` is the global `epsilon()`.
        amsgrad: Whether to divide by the root of the largest second moment so far.
        name: Name in configs.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Source: Kingma & Ba (2014), the form before section 2.1; Reddi et al. (2018) for `amsgrad`.
    """

    slots = {"m": "exp_avg", "v": "exp_avg_sq", "vhat": "max_exp_avg_sq"}
    placed = frozenset({"vhat"})
    config_keys = ("decay", "beta_1", "beta_2", "epsilon", "amsgrad")
    keras2_config_keys = ("beta_1", "beta_2", "decay", "epsilon", "amsgrad")

    beta_1 = Hyper("beta_1")
    beta_2 = Hyper("beta_2")
    epsilon = Hyper("epsilon")
    amsgrad = Hyper("amsgrad")

    @keras_arguments("lr", "beta_1", "beta_2", "epsilon", "decay", "amsgrad")
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = BY_GENERATION,
        amsgrad: bool = False,
        name: str = "Adam",
        **kwargs: Any,
    ) -> None:
        hypers = {"beta_1": float(beta_1), "beta_2": float(beta_2), "epsilon": resolve_epsilon(epsilon), "amsgrad": bool(amsgrad)}
        super().__init__(name, learning_rate, hypers, **kwargs)
        self._shows_amsgrad: bool = choose("optimizer.adam_has_amsgrad")

    def state_keys(self, group: Mapping[str, Any]) -> dict[str, str]:
        """The moments; with `amsgrad` also the largest second one."""
        return {slot: key for slot, key in self.slots.items() if slot != "vhat" or group["amsgrad"]}

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """One fused pass where memory layouts allow it, else list operations."""
        group, states, number = bucket.group, bucket.states, bucket.number
        beta_1, beta_2 = number(group["beta_1"]), number(group["beta_2"])
        correction = math.sqrt(1.0 - number(beta_2 ** (iteration + 1))) / (1.0 - number(beta_1 ** (iteration + 1)))
        rate = self.rate(bucket, iteration) * correction
        amsgrad = group["amsgrad"]
        means, squares = states["exp_avg"], states["exp_avg_sq"]
        largest = self.states(bucket, "max_exp_avg_sq") if amsgrad else []
        if bucket.fused:
            # At step infinity torch's own bias correction is 1, which leaves exactly Keras' rule.
            torch._fused_adam_(
                bucket.params,
                grads,
                means,
                squares,
                largest,
                bucket.steps(math.inf),
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                weight_decay=0.0,
                eps=group["epsilon"],
                amsgrad=amsgrad,
                maximize=False,
            )
            return
        torch._foreach_lerp_(means, grads, 1.0 - beta_1)
        torch._foreach_mul_(squares, beta_2)
        torch._foreach_addcmul_(squares, grads, grads, 1.0 - beta_2)
        if amsgrad:
            torch._foreach_maximum_(largest, squares)
        roots = list(torch._foreach_sqrt(largest if amsgrad else squares))
        torch._foreach_add_(roots, group["epsilon"])
        torch._foreach_addcdiv_(bucket.params, means, roots, -rate)

    def get_config(self) -> dict[str, Any]:
        """The hyper-parameters under the names that the release has; Keras 1 has no `amsgrad`."""
        config = super().get_config()
        if not self._shows_amsgrad and not config["amsgrad"]:
            del config["amsgrad"]
        return config


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the second moment.

    `m = b1 m + (1 - b1) g; u = max(b2 u, |g|); w -= rate / (1 - b1^t) m / (u + epsilon)`. Of a sparse gradient only the rows seen change.

    Args:
        learning_rate: Rate per update, or a schedule; also `lr`. 0.001, in Keras 2.2.4 0.002.
        beta_1: Decay of the first moment, 0-1.
        beta_2: Decay of the largest gradient, 0-1.
        epsilon: Added to the divisor; `None` is the global `epsilon()`.
        name: Name in configs.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Source: Kingma & Ba (2014), section 7.
    """

    slots = {"m": "exp_avg", "v": "exp_inf"}
    config_keys = ("decay", "beta_1", "beta_2", "epsilon")
    keras2_config_keys = ("beta_1", "beta_2", "decay", "epsilon")

    beta_1 = Hyper("beta_1")
    beta_2 = Hyper("beta_2")
    epsilon = Hyper("epsilon")

    @keras_arguments("lr", "beta_1", "beta_2", "epsilon", "decay")
    def __init__(
        self,
        learning_rate: Any = BY_GENERATION,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = BY_GENERATION,
        name: str = "Adamax",
        **kwargs: Any,
    ) -> None:
        hypers = {"beta_1": float(beta_1), "beta_2": float(beta_2), "epsilon": resolve_epsilon(epsilon)}
        super().__init__(name, resolve(learning_rate, "optimizer.rate.small"), hypers, **kwargs)

    def _corrected_rate(self, bucket: Bucket, beta_1: float, iteration: int) -> float:
        return self.rate(bucket, iteration) / (1.0 - bucket.number(beta_1 ** (iteration + 1)))

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """List operations."""
        beta_1, beta_2 = bucket.number(bucket.group["beta_1"]), bucket.number(bucket.group["beta_2"])
        means, sizes = bucket.states["exp_avg"], bucket.states["exp_inf"]
        torch._foreach_lerp_(means, grads, 1.0 - beta_1)
        torch._foreach_mul_(sizes, beta_2)
        torch._foreach_maximum_(sizes, torch._foreach_abs(grads))
        divisors = torch._foreach_add(sizes, bucket.group["epsilon"])
        torch._foreach_addcdiv_(bucket.params, means, divisors, -self._corrected_rate(bucket, beta_1, iteration))

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """Only the rows seen change, states included."""
        beta_1, beta_2 = bucket.number(bucket.group["beta_1"]), bucket.number(bucket.group["beta_2"])
        grad = bucket.summed(rows, values)
        (means,), (sizes,) = bucket.states["exp_avg"], bucket.states["exp_inf"]
        mean = means.index_select(0, rows).mul_(beta_1).add_(grad, alpha=1.0 - beta_1)
        size = torch.maximum(sizes.index_select(0, rows).mul_(beta_2), grad.abs())
        means.index_copy_(0, rows, mean)
        sizes.index_copy_(0, rows, size)
        bucket.move(rows, mean.div_(size.add_(bucket.group["epsilon"])).mul_(-self._corrected_rate(bucket, beta_1, iteration)))

    def sparse_differs(self) -> bool:
        """Always: rows that are not seen stay as they are."""
        return True
