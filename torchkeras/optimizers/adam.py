"""Adam and its AMSGrad variant, in Keras' form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import BY_GENERATION
from torchkeras.optimizers.base import Optimizer, keras_arguments, resolve_epsilon
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper


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

    def state_keys(self, group: Mapping[str, Any]) -> dict[str, str]:
        """The moments; with `amsgrad` also the largest second one."""
        keys = {"m": "exp_avg", "v": "exp_avg_sq"}
        return {**keys, "vhat": "max_exp_avg_sq"} if group["amsgrad"] else keys

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """One fused pass where memory layouts allow it, else list operations."""
        group, states, number = bucket.group, bucket.states, bucket.number
        beta_1, beta_2 = number(group["beta_1"]), number(group["beta_2"])
        correction = math.sqrt(1.0 - number(beta_2 ** (iteration + 1))) / (1.0 - number(beta_1 ** (iteration + 1)))
        rate = self.rate(bucket, iteration) * correction
        largest = states["max_exp_avg_sq"] if group["amsgrad"] else []
        if bucket.fused:
            # At step infinity torch's own bias correction is 1, which leaves exactly Keras' rule.
            torch._fused_adam_(
                bucket.params,
                grads,
                states["exp_avg"],
                states["exp_avg_sq"],
                largest,
                [bucket.endless_step] * len(grads),
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                weight_decay=0.0,
                eps=group["epsilon"],
                amsgrad=group["amsgrad"],
                maximize=False,
            )
            return
        torch._foreach_lerp_(states["exp_avg"], grads, 1.0 - beta_1)
        torch._foreach_mul_(states["exp_avg_sq"], beta_2)
        torch._foreach_addcmul_(states["exp_avg_sq"], grads, grads, 1.0 - beta_2)
        if group["amsgrad"]:
            torch._foreach_maximum_(largest, states["exp_avg_sq"])
        roots = torch._foreach_sqrt(largest if group["amsgrad"] else states["exp_avg_sq"])
        torch._foreach_add_(roots, group["epsilon"])
        torch._foreach_addcdiv_(bucket.params, states["exp_avg"], roots, -rate)
