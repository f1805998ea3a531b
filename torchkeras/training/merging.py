"""Several small batches computed as one, in evaluation and prediction, where nobody can see a difference but in time."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from torchkeras.metrics import Metric
from torchkeras.metrics.reducing import MeanMetricWrapper
from torchkeras.training.arrays import ArrayBatches
from torchkeras.training.batch_metrics import BatchMean
from torchkeras.training.batches import Batches
from torchkeras.training.disk import DiskBatches
from torchkeras.training.tensors import present

if TYPE_CHECKING:
    from torchkeras.training.compiled import Compiled
    from torchkeras.training.compiling import Compiling
    from torchkeras.training.hooks import CallbackList

ROOM = 512 << 10  # bytes of a layer's output for the rows that are computed at once: larger ones gain nothing
STEPPING_ROOM = 3 << 20  # the same where steps follow each other: each works on a part, and costs nearly as much for few rows
STEPPING_ROWS = 256  # beyond which the rows are what costs
STEPPING = frozenset({"GRU", "LSTM", "SimpleRNN"})
_OWN = __name__.split(".")[0]

# layers that, in inference, give for each row what they give for it alone
ROW_BY_ROW = frozenset(
    {
        *("Activation", "Add", "Average", "Concatenate", "Dense", "Dropout", "ELU", "Flatten", "InputLayer", "LeakyReLU", "Maximum", "Minimum"),
        *("Multiply", "Permute", "PReLU", "ReLU", "RepeatVector", "Reshape", "Softmax", "Subtract", "ThresholdedReLU", "TimeDistributed"),
        *("AveragePooling1D", "AveragePooling2D", "Conv1D", "Conv2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D"),
        *("GlobalMaxPooling2D", "MaxPooling1D", "MaxPooling2D", "ZeroPadding1D", "ZeroPadding2D", "Embedding", "GRU", "LSTM", "SimpleRNN"),
        *("BatchNormalization", "BatchNormalizationV2", "LayerNormalization", "Bidirectional", "GRUCell", "LSTMCell", "SimpleRNNCell", "Masking"),
    }
)


def merged(model: Compiling, batches: Batches, hooks: CallbackList, what: str, compiled: Compiled | None = None) -> Batches:
    """Batches to compute instead of the given ones: larger, where the results are the same to rounding.

    That is so for data at hand in their order, a graph of layers that compute row by row, losses and metrics that are means over all samples, and
    where no hook or handler looks at a batch.

    Args:
        model: The model.
        batches: The data.
        hooks: Callbacks.
        what: "test" or "predict".
        compiled: Losses and metrics; `None`: only outputs are wanted.
    """
    if (
        not isinstance(batches, (ArrayBatches, DiskBatches))
        or batches.order.shuffle
        or batches.steps * batches.batch_size < batches.samples
        or batches.steps < 2
    ):
        return batches
    engine = model.evaluator if what == "test" else model.predictor
    watched = hooks.listeners(f"on_{what}_batch_begin") or hooks.listeners(f"on_{what}_batch_end") or any(engine._event_handlers.values())
    if watched or batches.watched or model._own(f"{what}_step") is not None or type(model).__module__.split(".")[0] != _OWN:
        return batches
    if compiled is not None and not _means(compiled, batches, model):
        return batches
    times = _rows(model, batches) // batches.batch_size
    if times < 2:
        return batches
    return batches.regrouped(times * batches.batch_size)


def _rows(model: Any, batches: ArrayBatches | DiskBatches) -> int:
    """How many rows may be computed at once; 0 where they cannot be put together."""
    record = model._record_
    if record is None or any(step.kwargs for step in record.steps):
        return 0
    stepping = False
    for layer in model.modules():
        if layer is model or isinstance(layer, (Metric, nn.ModuleList)):
            continue
        kind = type(layer)
        if kind.__name__ not in ROW_BY_ROW or kind.__module__.split(".")[0] != _OWN:
            return 0
        stepping = stepping or kind.__name__ in STEPPING
        if getattr(layer, "stateful", False) or layer.activity_regularizer is not None or layer._call_losses or layer._callable_losses:
            return 0
    shapes = [info.shape for info in record.infos]
    if any(not shape or shape[0] is not None for shape in shapes):
        return 0
    # an axis of any length, as that of the steps, is at most as long as the longest one of the data
    longest = max((size for leaf in present(batches.packing.structures[0]) for size in leaf.shape[1:]), default=1)
    row = 4 * max(prod(longest if size is None else size for size in shape[1:]) for shape in shapes)
    return max(ROOM // row, min(STEPPING_ROOM // row, STEPPING_ROWS)) if stepping else ROOM // row


def _means(compiled: Compiled, batches: ArrayBatches | DiskBatches, model: Any) -> bool:
    """Whether losses and metrics are means over the samples, also with the weights that the data have and under the model's masks."""
    if compiled.extras or compiled.own_logs is not None:
        return False
    if any(objective is not None and not objective.takes_means for objective in compiled.objectives):
        return False
    watched = [one for found in compiled.metrics or () for one in found]
    if not all(isinstance(metric, (MeanMetricWrapper, BatchMean)) and _is_ours(metric) and metric.is_mean for _, metric, _ in watched):
        return False
    rules = [objective.rule for objective in compiled.objectives if objective is not None]
    by_batch = any(rule.mask != "all" for rule in rules) or any(isinstance(metric, BatchMean) for _, metric, _ in watched)
    if by_batch and model._record_ is not None and model._record_.masked:  # Keras 2 divides by the valid steps of each batch
        return False
    rules += [metric.rule for _, metric, weighted in watched if weighted and isinstance(metric, BatchMean)]
    # Keras 1 and 2 divide by the share of weights that are not 0, batch by batch: without such weights it is 1 in all of them
    return all(rule.weight == "batch" for rule in rules) or all(
        isinstance(weight, Tensor) and bool(weight.all()) for weight in present(batches.packing.structures[2])
    )


def _is_ours(metric: Any) -> bool:
    return type(metric).__module__.split(".")[0] == _OWN
