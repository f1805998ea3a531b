"""The shortest way through a model whose layers form a chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn.modules import module as torch_module

from torchkeras.graph.plan import Plan
from torchkeras.layers.masks import get_mask, has_mask
from torchkeras.layers.phase import fixed_phase, running
from torchkeras.layers.raw_modules import torch_call

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling

_OWN = __name__.split(".")[0]


def direct_call(model: Compiling) -> Callable[[Any], Any]:
    """A function that computes what `model(x)` does. For a chain of layers without masks it goes from layer to layer at once.

    Layers are looked up at each call, so that replacing one counts; hooks of the model itself, also those registered later, are honoured
    by calling the model.

    Args:
        model: A built model.
    """
    if fixed_phase() is not None or (model._record_ is not None and model._loss_layers):
        # in tf.keras the loops say the phase, whatever is fixed; and a layer that adds losses may be called several times in a batch

        def told(x: Any) -> Any:
            with running(model.training):
                return model(x)

        return told
    if model._record_ is None or type(model).__module__.split(".")[0] != _OWN:
        return model
    chain = Plan(model._record_, model._modules).chain
    if chain is None or model._ndim is None:
        return model
    modules, ndim, to_float = model._modules, model._ndim, model._to_float[0]
    before, after, back, back_before = model._forward_pre_hooks, model._forward_hooks, model._backward_hooks, model._backward_pre_hooks
    all_before, all_after = torch_module._global_forward_pre_hooks, torch_module._global_forward_hooks
    all_back, all_back_before = torch_module._global_backward_hooks, torch_module._global_backward_pre_hooks

    def call(x: Any) -> Any:
        hooked = before or after or back or back_before or all_before or all_after or all_back or all_back_before
        if hooked or type(x) is not Tensor or x.dim() != ndim or (to_float is not None and not x.is_floating_point()) or has_mask(get_mask(x)):
            return model(x)
        for key in chain:
            x = torch_call(modules[key], x)
        return x

    return call
