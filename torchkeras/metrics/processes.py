"""Metrics over the processes of torch.distributed: their variables are summed, all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchkeras.metrics.base import Metric


def several() -> bool:
    """Whether there are several processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def all_reduce_states(metrics: Iterable[Metric]) -> None:
    """Sum the variables of metrics over all processes, in place; nothing where there is one process.

    Every process must call it with the same metrics, of the same variables: one that makes its variables at the first batch
    (`MeanTensor`, `AUC(multi_label=True)`) must have seen a batch in each.

    Args:
        metrics: One collective operation sums all of them.
    """
    if not several():
        return
    by_type: dict[torch.dtype, list[Tensor]] = defaultdict(list)
    for metric in metrics:
        for variable in metric.variables:
            by_type[variable.dtype].append(variable)
    for variables in by_type.values():
        where = torch.device("cuda", torch.cuda.current_device()) if torch.distributed.get_backend() == "nccl" else variables[0].device
        # a metric that saw no data yet may still be on the CPU
        flat = torch.cat([variable.reshape(-1).to(where) for variable in variables])
        torch.distributed.all_reduce(flat)
        for summed, part in zip(variables, flat.split([one.numel() for one in variables]), strict=True):
            summed.copy_(part.view(summed.shape))


@contextmanager
def over_processes(metrics: Iterable[Metric]) -> Iterator[None]:
    """Inside, the state of metrics is that of all processes together; after, this process's own again.

    Args:
        metrics: The metrics, the same in every process.
    """
    metrics = list(metrics)
    own = [(variable, variable.clone()) for metric in metrics for variable in metric.variables] if several() else []
    all_reduce_states(metrics)
    try:
        yield
    finally:
        for variable, before in own:
            variable.copy_(before)
