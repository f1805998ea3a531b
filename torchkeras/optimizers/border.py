"""Where an optimizer meets Keras' layouts: weights of layers stand for parameters stored in torch's layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class Border:
    """Knows, for parameters that were given as weights of a layer, how to turn their states into Keras' layout.

    A weight of a layer is any tensor with `parameter` (the stored parameter) and `spec` (with `layout` and `shape`).
    """

    def __init__(self) -> None:
        self._specs: dict[Tensor, Any] = {}

    def adopt(self, parameters: Iterable[Any]) -> list[dict[str, Any]]:
        """Param groups of stored parameters, for parameters, (name, parameter) pairs, groups or weights of layers."""
        if isinstance(parameters, Tensor):
            raise TypeError("bind takes an iterable of parameters or param groups, but got one tensor. Put it in a list.")
        items = list(parameters)
        if not items:
            raise ValueError("bind got no parameters: build the model first (call it once, or give it an input shape).")
        groups = items if isinstance(items[0], Mapping) else [{"params": items}]
        adopted = []
        for group in groups:
            params = group["params"]
            params = [params] if isinstance(params, Tensor) else list(params)
            adopted.append({**group, "params": [self._stored(item) for item in params]})
        return adopted

    def _stored(self, item: Any) -> Any:
        if isinstance(item, tuple):
            return (item[0], self.parameter(item[1]))
        return self.parameter(item)

    def parameter(self, weight: Any) -> Any:
        """The stored parameter of a weight of a layer; any other tensor as it is."""
        stored = getattr(weight, "parameter", None)
        if not isinstance(stored, Tensor):
            return weight
        self._specs[stored] = weight.spec
        return stored

    def to_keras(self, param: Tensor, value: Tensor) -> Tensor:
        """A tensor shaped like the parameter, in Keras' layout."""
        spec = self._specs.get(param)
        return value if spec is None else spec.layout.to_keras(value, spec.shape)

    def to_torch(self, param: Tensor, value: Tensor) -> Tensor:
        """A tensor in Keras' layout, in the parameter's."""
        spec = self._specs.get(param)
        if spec is None:
            return value
        with torch.no_grad():
            return spec.layout.to_torch(value)
