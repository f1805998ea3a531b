"""The step of a data-parallel run: every process differentiates its part of the loss, and torch's DDP averages the gradients."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from torchkeras.metrics.processes import several
from torchkeras.ops.whole_batch import whole
from torchkeras.training.distributed import let_go_at_exit, processes
from torchkeras.training.fully_sharded import by_shell, is_sharded, sharded_forward
from torchkeras.training.parts import part
from torchkeras.training.shares import Weighted
from torchkeras.training.updates import Updates

if TYPE_CHECKING:
    from torchkeras.training.compiled import Compiled
    from torchkeras.training.compiling import Compiling

Forward = Callable[[Any, Any, Any], tuple[Any, Tensor]]


class _Shell(nn.Module):
    """What DDP sees: the trained parameters, and a forward pass that ends in the loss.

    DDP finds out which parameters take part by walking back from what the pass returns; so regularizers, and layers that the
    loss leaves out, are told apart rightly.
    """

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.trained = nn.ParameterList(parameters)
        self.function: Forward | None = None
        self.y_pred: Any = None

    def forward(self, x: Any, y: Any, weight: Any) -> Tensor:
        """The loss, whose gradient is that of this process's part times the number of processes: DDP then takes the mean."""
        assert self.function is not None
        self.y_pred, loss = self.function(x, y, weight)
        share = float(part.count > 0) if loss.dim() else part.count / part.size  # values by themselves are summed
        return Weighted.apply(loss, share * processes())  # type: ignore[no-any-return]


def shared_forward(model: Compiling, compiled: Compiled, forward: Forward, updates: Updates | None) -> Forward:
    """A forward pass whose gradients are averaged over the processes; the given one where there is one process.

    Args:
        model: The compiled model.
        compiled: Its losses.
        forward: From a batch to the outputs and the loss.
        updates: What gathers gradients: those of all but the last batch of an update are not sent.

    Raises:
        ValueError: sparse gradients.
    """
    if not several():
        return forward
    if is_sharded(model):
        return sharded_forward(model, forward)
    if any(getattr(layer, "sparse_gradients", False) for layer in model.sublayers()):
        raise ValueError(
            f"Model '{model.name}' has an Embedding with clipped sparse gradients, which several processes cannot average. "
            "Clip by global_clipnorm, or not at all."
        )
    assert model._trained is not None
    ddp = _ddp_of(model, compiled, model._trained.parameters)
    shell: _Shell = ddp.module

    def shared(x: Any, y: Any, weight: Any) -> tuple[Any, Tensor]:
        waits = updates is not None and updates.pending + 1 < updates.every
        shell.function = forward
        try:
            with ddp.no_sync() if waits else nullcontext(), whole.part(part.count, part.size):
                loss = ddp(x, y, weight)
            return shell.y_pred, loss
        finally:
            shell.function = shell.y_pred = None

    return shared


def _ddp_of(model: Compiling, compiled: Compiled, parameters: list[nn.Parameter]) -> Any:
    """The DDP of a model, kept with its engines, as long as the same parameters are trained."""
    kept = model._engines.steps
    key = [id(parameter) for parameter in parameters]
    if kept.get("ddp_key") != key:
        options: dict[str, Any] = {"init_sync": False, "gradient_as_bucket_view": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the newer name of broadcast_buffers cannot do the same yet
            kept["ddp"] = DistributedDataParallel(
                _Shell(parameters), broadcast_buffers=False, find_unused_parameters=_may_leave_out(model, compiled), **options
            )
        let_go_at_exit(kept["ddp"], "process_group", "reducer", "logger")
        kept["ddp_key"] = key
    return kept["ddp"]


def _may_leave_out(model: Compiling, compiled: Compiled) -> bool:
    """Whether a batch may leave parameters without a gradient, so that DDP has to look, which takes time."""
    known = all(type(layer).__module__.split(".")[0] == __name__.split(".")[0] for layer in model.sublayers())
    return not known or model._record_ is None or any(objective is None for objective in compiled.objectives)


def shared_test(model: Compiling, forward: Forward) -> Forward:
    """A forward pass of evaluation that knows it computes a part of the batch."""
    if not several():
        return forward
    forward = by_shell(model, forward)

    @functools.wraps(forward)
    def shared(x: Any, y: Any, weight: Any) -> tuple[Any, Tensor]:
        with whole.part(part.count, part.size):
            return forward(x, y, weight)

    return shared


def shared_record(record: Callable[..., None], compiled: Compiled) -> Callable[..., None]:
    """What adds a batch to the running values, which a sample that only stands in leaves as they are."""
    if not several():
        return record

    def shared(loss: Tensor, y: Any, y_pred: Any, weight: Any) -> None:
        before = [] if part.count else [(metric, [variable.clone() for variable in metric.variables]) for metric in compiled.objects()]
        with whole.part(part.count, part.size):
            record(loss, y, y_pred, weight)
        for metric, values in before:
            for variable, value in zip(metric.variables, values, strict=True):  # a mean may keep its count apart until it is asked
                variable.copy_(value)

    return shared
