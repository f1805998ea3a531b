"""Where a loss that is not finite came from."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.layers.naming import name_of
from torchkeras.training.tensors import present


class NonFiniteLoss(FloatingPointError):
    """A loss became NaN or infinite; the message says when, and which layer was the first."""


def finite(value: Any) -> bool:
    """Whether all numbers of a tensor, or of those in a list or dict, are finite. Waits for the device."""
    return all(bool(torch.isfinite(leaf).all()) for leaf in present(value) if isinstance(leaf, Tensor) and leaf.is_floating_point())


def first_bad_layer(model: nn.Module, x: Any) -> str:
    """What was the first to be not finite when a model computes: an input, the weights of a layer, or its output.

    Args:
        model: The model; it runs once more, without gradients.
        x: The inputs.
    """
    if not finite(x):
        return "the inputs themselves have values that are not finite"
    found: list[str] = []

    def look(module: nn.Module, args: Any, output: Any, name: str) -> None:
        if not found and not finite(output):
            weights = [key for key, weight in module.named_parameters() if not finite(weight)]
            found.append(f"the weights {weights} of layer '{name}' are not finite" if weights else f"the output of layer '{name}' is not finite")

    leaves = [module for module in model.modules() if module is not model and not any(True for _ in module.children())]
    handles = [module.register_forward_hook(functools.partial(look, name=name_of(module))) for module in leaves]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "all layers gave finite values, so it arose in the loss"


def check_loss(model: nn.Module, engine: Any, x: Any, loss: Tensor) -> None:
    """See that a loss is finite. Waits for the device.

    Raises:
        NonFiniteLoss: it is not; nothing has been updated by it.
    """
    if finite(loss):
        return
    when = ""
    if engine is not None:
        state = engine.state
        batch = (state.iteration - 1) % state.epoch_length if state.epoch_length else state.iteration - 1
        when = f" in epoch {state.epoch}, batch {batch}"
    value = float(loss.detach().mean())
    raise NonFiniteLoss(f"The loss of model '{getattr(model, 'name', type(model).__name__)}' is {value}{when}: {first_bad_layer(model, x)}.")
