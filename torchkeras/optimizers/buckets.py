"""Parameters gathered into lists once, so that a step is a few calls of list kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchkeras.optimizers.hyper import single


class Bucket:
    """Parameters of one group, device and type that have gradients, with their state as lists.

    Args:
        group: The param group, whose hyper-parameters hold.
        params: The parameters.
        states: For each state key the parameters' tensors, in the same order.
        sparse: Whether the gradients are sparse; such a bucket holds one parameter.
    """

    def __init__(self, group: dict[str, Any], params: list[Tensor], states: dict[str, list[Tensor]], sparse: bool) -> None:
        self.group = group
        self.params = params
        self.states = states
        self.sparse = sparse
        self.laid_out = [(param, param.stride()) for param in params]
        self.dtype = params[0].dtype
        self.device = params[0].device
        # Keras keeps hyper-parameters in float32; a float64 model keeps them as they are.
        self.number: Callable[[float], float] = float if self.dtype == torch.float64 else single
        # List kernels walk memory in order, so they need params that fill theirs without gaps.
        self.fused = self.dtype.is_floating_point and all(torch.empty_like(param).stride() == param.stride() for param in params)
        self._unit_step: Tensor | None = None

    def gradients(self) -> list[Tensor] | None:
        """The gradients in the parameters' memory order; `None` where the bucket no longer fits them."""
        if self.sparse:
            grad = self.params[0].grad
            return [grad] if grad is not None and grad.is_sparse else None
        grads = []
        for param, stride in self.laid_out:
            grad = param.grad
            if grad is None or grad.is_sparse:
                return None
            if grad.stride() != stride:
                grad = torch.empty_like(param).copy_(grad)
            grads.append(grad)
        return grads

    @property
    def endless_step(self) -> Tensor:
        """A step count of infinity: switches off the bias correction of torch's fused kernels."""
        if self._unit_step is None:
            self._unit_step = torch.full((), float("inf"), dtype=torch.float32, device=self.device)
        return self._unit_step
