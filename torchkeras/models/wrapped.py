"""`Model(module)`: Keras' training methods for any nn.Module."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchkeras.layers.naming import snake_case, unique_name
from torchkeras.layers.phase import with_phase
from torchkeras.models.model import Model, _wrapper


class WrappedModel(Model):
    """An nn.Module with `compile / fit / evaluate / predict`; `Model(module)` makes one.

    Args:
        module: The module; it is kept as it is, under `module`. Several inputs are passed to it as positional arguments, a dict of them as
            keyword arguments.
        name: Unique name; `None`: made from the module's class.
    """

    def __init__(self, module: nn.Module, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or unique_name(snake_case(type(module).__name__)), **kwargs)
        self.module = module
        module.train(self.training)

    @with_phase
    def call(self, inputs: Any) -> Any:  # type: ignore[override]
        """Run the module."""
        if isinstance(inputs, (list, tuple)):
            return self.module(*inputs)
        if isinstance(inputs, dict):
            return self.module(**inputs)
        return self.module(inputs)


_wrapper.append(WrappedModel)
