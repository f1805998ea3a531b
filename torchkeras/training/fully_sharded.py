"""`compile(distribute="fsdp")`: weights, gradients and the optimizer's state in shards, one a process (torch's FSDP2)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from torchkeras.metrics.processes import several
from torchkeras.ops.whole_batch import whole
from torchkeras.training.distributed import let_go_at_exit, processes, share_weights
from torchkeras.training.parts import part
from torchkeras.training.shares import Weighted

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling

Forward = Callable[[Any, Any, Any], tuple[Any, Tensor]]


class Shell(nn.Module):
    """What FSDP sees as the root: it runs any function that calls the model.

    Args:
        model: The model, whose layers are sharded each by itself.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.outputs: Any = None

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        """What the function gives."""
        return function(*args)


def wanted(model: Compiling) -> bool:
    """Whether the model's weights are to be sharded: `compile` was told so, and there are several processes."""
    return model._modes.distribute == "fsdp" and several()


def is_sharded(model: Any) -> bool:
    """Whether each process has a shard of the weights."""
    return "fsdp" in model._engines.steps


def shard_weights(model: Compiling) -> bool:
    """Leave a built model of several processes one shard of its weights in each; whether that was done now.

    Every layer of the model is gathered by itself while it computes. The classes of the layers stay what they are.

    Raises:
        ValueError: something of the model or of `compile` needs whole weights or whole gradients.
    """
    if not wanted(model) or is_sharded(model):
        return False
    _refuse(model)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    share_weights(model)
    mesh = init_device_mesh(model.device.type, (processes(),))
    let_go_at_exit(mesh, "_pg_registry")
    states: Any = fully_shard.state  # type: ignore[attr-defined]  # set on the function by torch's decorator
    shell = Shell(model)
    shells = [layer for layer in model.children() if any(True for _ in layer.parameters())]
    for module in (*shells, shell):
        kind = type(module)
        if module is not shell:
            module.register_forward_hook(_own_outputs)  # before FSDP's own hook, which sees what this one gives
        fully_shard(module, mesh=mesh, reshard_after_forward=True)
        if module is not shell:
            module.__class__ = kind  # configs, messages and the plan of the graph know layers by their classes
        for group in getattr(states(module), "_fsdp_param_groups", ()):
            let_go_at_exit(group.mesh_info, "shard_process_group")
    model._engines.steps["fsdp"] = shell
    return True


def _own_outputs(layer: nn.Module, inputs: Any, outputs: Any) -> Any:
    """Outputs with memory of their own: of a view that is changed in place FSDP would lose its hook, and with it the gradients."""
    if not torch.is_grad_enabled():
        return outputs
    return pytree.tree_map_only(Tensor, _copied_view, outputs)


def _copied_view(tensor: Tensor) -> Tensor:
    if tensor._base is None or not tensor.requires_grad:
        return tensor
    found = tensor.clone()
    found.__dict__.update(tensor.__dict__)  # a mask
    return found


def _refuse(model: Compiling) -> None:
    """Raise for what would need whole weights or gradients in a step."""
    modes, name = model._modes, f"Model '{model.name}', compiled with distribute='fsdp',"
    if modes.dtype is torch.float16:
        raise ValueError(f"{name} cannot scale float16 losses, since no process sees all gradients. Take 'mixed_bfloat16', which needs no scale.")
    if modes.jit:
        raise ValueError(f"{name} cannot be compiled by jit_compile: its layers are gathered one by one. Leave one of the two out.")
    if not hasattr(model.optimizer, "bind") or getattr(model.optimizer, "clipping", None) is None:
        raise ValueError(f"{name} needs an optimizer of torchkeras, whose state is made of the shards, but got a {type(model.optimizer).__name__}.")
    for layer in model.sublayers():
        if getattr(layer, "sparse_gradients", False):
            raise ValueError(f"{name} cannot shard the sparse gradients of layer '{layer.name}'. Leave clipping out, or use another optimizer.")
    if any(True for _ in model.parameters(recurse=False)):
        raise ValueError(f"{name} has weights of its own beside those of its layers. Put them into a layer.")


def sharded_forward(model: Compiling, forward: Forward) -> Forward:
    """A forward pass of training by way of the shell, whose loss has the weight of this process's part; gradients become means."""
    shell = model._engines.steps["fsdp"]

    def weighted(x: Any, y: Any, weight: Any) -> Tensor:
        shell.outputs, loss = forward(x, y, weight)
        share = float(part.count > 0) if loss.dim() else part.count / part.size
        return Weighted.apply(loss, share * processes()).clone()  # type: ignore[no-any-return]  # FSDP warns of outputs that are views

    def shared(x: Any, y: Any, weight: Any) -> tuple[Any, Tensor]:
        try:
            with whole.part(part.count, part.size):
                loss = shell(weighted, x, y, weight)
            return shell.outputs, loss
        finally:
            shell.outputs = None

    return shared


def by_shell(model: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls the model, by way of the shell where its weights are sharded."""
    if not is_sharded(model):
        return function
    shell = model._engines.steps["fsdp"]
    return lambda *args: shell(function, *args)


@contextlib.contextmanager
def whole_weights(model: Any, changes: bool = False) -> Iterator[bool]:
    """Inside, the weights of a sharded model are whole; every process has to come here.

    Args:
        model: Any model; nothing happens to one whose weights are whole.
        changes: Whether what is done to them is to last: then the first process's weights are given to all.

    Yields:
        Whether this process is to write files: all do for themselves, but of a sharded model the first alone.
    """
    if not is_sharded(model):
        yield True
        return
    from torch.distributed.tensor import DTensor, distribute_tensor

    gathered = []
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module._parameters.items():
                if isinstance(parameter, DTensor):
                    full = nn.Parameter(parameter.full_tensor(), parameter.requires_grad)
                    gathered.append((module, name, parameter, full))
        for module, name, _, full in gathered:
            module._parameters[name] = full
    try:
        yield torch.distributed.get_rank() == 0
    finally:
        torch.distributed.barrier()  # what the first writes can be read by all after this
        with torch.no_grad():
            for module, name, parameter, full in gathered:
                module._parameters[name] = parameter
                if changes:
                    parameter.to_local().copy_(distribute_tensor(full.detach(), parameter.device_mesh, parameter.placements).to_local())
