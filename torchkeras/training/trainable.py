"""Which weights a compiled model trains, and what happens to them after each update."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from torchkeras.generations import choose
from torchkeras.layers.base import Layer
from torchkeras.layers.embeddings import Embedding
from torchkeras.layers.weights import WeightSpec
from torchkeras.training.fully_sharded import is_sharded, whole_weights
from torchkeras.training.shards import Shards, constrain, joint_norms

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling


class Trainable:
    """The weights that were trainable when the model was compiled.

    Keras freezes this choice at compile time: a discriminator compiled before `discriminator.trainable = False` still trains by itself, while a
    model compiled after that leaves it alone. So the choice lives here, and is put on `requires_grad` before training.

    Args:
        model: A built model.
    """

    shards: Shards | None = None  # where each process has a part of each weight

    def __init__(self, model: Compiling) -> None:
        self.parameters = trained_parameters(model)
        self._ids = {id(parameter) for parameter in self.parameters}
        self.constraints: list[tuple[Layer, WeightSpec]] = []
        self.regularizers: list[tuple[Layer, WeightSpec]] = []
        self.bound = False
        self.warns: bool = choose("trainable.warns")
        self.flags = [(layer, layer._trainable) for layer in model.sublayers()]
        for layer in model.sublayers():
            for spec in layer._weight_specs.values():
                if spec.constraint is not None and id(getattr(layer, spec.attribute)) in self._ids:
                    self.constraints.append((layer, spec))
                if spec.regularizer is not None:
                    self.regularizers.append((layer, spec))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._ids = {id(parameter) for parameter in self.parameters}  # a copy has parameters of its own

    def bind(self, model: Compiling) -> None:
        """Give the optimizer its parameters, once, and let just them collect gradients."""
        optimizer = model.optimizer
        if not self.bound and self.parameters:
            if is_sharded(model):
                self.shards = Shards(self.parameters)
                model.optimizer = optimizer.bind(self.shards.local)
            elif hasattr(optimizer, "bind"):
                names = {id(parameter): name for name, parameter in model.named_parameters()}
                views = {id(view.parameter): view for view in model.trainable_weights}
                # views tell the optimizer Keras' layouts; it trains the parameters behind them
                named = [(names.get(id(part), f"p{number}"), views.get(id(part), part)) for number, part in enumerate(self.parameters)]
                model.optimizer = optimizer.bind(named)
            else:
                self._check_own(model, optimizer)
            if getattr(model.optimizer, "clipping", None) is not None:
                model.optimizer.clipping.joint = None if self.shards is None else joint_norms
            self._choose_sparse(model)
            self.bound = True
        for parameter in model.parameters():
            wanted = id(parameter) in self._ids
            if parameter.requires_grad is not wanted:
                parameter.requires_grad_(wanted)

    def _check_own(self, model: Compiling, optimizer: torch.optim.Optimizer) -> None:
        """A torch optimizer that the user made has to hold the model's parameters; if it had all there were, it gets those made since.

        Raises:
            ValueError: it holds no parameter of the model.
        """
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not any(id(parameter) in held for parameter in model.parameters()):
            raise ValueError(
                f"The {type(optimizer).__name__} given to compile() holds no parameter of model '{model.name}', so it would train nothing. Make it "
                f"from this model's parameters() once they exist, or give the class: compile(torch.optim.{type(optimizer).__name__}, ...)."
            )
        later = [parameter for parameter in self.parameters if id(parameter) not in held]
        if later and model._optimizer_held_all:
            optimizer.param_groups[-1]["params"] += later  # no group of their own: a scheduler may count the groups already

    def _choose_sparse(self, model: Compiling) -> None:
        """Sparse gradients for the tables of embeddings, where the optimizer moves them otherwise than dense ones."""
        differs = getattr(model.optimizer, "sparse_differs", None)
        wanted = choose("optimizer.sparse_embeddings") and differs is not None and differs()
        for layer in model.sublayers():
            if isinstance(layer, Embedding) and (wanted or layer.__dict__.get("_sparse_by_compile")):
                layer.sparse_gradients = bool(wanted and id(layer.weight) in self._ids)
                layer.__dict__["_sparse_by_compile"] = True

    @contextmanager
    def respected(self, model: Compiling) -> Iterator[None]:
        """Inside, `trainable` of every layer is what it was at compile.

        Source: tf.keras 2.4.0 `RespectCompiledTrainableState`; Keras 2.2.4 warns where it was changed.
        """
        changed = [(layer, layer._trainable, then) for layer, then in self.flags if layer._trainable is not then]
        if changed and self.warns:
            self.warns = False
            if len(trained_parameters(model)) != len(self.parameters):
                warnings.warn(
                    f"Discrepancy between trainable weights and collected trainable weights of model '{model.name}': what is trained was fixed by "
                    "compile(). Call compile() again for a change of `trainable` to take effect.",
                    stacklevel=3,
                )
        for layer, _, then in changed:
            layer._trainable = then
        try:
            yield
        finally:
            for layer, now, _ in changed:
                layer._trainable = now

    def apply_constraints(self) -> None:
        """Put every constrained weight where its constraint wants it."""
        with torch.no_grad():
            for layer, spec in self.constraints:
                stored = layer._stored(spec)
                constraint: Callable[[Tensor], Tensor] = spec.constraint  # type: ignore[assignment]
                if self.shards is None:
                    stored.copy_(spec.layout.to_torch(constraint(spec.layout.to_keras(stored, spec.shape))))
                else:
                    constrain(stored, lambda weight: spec.layout.to_torch(constraint(spec.layout.to_keras(weight, spec.shape))))  # noqa: B023 - called at once

    def penalty(self) -> Tensor | None:
        """The sum of the weight regularizers, or `None` where there are none."""
        if self.shards is not None:
            return self.shards.penalty(self.regularizers) if self.regularizers else None
        total: Tensor | None = None
        for layer, spec in self.regularizers:
            part = spec.regularizer(spec.layout.to_keras(layer._stored(spec), spec.shape))  # type: ignore[misc]
            total = part if total is None else total + part
        return total


def trained_parameters(model: Any) -> list[nn.Parameter]:
    """The parameters that are to be trained, in the order of Keras' weights."""
    if is_sharded(model):
        with whole_weights(model):
            names = {id(parameter): name for name, parameter in model.named_parameters()}
            chosen = [names[id(parameter)] for parameter in _trained_parameters(model)]
        here = dict(model.named_parameters())
        return [here[name] for name in chosen]
    return _trained_parameters(model)


def _trained_parameters(model: Any) -> list[nn.Parameter]:
    found = {id(view.parameter): view.parameter for view in model.trainable_weights if isinstance(view.parameter, nn.Parameter)}
    for holder in [model, *model._weighted_layers()] if model.trainable else ():
        hidden = holder.hidden_parameters() if holder._trainable else []
        found.update({id(parameter): parameter for parameter in hidden if parameter.requires_grad})
    return list(found.values())


def holds_all(optimizer: Any, model: nn.Module) -> bool:
    """Whether an optimizer of torch, made by the user, holds all parameters that a model has now."""
    if hasattr(optimizer, "bind"):
        return False
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return all(id(parameter) in held for parameter in model.parameters())
