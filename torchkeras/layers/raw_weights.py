"""The weights of raw nn.Modules that stand in models and layers, as Keras code sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.utils import parametrize

from torchkeras.layers.layouts import as_is
from torchkeras.layers.weights import KerasWeight, Weighted, WeightSpec


@dataclass(frozen=True)
class RawPart:
    """A raw nn.Module as a holder of weights: its own parameters and buffers, in torch's names and layouts.

    Args:
        module: The module; layers inside it hold weights of their own.
        scope: First part of the variables' names.
    """

    module: nn.Module
    scope: str = field(compare=False)

    @property
    def _trainable(self) -> bool:
        return self.module.__dict__.get("_keras_trainable", True)

    def weight_scope(self) -> str:
        """First part of the variables' names."""
        return self.scope

    def own_weights(self, *, trainable: bool) -> list[KerasWeight]:
        """Views of the parameters (trained ones: those that require gradients, unless the whole is frozen), or of the rest."""
        module, frozen = self.module, not self._trainable
        parameters = {**{name: getattr(module, name) for name in self._parametrized()}, **dict(module.named_parameters(recurse=False))}
        trained = {name: tensor for name, tensor in parameters.items() if tensor.requires_grad or frozen}
        if trainable:
            found: Mapping[str, Tensor] = trained
        else:
            buffers = {name: tensor for name, tensor in module.named_buffers(recurse=False) if name not in module._non_persistent_buffers_set}
            found = {**{name: tensor for name, tensor in parameters.items() if name not in trained}, **buffers}
        return [KerasWeight.of(self, WeightSpec(name, name, as_is, tuple(tensor.shape), trainable, path=name)) for name, tensor in found.items()]

    def hidden_parameters(self) -> list[nn.Parameter]:
        """The parameters that parametrizations compute a weight from."""
        return [parameter for part in self._parametrized().values() for parameter in part.parameters()]

    def _parametrized(self) -> dict[str, nn.Module]:
        lists = self.module._modules.get("parametrizations") if parametrize.is_parametrized(self.module) else None
        return {} if lists is None else dict(lists.named_children())

    def _stored(self, spec: WeightSpec) -> Tensor:
        return getattr(self.module, spec.attribute)

    def _computes(self, spec: WeightSpec) -> bool:
        return spec.attribute in self._parametrized()

    def _set_computed(self, spec: WeightSpec, value: Tensor) -> None:
        setattr(self.module, spec.attribute, value.to(self._stored(spec).device))  # torch knows the way back


def holders(module: nn.Module, scope: str) -> Iterator[Weighted | RawPart]:
    """The layers in a module and, in between, its raw parts that have weights, each once, in the order of their weights.

    Args:
        module: A layer, a model or a raw module.
        scope: First part of the names of what raw parts hold.
    """
    for place, part in module.named_modules():
        if isinstance(part, Weighted):
            yield part
        elif (part._parameters or part._buffers or parametrize.is_parametrized(part)) and not isinstance(part, parametrize.ParametrizationList):
            yield RawPart(part, "/".join([scope, *place.split(".")] if place else [scope]))


def weights_of(module: nn.Module, scope: str) -> list[KerasWeight]:
    """Views of all weights in a raw module, those that are trained first, as a layer has them."""
    parts = list(holders(module, scope))
    trained = [view for part in parts if part._trainable for view in part.own_weights(trainable=True)]
    known = {view.identity for view in trained}
    every = [view for part in parts for trainable in (True, False) for view in part.own_weights(trainable=trainable)]
    return trained + [view for view in every if view.identity not in known]
