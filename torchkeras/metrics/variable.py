"""The tensors that a metric adds up in."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor


def as_variable(tensor: Tensor) -> Tensor:
    """`tensor` as a `MetricVariable` that shares its memory; subclasses of other making (torch's fake tensors) stay what they are."""
    return tensor.as_subclass(MetricVariable) if type(tensor) is Tensor else tensor


class MetricVariable(Tensor):
    """A tensor with the writing methods of a Keras variable; what is computed from it is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def assign(self, value: Any) -> MetricVariable:
        """Write `value`, in place."""
        with torch.no_grad():
            self.copy_(torch.as_tensor(value).expand(self.shape))
        return self

    def assign_add(self, value: Any) -> MetricVariable:
        """Add `value`, in place."""
        with torch.no_grad():
            self.add_(value if isinstance(value, (Tensor, int, float)) else torch.as_tensor(value, device=self.device))
        return self

    def assign_sub(self, value: Any) -> MetricVariable:
        """Subtract `value`, in place."""
        with torch.no_grad():
            self.sub_(value if isinstance(value, (Tensor, int, float)) else torch.as_tensor(value, device=self.device))
        return self

    def read_value(self) -> Tensor:
        """The values as a plain tensor that shares memory."""
        return self.as_subclass(Tensor)

    value = read_value

    def __deepcopy__(self, memo: dict[int, Any]) -> MetricVariable:
        copied = copy.deepcopy(self.as_subclass(Tensor), memo).as_subclass(MetricVariable)
        memo[id(self)] = copied
        return copied
