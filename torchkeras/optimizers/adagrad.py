"""Adagrad and Adadelta: rates by the size of past gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.hyper import Hyper
from torchkeras.optimizers.record import at_least_zero, keras_arguments, resolve_epsilon


class Adagrad(Optimizer):
    """Adagrad: `a += g^2; w -= rate g / (sqrt(a) + epsilon)`.

    Args:
        learning_rate: Rate per update, or a schedule; also `lr`. 0.001, in Keras 2.2.4 0.01.
        initial_accumulator_value: What `a` starts with, at least 0. 0.1, in Keras 2.2.4 0.
        epsilon: Added to the root; `None` is the global `epsilon()`.
        name: Name in configs.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Raises:
        ValueError: a negative `initial_accumulator_value`.

    Source: Duchi et al. (2011); Keras 2.2.4 and tf.keras 2.4.0 `Adagrad`.
    """

    slots = {"accumulator": "sum"}
    keras2_numbers = ()
    config_keys = ("decay", "initial_accumulator_value", "epsilon")
    keras2_config_keys = ("decay", "epsilon")
    keras2_extras = {"initial_accumulator_value": 0.0}
    unrounded = frozenset({"epsilon", "initial_accumulator_value"})

    epsilon = Hyper("epsilon")
    initial_accumulator_value = Hyper("initial_accumulator_value")

    @keras_arguments("lr", "epsilon", "decay")
    def __init__(
        self,
        learning_rate: Any = BY_GENERATION,
        initial_accumulator_value: float = BY_GENERATION,
        epsilon: float | None = BY_GENERATION,
        name: str = "Adagrad",
        **kwargs: Any,
    ) -> None:
        start = at_least_zero(self, "initial_accumulator_value", resolve(initial_accumulator_value, "optimizer.adagrad_start"))
        hypers = {"initial_accumulator_value": start, "epsilon": resolve_epsilon(epsilon)}
        super().__init__(name, resolve(learning_rate, "optimizer.rate.adagrad"), hypers, **kwargs)

    def first_value(self, key: str) -> float:
        """`initial_accumulator_value`."""
        return self.read_hyper("initial_accumulator_value")

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """One fused pass on the CPU, else list operations."""
        rate, epsilon, sums = self.rate(bucket, iteration), bucket.group["epsilon"], bucket.states["sum"]
        if bucket.fused and bucket.device.type == "cpu":
            torch._fused_adagrad_(bucket.params, grads, sums, bucket.steps(1.0), lr=rate, lr_decay=0.0, weight_decay=0.0, eps=epsilon, maximize=False)
            return
        torch._foreach_addcmul_(sums, grads, grads, 1.0)
        roots = list(torch._foreach_sqrt(sums))
        torch._foreach_add_(roots, epsilon)
        torch._foreach_addcdiv_(bucket.params, grads, roots, -rate)

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """The dense rule, on the rows seen: elsewhere it changes nothing."""
        grad = bucket.summed(rows, values)
        (sums,) = bucket.states["sum"]
        total = sums.index_select(0, rows).addcmul_(grad, grad)
        sums.index_copy_(0, rows, total)
        bucket.move(rows, grad.div_(total.sqrt_().add_(bucket.group["epsilon"])).mul_(-self.rate(bucket, iteration)))


class Adadelta(Optimizer):
    """Adadelta: the step is the gradient times the ratio of the sizes of past steps and past gradients.

    `a = rho a + (1 - rho) g^2; s = g sqrt(d + epsilon) / sqrt(a + epsilon); w -= rate s; d = rho d + (1 - rho) s^2`. Of a sparse gradient
    only the rows seen change.

    Args:
        learning_rate: Factor of each step, or a schedule; also `lr`. 0.001, in Keras 2.2.4 and in the paper 1.0.
        rho: Decay of the two means, 0-1.
        epsilon: Inside the roots; `None` is the global `epsilon()`.
        name: Name in configs.
        **kwargs: `decay`, `clipnorm`, `clipvalue`, `global_clipnorm`.

    Source: Zeiler (2012); Keras 2.2.4 and tf.keras 2.4.0 `Adadelta`.
    """

    slots = {"accum_grad": "square_avg", "accum_var": "acc_delta"}
    keras2_numbers = ()
    config_keys = ("decay", "rho", "epsilon")
    keras2_config_keys = ("rho", "decay", "epsilon")

    rho = Hyper("rho")
    epsilon = Hyper("epsilon")

    @keras_arguments("lr", "rho", "epsilon", "decay")
    def __init__(
        self,
        learning_rate: Any = BY_GENERATION,
        rho: float = 0.95,
        epsilon: float | None = BY_GENERATION,
        name: str = "Adadelta",
        **kwargs: Any,
    ) -> None:
        hypers = {"rho": float(rho), "epsilon": resolve_epsilon(epsilon)}
        super().__init__(name, resolve(learning_rate, "optimizer.rate.adadelta"), hypers, **kwargs)
        if self.generation != "2.4.0":
            self.unrounded = self.unrounded | {"rho"}

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """List operations."""
        rho, epsilon = bucket.number(bucket.group["rho"]), bucket.group["epsilon"]
        squares, deltas = bucket.states["square_avg"], bucket.states["acc_delta"]
        torch._foreach_mul_(squares, rho)
        torch._foreach_addcmul_(squares, grads, grads, 1.0 - rho)
        steps = list(torch._foreach_add(deltas, epsilon))
        torch._foreach_div_(steps, torch._foreach_add(squares, epsilon))
        torch._foreach_sqrt_(steps)
        torch._foreach_mul_(steps, grads)
        torch._foreach_add_(bucket.params, steps, alpha=-self.rate(bucket, iteration))
        torch._foreach_mul_(deltas, rho)
        torch._foreach_addcmul_(deltas, steps, steps, 1.0 - rho)

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """Only the rows seen change, states included."""
        rho, epsilon = bucket.number(bucket.group["rho"]), bucket.group["epsilon"]
        grad = bucket.summed(rows, values)
        (squares,), (deltas,) = bucket.states["square_avg"], bucket.states["acc_delta"]
        square = squares.index_select(0, rows).mul_(rho).addcmul_(grad, grad, value=1.0 - rho)
        delta = deltas.index_select(0, rows)
        step = delta.add(epsilon).div_(square.add(epsilon)).sqrt_().mul_(grad)
        squares.index_copy_(0, rows, square)
        deltas.index_copy_(0, rows, delta.mul_(rho).addcmul_(step, step, value=1.0 - rho))
        bucket.move(rows, step.mul_(-self.rate(bucket, iteration)))

    def sparse_differs(self) -> bool:
        """Always: the means of rows that are not seen do not decay."""
        return True
