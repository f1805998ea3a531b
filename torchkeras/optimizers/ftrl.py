"""Follow the regularized leader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper
from torchkeras.optimizers.record import at_least_zero, keras_arguments


class Ftrl(Optimizer):
    """FTRL-proximal: weights are worked out anew from the sums of gradients, with L1 and L2 terms, so that many are exactly 0.

    With `p = -learning_rate_power` and `g' = g + 2 l2_shrinkage w`: `n' = n + g^2; z += g' - (n'^p - n^p) / rate w; n = n'`, then
    `w = (l1 sign(z) - z) / (n^p / rate + 2 l2)` where `|z| > l1`, else 0. A weight that has had no gradient becomes 0 at the first dense
    update; of a sparse gradient only the rows seen change.

    Args:
        learning_rate: Rate per update, or a schedule; also `lr`.
        learning_rate_power: At most 0; 0 keeps the rate fixed.
        initial_accumulator_value: What `n` starts with, at least 0.
        l1_regularization_strength: L1 term, at least 0.
        l2_regularization_strength: L2 term, at least 0.
        name: Name in configs.
        l2_shrinkage_regularization_strength: L2 term that acts on the gradient, at least 0.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Raises:
        ValueError: an argument beyond its bound.

    Source: McMahan et al. (2013); tf.keras 2.4.0 `Ftrl`.
    """

    slots = {"accumulator": "accumulator", "linear": "linear"}
    listed_by_parameter = True
    config_keys = (
        "decay",
        "initial_accumulator_value",
        "learning_rate_power",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
    )
    keras2_config_keys = config_keys
    unrounded = frozenset({"initial_accumulator_value", "l2_shrinkage_regularization_strength"})

    initial_accumulator_value = Hyper("initial_accumulator_value")
    learning_rate_power = Hyper("learning_rate_power")
    l1_regularization_strength = Hyper("l1_regularization_strength")
    l2_regularization_strength = Hyper("l2_regularization_strength")
    l2_shrinkage_regularization_strength = Hyper("l2_shrinkage_regularization_strength")

    @keras_arguments()
    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        name: str = "Ftrl",
        l2_shrinkage_regularization_strength: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if not learning_rate_power <= 0:
            raise ValueError(f"Ftrl takes a learning_rate_power of at most 0, but got {learning_rate_power!r}.")
        bounded = {
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        hypers = {key: at_least_zero(self, key, value) for key, value in bounded.items()}
        super().__init__(name, learning_rate, {"learning_rate_power": float(learning_rate_power), **hypers}, **kwargs)

    def first_value(self, key: str) -> float:
        """`initial_accumulator_value` for the accumulator."""
        return self.read_hyper("initial_accumulator_value") if key == "accumulator" else 0.0

    def _apply(self, bucket: Bucket, iteration: int, lists: Sequence[list[Tensor]], grads: list[Tensor], scaled: bool) -> None:
        """The rule on lists of parameters, accumulators and linear sums, in place.

        Args:
            bucket: Gives the hyper-parameters.
            iteration: The number of updates made before this one.
            lists: Parameters, accumulators, linear sums.
            grads: The gradients.
            scaled: Whether the linear sums have the rate in them.
        """
        group, number, (params, sums, linears) = bucket.group, bucket.number, lists
        rate, power = self.rate(bucket, iteration), -number(group["learning_rate_power"])
        unit, divisor = (rate, 1.0) if scaled else (1.0, rate)
        l1, l2 = unit * number(group["l1_regularization_strength"]), unit * number(group["l2_regularization_strength"])
        shrinkage = unit * group["l2_shrinkage_regularization_strength"]
        before = torch._foreach_pow(sums, power)
        torch._foreach_addcmul_(sums, grads, grads, 1.0)
        curvatures = list(torch._foreach_pow(sums, power))
        growth = list(torch._foreach_sub(curvatures, before))  # first the difference of near numbers, then the division
        torch._foreach_div_(growth, divisor)
        torch._foreach_add_(linears, grads, alpha=unit)
        if shrinkage:
            torch._foreach_add_(linears, params, alpha=2.0 * shrinkage)
        torch._foreach_addcmul_(linears, growth, params, -1.0)
        torch._foreach_div_(curvatures, divisor)
        torch._foreach_add_(curvatures, 2.0 * l2)
        for param, linear, curvature in zip(params, linears, curvatures, strict=True):
            # clamp(z, -l1, l1) - z is l1 sign(z) - z beyond l1, and 0 within
            param.copy_(linear.clamp(-l1, l1).sub_(linear).div_(curvature))

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """List operations; with shrinkage the linear sums have the rate in them, as in TensorFlow 2.3's kernel for dense gradients."""
        lists = (bucket.params, bucket.states["accumulator"], bucket.states["linear"])
        self._apply(bucket, iteration, lists, grads, bool(bucket.group["l2_shrinkage_regularization_strength"]))

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """Only the rows seen change, states included."""
        whole = (bucket.params[0], bucket.states["accumulator"][0], bucket.states["linear"][0])
        parts = [[tensor.index_select(0, rows)] for tensor in whole]
        self._apply(bucket, iteration, parts, [bucket.summed(rows, values)], scaled=False)
        for tensor, (part,) in zip(whole, parts, strict=True):
            tensor.index_copy_(0, rows, part)

    def sparse_differs(self) -> bool:
        """Always: rows that are not seen stay as they are."""
        return True
