"""Distributed wrappers, on two processes of gloo: DDP and FSDP2 give the gradients of one process."""

from __future__ import annotations

import gc
import os
import tempfile

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # takes the group as a default argument where it is imported later
from torch import nn

from tests.interop.kinds import KINDS, X, Y
from tests.interop.rows import row

WORLD = 2


def reference(kind: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The weights of a model, and what one step of SGD on the whole batch makes of them."""
    torch.manual_seed(0)
    model = KINDS[kind]()
    model(X)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    nn.functional.mse_loss(model(X), Y).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    return start, {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def train(rank: int, kind: str, wrap: str, start: dict, expected: dict) -> None:
    """One step of this process, and whether its weights are those of one process."""
    model = KINDS[kind]()
    model.load_state_dict(start)
    if wrap == "ddp":
        wrapped = nn.parallel.DistributedDataParallel(model)
    else:
        from torch.distributed.fsdp import fully_shard

        model(X[:1])  # fully_shard takes built models: nothing may be made in sharded layers
        mesh = dist.device_mesh.init_device_mesh("cpu", (WORLD,))
        for layer in model.layers:
            if any(True for _ in layer.parameters()):
                fully_shard(layer, mesh=mesh)
        wrapped = fully_shard(model, mesh=mesh)
    half = len(X) // WORLD
    mine = slice(rank * half, (rank + 1) * half)
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.1)
    nn.functional.mse_loss(wrapped(X[mine]), Y[mine]).backward()
    optimizer.step()
    for (name, parameter), wanted in zip(model.named_parameters(), expected.values(), strict=True):
        whole = parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter
        torch.testing.assert_close(whole.detach(), wanted, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def work(rank: int, store: str, kind: str, wrap: str, start: dict, expected: dict) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    try:
        train(rank, kind, wrap, start, expected)
    finally:
        gc.collect()  # what holds the group would keep gloo's threads over the end of the interpreter
        dist.destroy_process_group()


def spawn(kind: str, wrap: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = (os.path.join(folder, "store"), kind, wrap, *reference(kind))
        torch.multiprocessing.spawn(work, arguments, nprocs=WORLD)


@row("`DistributedDataParallel`: the gradients of one process")
def test_ddp(kind):
    spawn(kind, "ddp")


@row("FSDP2 `fully_shard`, layer by layer: the gradients of one process")
def test_fully_shard(kind):
    spawn(kind, "fsdp")
