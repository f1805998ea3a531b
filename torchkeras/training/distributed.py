"""Several processes that train one model together: started by torchrun, joined when training begins.

Each has a copy of the model and computes its part of every batch; `sharding` gives out the parts, `parallel` averages the gradients.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import importlib
import os
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.metrics import Metric
from torchkeras.metrics.processes import several
from torchkeras.training.meeting import meet

TIMEOUT = datetime.timedelta(minutes=30)  # for a process that hangs; one that ends is noticed at once
_ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LOST = ("closed by peer", "Connection reset", "Broken pipe", "remote process exited", "Socket closed", "NCCL communicator was aborted")
# They take the group of the moment as a default argument, for good: gloo's threads would outlive the interpreter, which now and then aborts it.
_KEEPERS = ("torch.distributed.nn.functional", "torch.distributed.optim.zero_redundancy_optimizer")
_state = {"failed": False, "seeded": False}
_holders: list[tuple[weakref.ref[Any], tuple[str, ...]]] = []  # what holds the process group, with the names of the attributes


class LostProcess(RuntimeError):
    """Another process of the run has ended, so this one cannot go on."""


def start() -> bool:
    """Join the other processes where torchrun started this one; whether there are several.

    NCCL carries what is on CUDA, gloo what is on the CPU. A process group that the program has made is taken as it is.
    """
    distributed: Any = torch.distributed
    if not distributed.is_available():
        return False
    if not distributed.is_initialized():
        if any(name not in os.environ for name in _ENVIRONMENT) or int(os.environ["WORLD_SIZE"]) < 2:
            return False
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        for module in _KEEPERS:
            importlib.import_module(module)
        store, number, count = next(distributed.rendezvous("env://", timeout=TIMEOUT))
        store.set_timeout(TIMEOUT)
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        distributed.init_process_group(backend, store=meet(store, number, count), rank=number, world_size=count, timeout=TIMEOUT)
        atexit.register(_leave)
    if several() and not _state["seeded"]:
        # one seed in all of them would drop the same units in every part of a batch
        _state["seeded"] = True
        if distributed.get_rank():
            torch.manual_seed(torch.initial_seed() + distributed.get_rank())
    return several()


def let_go_at_exit(holder: Any, *names: str) -> None:
    """Have an object's attributes, by which it holds the process group, be `None` at exit, whoever still holds the object."""
    _holders[:] = [*((kept, each) for kept, each in _holders if kept() is not None), (weakref.ref(holder), names)]


def _leave() -> None:
    if torch.distributed.is_initialized() and not _state["failed"]:
        for found, names in _holders:
            if (holder := found()) is not None:
                for name in names:
                    setattr(holder, name, None)
        torch.distributed.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return torch.distributed.get_rank() if several() else 0


def processes() -> int:
    """How many there are."""
    return torch.distributed.get_world_size() if several() else 1


def bounds(size: int, who: int | None = None) -> tuple[int, int]:
    """The part of so many samples that a process computes: parts differ by one sample at most."""
    who, count = rank() if who is None else who, processes()
    return size * who // count, size * (who + 1) // count


def from_chief(value: Any) -> Any:
    """What the first process has, for all."""
    if not several():
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def order_of_chief(order: Tensor | None, samples: int) -> Tensor | None:
    """The first process's order of the samples."""
    if order is None or not several():
        return order
    order = order.to(torch.int64).contiguous() if rank() == 0 else torch.empty(samples, dtype=torch.int64)
    return _through(order, lambda shared: torch.distributed.broadcast(shared, src=0))


def _through(tensor: Tensor, collective: Any) -> Tensor:
    """A tensor of the CPU after a collective; it goes by the device where the group has NCCL alone."""
    if torch.distributed.get_backend() != "nccl":
        collective(tensor)
        return tensor
    there = tensor.cuda()
    collective(there)
    return there.cpu()


def agreed(flag: bool) -> bool:
    """Whether any process says so; all ask at once."""
    if not several():
        return flag
    found = torch.tensor([int(flag)])
    return bool(_through(found, lambda shared: torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX)).item())


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if several():
        torch.distributed.barrier()


def share_weights(model: nn.Module) -> None:
    """Give every process the weights of the first one."""
    if several():
        with torch.no_grad():
            whole = [parameter for parameter in model.parameters() if not hasattr(parameter, "placements")]  # shards are each process's own
            for tensor in (*whole, *_statistics(model)):
                torch.distributed.broadcast(tensor.detach(), src=0)


def share_weights_once(model: Any) -> None:
    """`share_weights`, at the first batch that is trained on by itself."""
    if several() and not model._engines.steps.get("weights_shared"):
        share_weights(model)
        model._engines.steps["weights_shared"] = True


def average_statistics(model: nn.Module) -> None:
    """Moving averages that each process has kept of its own part become their mean in all of them."""
    if several():
        with torch.no_grad():
            for buffer in _statistics(model):
                if buffer.is_floating_point():
                    torch.distributed.all_reduce(buffer)
                    buffer.div_(processes())


def average_gradients(parameters: list[Any]) -> None:
    """Gradients that were gathered in each process become their mean."""
    if several():
        for parameter in parameters:
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad.div_(processes())


def _statistics(model: nn.Module) -> list[Tensor]:
    """Buffers that are weights: no metric's, and no state of a recurrent layer, which belongs to the rows of a batch."""
    found: dict[int, Tensor] = {}
    for module in model.modules():
        if isinstance(module, Metric):
            continue
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set and "state" not in name:
                found.setdefault(id(buffer), buffer)
    return list(found.values())


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Inside, the end of another process is told as such.

    Raises:
        LostProcess: another process has ended.
    """
    try:
        yield
    except BaseException as error:
        if several():
            _state["failed"] = True  # waiting for the others at exit would be in vain
            if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _LOST):
                raise LostProcess(
                    f"Process {rank()} of {processes()} stops, since it lost the connection to another one, which has ended; the reason stands in "
                    f"that one's output. ({str(error).splitlines()[0]:.200})"
                ) from error
        raise
