"""One process's shards of the trained weights (`compile(distribute="fsdp")`): what the optimizer, regularizers and constraints see of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.regularizers import L1L2


class Shards:
    """This process's shards of the trained weights, as plain parameters that an optimizer can have.

    Args:
        parameters: The trained parameters of a sharded model.
    """

    def __init__(self, parameters: list[Any]) -> None:
        self.sharded = parameters
        self.local = [nn.Parameter(parameter.detach().to_local()) for parameter in parameters]  # the same memory
        self._penalties: dict[int, Tensor] = {}  # gradients of regularizers, by parameter

    def hand_over(self) -> None:
        """Give the shards the gradients that came for the weights, and those of their regularizers."""
        for sharded, local in zip(self.sharded, self.local, strict=True):
            grad = None if sharded.grad is None else sharded.grad.to_local()
            added = self._penalties.pop(id(sharded), None)
            local.grad = added if grad is None else grad if added is None else grad + added
            sharded.grad = None

    def stepping(self, step: Callable[[], Any]) -> Callable[[], None]:
        """An optimizer's step on the shards."""

        def on_shards() -> None:
            self.hand_over()
            step()
            for local in self.local:
                local.grad = None

        return on_shards

    def penalty(self, regularized: Iterable[tuple[Any, Any]]) -> Tensor:
        """The regularizers' sum, the same in every process and without a graph; `hand_over` adds the gradients.

        So they count once, however the loss is shared out and over however many batches gradients are gathered.

        Args:
            regularized: Layers and the specifications of their weights.
        """
        trained = {id(sharded) for sharded in self.sharded} if torch.is_grad_enabled() else set()
        parts: list[Tensor] = []  # of this process alone
        total: Tensor | None = None
        for layer, spec in regularized:
            stored = layer._stored(spec)
            in_parts = type(spec.regularizer) is L1L2
            held = stored.detach().to_local() if in_parts else stored.detach().full_tensor()
            with torch.enable_grad():
                held.requires_grad_(id(stored) in trained)
                value = spec.regularizer(held if in_parts else spec.layout.to_keras(held, spec.shape))
            if held.requires_grad:
                (grad,) = torch.autograd.grad(value, held)
                self._penalties[id(stored)] = grad if in_parts else shard_like(stored, grad)
            if in_parts:
                parts.append(value.detach())
            else:
                total = value.detach() if total is None else total + value.detach()
        if parts:
            joint = torch.stack(parts).sum()
            torch.distributed.all_reduce(joint)
            total = joint if total is None else total + joint
        assert total is not None
        return total


def shard_like(weight: Any, value: Tensor) -> Tensor:
    """This process's part of a whole tensor that all processes have, cut as a sharded weight is."""
    from torch.distributed.tensor import distribute_tensor

    local: Tensor = distribute_tensor(value, weight.device_mesh, weight.placements, src_data_rank=None).to_local()
    return local


def constrain(weight: Any, constraint: Callable[[Tensor], Tensor]) -> None:
    """Put a sharded weight where a constraint of the whole wants it. Gradients must not be recorded."""
    weight.to_local().copy_(shard_like(weight, constraint(weight.full_tensor())))


def joint_norms(norms: list[Tensor]) -> list[Tensor]:
    """Norms of whole gradients, for those of the shards that each process has."""
    precise = torch.promote_types(norms[0].dtype, torch.float32)
    squares = torch.stack([norm.to(precise) for norm in norms]).square()
    torch.distributed.all_reduce(squares)
    return [norm.to(norms[0].dtype) for norm in squares.sqrt().unbind()]
