"""The shortest way through a model whose batches are plain tensors."""

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
    """A function that computes what `model(x)` does. Through a graph of layers without masks it goes at once; through a chain, from layer to layer.

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
        return _through_graph(model)
    modules, ndim, to_float = model._modules, model._ndim, model._to_float[0]
    before, after, back, back_before, all_before, all_after, all_back, all_back_before = _hooks_of(model)

    def call(x: Any) -> Any:
        hooked = before or after or back or back_before or all_before or all_after or all_back or all_back_before
        if hooked or type(x) is not Tensor or x.dim() != ndim or (to_float is not None and not x.is_floating_point()) or has_mask(get_mask(x)):
            return model(x)
        for key in chain:
            x = torch_call(modules[key], x)
        return x

    return call


def _hooks_of(model: Compiling) -> tuple[Any, ...]:
    """The tables of hooks of a model and of all modules, which fill when somebody registers one."""
    own = model._forward_pre_hooks, model._forward_hooks, model._backward_hooks, model._backward_pre_hooks
    everywhere = torch_module._global_forward_pre_hooks, torch_module._global_forward_hooks
    return *own, *everywhere, torch_module._global_backward_hooks, torch_module._global_backward_pre_hooks


def _through_graph(model: Compiling) -> Callable[[Any], Any]:
    """The same for a graph that is no chain: its plan is run on a tensor, or on a list of them, in the order of the inputs."""
    record = model._record_
    if record is None or record.masked:
        return model
    modules = model._modules
    wanted = [(len(record.infos[number].shape), dtype is not None) for number, dtype in zip(record.inputs, model._to_float, strict=True)]
    before, after, back, back_before, all_before, all_after, all_back, all_back_before = _hooks_of(model)

    def call(x: Any) -> Any:
        plan, leaves = model._plan, x if type(x) is list else [x]
        hooked = before or after or back or back_before or all_before or all_after or all_back or all_back_before
        if hooked or plan is None or len(leaves) != len(wanted):
            return model(x)
        for leaf, (ndim, floats) in zip(leaves, wanted, strict=True):
            if type(leaf) is not Tensor or leaf.dim() != ndim or (floats and not leaf.is_floating_point()) or get_mask(leaf) is not None:
                return model(x)
        return plan.run(modules, leaves)

    return call
