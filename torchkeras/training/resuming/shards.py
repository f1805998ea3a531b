"""Weights and optimizer states in shards (`compile(distribute="fsdp")`) as whole tensors, and back.

A state holds whole tensors, whatever the processes have of them: what was saved of shards can be gone on with by whole copies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from torchkeras.training.distributed import rank
from torchkeras.training.shards import shard_like

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling


def whole(parameter: Any) -> Tensor:
    """A weight gathered from all processes, which all must ask for; one that is whole as it is."""
    return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter  # type: ignore[no-any-return]


def put(parameter: Any, value: Tensor) -> None:
    """Write a whole tensor to a weight, of which this process may have a shard. Gradients must not be recorded."""
    if hasattr(parameter, "full_tensor"):
        parameter.to_local().copy_(_shard(parameter, value))
    else:
        parameter.copy_(value)


def local(value: Any) -> Any:
    """This process's part of what may be in shards."""
    return value.to_local() if hasattr(value, "to_local") else value


def like(parameter: Any, value: Tensor) -> Tensor:
    """What `local` gave of the gradient of a weight, as a gradient again.

    Raises:
        ValueError: the weight is divided among the processes in another way than it was.
    """
    if local(parameter).shape != value.shape:
        raise ValueError(
            f"The state was saved between batches whose gradients make one update, by processes with {tuple(value.shape)} of a weight of which this "
            f"one has {tuple(local(parameter).shape)}. Go on with as many processes and the same distribute=, or save after an update."
        )
    value = value.to(parameter.device)
    if not hasattr(parameter, "to_local"):
        return value
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(value, parameter.device_mesh, parameter.placements, run_check=False, shape=parameter.shape, stride=parameter.stride())


def whole_optimizer(model: Compiling, state: dict[str, Any]) -> dict[str, Any]:
    """The state of an optimizer with whole tensors instead of shards, in the first process; all must ask."""
    return _changed(state, _weights(model), _gathered)


def sharded_optimizer(model: Compiling, state: dict[str, Any]) -> dict[str, Any]:
    """What `whole_optimizer` gave as this process's shards."""
    return _changed(state, _weights(model), lambda weight, value: _shard(weight, value).clone())


def _weights(model: Compiling) -> list[Any]:
    """The sharded weight behind each parameter of the optimizer, in the order of its state.

    Raises:
        ValueError: it trains another model, too.
    """
    assert model._trained is not None and model._trained.shards is not None
    known = {id(local): sharded for local, sharded in zip(model._trained.shards.local, model._trained.shards.sharded, strict=True)}
    found = [known.get(id(local)) for group in model.optimizer.param_groups for local in group["params"]]
    if any(weight is None for weight in found):
        raise ValueError(
            f"The {type(model.optimizer).__name__} of model '{model.name}', compiled with distribute='fsdp', trains other weights than this model's, "
            "which cannot be gathered with them. Give each model an optimizer of its own, and compile a model anew with a new one."
        )
    return found


def _changed(state: dict[str, Any], weights: list[Any], change: Callable[[Any, Tensor], Tensor | None]) -> dict[str, Any]:
    """A state dict whose tensors of a weight's form are changed: all but numbers, since every slot is made like its parameter."""
    slots = {
        number: {key: change(weights[number], value) if isinstance(value, Tensor) and value.dim() else value for key, value in own.items()}
        for number, own in state["state"].items()
    }
    return {**state, "state": slots}


def _gathered(weight: Any, value: Tensor) -> Tensor | None:
    """A slot of all processes, on the first one's CPU: all slots together need fit nowhere else."""
    from torch.distributed.tensor import DTensor

    shards = DTensor.from_local(value, weight.device_mesh, weight.placements, run_check=False, shape=weight.shape, stride=weight.stride())
    found: Tensor = shards.full_tensor()
    return found.cpu() if rank() == 0 else None


def _shard(weight: Any, value: Tensor) -> Tensor:
    """This process's part of a whole tensor that all processes have."""
    return shard_like(weight, value.to(weight.device))
