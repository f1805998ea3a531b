"""Where an optimizer meets Keras' layouts: weights of layers stand for parameters stored in torch's layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class Border:
    """Knows, of parameters that were given as weights of a layer, how their states look in Keras' layout.

    A weight of a layer is a tensor with `parameter` (the stored one), `path` (its name) and `spec` (with `layout` and `shape`).
    """

    def __init__(self) -> None:
        self._known: dict[Tensor, tuple[Any, str]] = {}

    def adopt(self, parameters: Iterable[Any]) -> list[dict[str, Any]]:
        """Param groups of stored parameters, each once, for parameters, (name, parameter) pairs, groups or weights of layers.

        Raises:
            TypeError: a single tensor.
            ValueError: nothing was given.
        """
        if isinstance(parameters, Tensor):
            raise TypeError("bind takes an iterable of parameters or param groups, but got one tensor: put it in a list.")
        items = list(parameters)
        if not items:
            raise ValueError("bind got no parameters: build the model first (call it once, or give it an input shape).")
        groups = items if isinstance(items[0], Mapping) else [{"params": items}]
        seen: set[int] = set()
        adopted = []
        for group in groups:
            params = group["params"]
            stored = []
            for item in [params] if isinstance(params, Tensor) else params:
                name, weight = item if isinstance(item, tuple) else (None, item)
                param = self.parameter(weight)
                if id(param) not in seen:  # a shared layer is listed wherever it is used
                    seen.add(id(param))
                    stored.append(param if name is None else (name, param))
            adopted.append({**group, "params": stored})
        return adopted

    def parameter(self, weight: Any) -> Any:
        """The stored parameter of a weight of a layer; any other tensor as it is."""
        stored = getattr(weight, "parameter", None)
        if not isinstance(stored, Tensor):
            return weight
        self._known[stored] = (weight.spec, weight.path)
        return stored

    def to_keras(self, param: Tensor, value: Tensor) -> Tensor:
        """A tensor shaped like the parameter, in Keras' layout."""
        if param not in self._known:
            return value
        spec, _ = self._known[param]
        return spec.layout.to_keras(value, spec.shape)

    def to_torch(self, param: Tensor, value: Tensor) -> Tensor:
        """A tensor in Keras' layout, in the parameter's."""
        if param not in self._known:
            return value
        with torch.no_grad():
            return self._known[param][0].layout.to_torch(value)

    def path(self, param: Tensor) -> str:
        """The name of the parameter's variable, without the number of its output."""
        return self._known[param][1].removesuffix(":0") if param in self._known else "Variable"
