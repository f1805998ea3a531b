"""`K.gradients` and `K.stop_gradient`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.conversion import as_tensor, has_symbolic, recorded
from torchkeras.layers.symbolic import KerasTensor, in_trial, record_operation
from torchkeras.layers.weights import KerasWeight


def gradients(loss: Any, variables: Any) -> list[Tensor | None]:
    """Gradients of a loss, summed over all its elements, with respect to variables.

    Args:
        loss: A tensor, or a list of tensors whose gradients are added.
        variables: A tensor or a list of them: leaves, intermediate results, or weights as layers show them.

    Returns:
        A gradient for each variable, itself differentiable; `None` where the loss does not depend on it.
    """
    wanted = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    if has_symbolic([loss, *wanted]):
        return _record(loss, wanted)
    losses = [one for one in (loss if isinstance(loss, (list, tuple)) else [loss]) if one.requires_grad]
    stored = [one.parameter if isinstance(one, KerasWeight) else one for one in wanted]
    places = [number for number, one in enumerate(stored) if one.requires_grad]
    found: list[Tensor | None] = [None] * len(wanted)
    if losses and places:
        computed = torch.autograd.grad(
            losses, [stored[p] for p in places], [torch.ones_like(one) for one in losses], create_graph=True, allow_unused=True
        )
        for place, one in zip(places, computed, strict=True):
            weight = wanted[place]
            found[place] = weight.spec.layout.to_keras(one, weight.spec.shape) if isinstance(weight, KerasWeight) and one is not None else one
    return found


class _Held:
    """A weight among the arguments of a node, which keeps tensors by value but has to know this one itself."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight


def _record(loss: Any, variables: list[Any]) -> list[Tensor | None]:
    if not has_symbolic([loss]):
        raise ValueError("K.gradients got a loss with a value and symbolic variables: compute the loss from the same symbolic tensors.")
    held = [one if isinstance(one, KerasTensor) else _Held(one) for one in variables]
    return record_operation[0](symbolic_gradients, (loss, held), {})


def symbolic_gradients(loss: Any, variables: list[Any]) -> list[Tensor]:
    """What a graph runs for `K.gradients`: zeros stand for no dependence.

    Raises:
        RuntimeError: the graph runs without gradients.
    """
    plain = [one.weight if isinstance(one, _Held) else one for one in variables]
    if in_trial():
        return [torch.empty_like(one) for one in plain]
    found = gradients(loss, plain)
    if all(one is None for one in found):
        raise RuntimeError(
            "A graph with K.gradients in it has to run through K.function(inputs, outputs), which records gradients; or no variable matters."
        )
    return [torch.zeros_like(one) if gradient is None else gradient for gradient, one in zip(found, plain, strict=True)]


@recorded
def stop_gradient(variables: Any) -> Any:
    """The same values as constants to gradients: of a tensor, or of each in a list."""
    if isinstance(variables, (list, tuple)):
        return [as_tensor(one).detach() for one in variables]
    return as_tensor(variables).detach()
