"""Which weights a compiled model trains, and what happens to them after each update."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchkeras.layers.base import Layer
from torchkeras.layers.weights import WeightSpec

if TYPE_CHECKING:
    from torchkeras.training.trainer import Trainer

# the compiled model whose choice of trained weights the parameters show now
_last_owner: list[int] = [0]


class Trainable:
    """The weights that were trainable when the model was compiled.

    Keras freezes this choice at compile time: a discriminator compiled before `discriminator.trainable = False` still trains by itself, while a
    model compiled after that leaves it alone. So the choice lives here, and is put on `requires_grad` before training.

    Args:
        model: A built model.
    """

    def __init__(self, model: Trainer) -> None:
        self.parameters = trained_parameters(model)
        self._ids = {id(parameter) for parameter in self.parameters}
        self.constraints: list[tuple[Layer, WeightSpec]] = []
        self.regularizers: list[tuple[Layer, WeightSpec]] = []
        self.bound = False
        for layer in model.sublayers():
            for spec in layer._weight_specs.values():
                if spec.constraint is not None and id(getattr(layer, spec.attribute)) in self._ids:
                    self.constraints.append((layer, spec))
                if spec.regularizer is not None:
                    self.regularizers.append((layer, spec))

    def bind(self, model: Trainer) -> None:
        """Give the optimizer its parameters, once, and let just them collect gradients."""
        optimizer = model.optimizer
        if not self.bound and self.parameters:
            if hasattr(optimizer, "bind"):
                names = {id(parameter): name for name, parameter in model.named_parameters()}
                views = {id(view.parameter): view for view in model.trainable_weights}
                # views tell the optimizer Keras' layouts; it trains the parameters behind them
                named = [(names.get(id(part), f"p{number}"), views.get(id(part), part)) for number, part in enumerate(self.parameters)]
                model.optimizer = optimizer.bind(named)
            self.bound = True
        for parameter in model.parameters():
            wanted = id(parameter) in self._ids
            if parameter.requires_grad is not wanted:
                parameter.requires_grad_(wanted)

    def apply_constraints(self) -> None:
        """Put every constrained weight where its constraint wants it."""
        with torch.no_grad():
            for layer, spec in self.constraints:
                stored = layer._stored(spec)
                view = spec.layout.to_keras(stored, spec.shape)
                constraint: Callable[[Tensor], Tensor] = spec.constraint  # type: ignore[assignment]
                stored.copy_(spec.layout.to_torch(constraint(view)))

    def penalty(self) -> Tensor | None:
        """The sum of the weight regularizers, or `None` where there are none."""
        total: Tensor | None = None
        for layer, spec in self.regularizers:
            part = spec.regularizer(spec.layout.to_keras(layer._stored(spec), spec.shape))  # type: ignore[misc]
            total = part if total is None else total + part
        return total


def trained_parameters(model: Any) -> list[nn.Parameter]:
    """The parameters that are to be trained, in the order of Keras' weights, then those of raw modules."""
    found: dict[int, nn.Parameter] = {}
    for view in model.trainable_weights:
        if isinstance(view.parameter, nn.Parameter):
            found.setdefault(id(view.parameter), view.parameter)
    if model.trainable:
        known = {id(getattr(layer, spec.attribute)) for layer in model.sublayers() for spec in layer._weight_specs.values()}
        for parameter in model.parameters():
            if id(parameter) not in known and parameter.requires_grad:
                found.setdefault(id(parameter), parameter)
    return list(found.values())
