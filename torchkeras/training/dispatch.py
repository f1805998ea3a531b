"""From whatever a user calls data to batches."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from torchkeras import generations
from torchkeras.preprocessing.ragged import Ragged
from torchkeras.training.arrays import ArrayBatches, InMemory, Packing
from torchkeras.training.batches import Batches
from torchkeras.training.counted import CountedBatches, counting, padding_of
from torchkeras.training.disk import DiskBatches, Rows, stays_on_disk
from torchkeras.training.ragged import RaggedBatches, with_rows
from torchkeras.training.sharding import shared_out
from torchkeras.training.standardize import Door
from torchkeras.training.streams import CopiedBatches, GeneratorBatches, SequenceBatches, StreamBatches
from torchkeras.training.tensors import flatten, like, several
from torchkeras.utils.sequence import Sequence

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling

_ENDLESS = (itertools.cycle, itertools.count, itertools.repeat)


@dataclass(frozen=True)
class Workers:
    """Who makes the batches of a Sequence or generator.

    Attributes:
        count: Threads or processes; 0: the training loop itself.
        max_queue_size: Batches made ahead.
        use_multiprocessing: Processes instead of threads.
        hang_timeout: Seconds to wait for a batch; `None`: for ever.
    """

    count: int = 1
    max_queue_size: int = 10
    use_multiprocessing: bool = False
    hang_timeout: float | None = None


def is_sequence(data: Any) -> bool:
    """Whether data are asked for batches by number: a Keras `Sequence`, or what looks like one."""
    if isinstance(data, Sequence):
        return True
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and hasattr(data, "on_epoch_end")


def is_stream(data: Any) -> bool:
    """Whether data give batches by themselves, with their targets."""
    if isinstance(data, (DataLoader, Dataset)) or is_sequence(data) or hasattr(data, "__next__"):
        return True
    known = isinstance(data, (str, bytes, list, tuple, Mapping, torch.Tensor)) or hasattr(data, "shape") or hasattr(data, "__array__")
    return not known and hasattr(data, "__iter__") and not hasattr(data, "to_numpy")


@shared_out
def make_batches(
    model: Compiling,
    door: Door,
    data: tuple[Any, Any, Any],
    batch_size: int | None,
    *,
    shuffle: bool | str = False,
    steps: int | None = None,
    workers: Workers | None = None,
    argument: str = "steps_per_epoch",
) -> Batches:
    """Batches of anything that `fit` takes.

    Args:
        model: The model that they are for.
        door: What makes checked tensors.
        data: Inputs, targets, sample weights.
        batch_size: Samples in a batch; `None`: the model's own, else 32.
        shuffle: True, "batch" or False.
        steps: Batches in an epoch, where the caller says so.
        workers: Who makes the batches of a Sequence or generator.
        argument: What the caller calls `steps`, for messages.

    Raises:
        TypeError: text, objects, numbers of steps or samples that are none.
        ValueError: data that do not fit the model or each other.
    """
    x, y, sample_weight = data
    who, device, workers = door.who, model.device, workers or Workers()
    _check_number(steps, argument, who)
    if shuffle not in (True, False, "batch"):
        raise ValueError(f"{who} takes shuffle=True, False or 'batch', but got {shuffle!r}.")
    if x is None:
        raise ValueError(f"{who} got no data: x is missing.")
    x, y = with_rows(model, x, y)
    if not is_stream(x) or isinstance(x, TensorDataset):
        if isinstance(x, TensorDataset):
            _only_x(y, sample_weight, x, who)
            x, y, sample_weight = (*x.tensors, None, None)[:3]
        return _at_hand(model, door, (x, y, sample_weight), batch_size, shuffle, steps, argument)
    _only_x(y, sample_weight, x, who)
    if isinstance(x, Dataset):
        _check_size(batch_size, who)
        size = batch_size or _own_batch_size(model) or 32
        loaders = workers.count if workers.use_multiprocessing else 0
        x = DataLoader(x, size, shuffle=bool(shuffle) and not isinstance(x, IterableDataset), num_workers=loaders)
    elif batch_size is not None:
        raise ValueError(f"The `batch_size` argument must not be given to {who} together with a {type(x).__name__}, which makes its own batches.")
    plan = (workers.count, workers.max_queue_size, workers.use_multiprocessing, workers.hang_timeout)
    read = counting(model, door.batch)
    if is_sequence(x):
        return SequenceBatches(x, read, device, bool(shuffle), *plan)
    if hasattr(x, "__next__"):
        if steps is None and (isinstance(x, _ENDLESS) or generations.choose("generator.needs_steps")):
            raise ValueError(
                f"`{argument}=None` is only valid for a generator based on the `keras.utils.Sequence` class. "
                f"Give {argument} to {who}, or use a Sequence."
            )
        if workers.count and workers.use_multiprocessing:
            return CopiedBatches(x, read, device, workers.count, workers.max_queue_size, workers.hang_timeout)
        if workers.count:
            return GeneratorBatches(x, read, device, workers.max_queue_size, workers.hang_timeout)
    return StreamBatches(x, read, device)


def _at_hand(
    model: Compiling, door: Door, data: tuple[Any, Any, Any], batch_size: int | None, shuffle: bool | str, steps: int | None, argument: str
) -> Batches:
    """Batches of data that are given all at once."""
    _check_size(batch_size, door.who)
    door.keeps_rows = True
    packing = Packing(*door.whole(*data))
    samples = packing.leaves[0].shape[0]
    own = _own_batch_size(model)
    if own is not None and batch_size not in (None, own):
        raise ValueError(
            f"The `batch_size` argument value {batch_size} is incompatible with the batch size {own} that the inputs of model '{model.name}' have."
        )
    size = batch_size or own or (-(-samples // steps) if steps else 32)
    if getattr(model, "stateful", False) and samples > size and samples % size:
        raise ValueError(
            f"In a stateful network, the number of samples must be divisible by the batch size, "
            f"but {door.who} got {samples} samples in batches of {size}."
        )
    kind: type[InMemory] = DiskBatches if any(isinstance(leaf, Rows) for leaf in packing.leaves) else ArrayBatches
    ragged = any(isinstance(leaf, Ragged) for leaf in packing.leaves)
    if ragged:
        if kind is DiskBatches:
            raise ValueError(f"{door.who} takes rows of unequal length together with arrays in memory, but not with data on disk. Read those first.")
        batches: InMemory = RaggedBatches(model, packing, size, shuffle, model.device)
    elif kind is ArrayBatches and (model._record_ is None or padding_of(model)):
        batches = CountedBatches(model, packing, size, shuffle, model.device)
    else:
        batches = kind(packing, size, shuffle, model.device)
    if steps is not None:
        if steps > batches.steps:
            raise ValueError(
                f"{door.who} got {argument}={steps}, but {samples} samples make {batches.steps} batches of {size}. "
                f"Leave {argument} out, or give a generator."
            )
        batches.limit(steps)
    return batches


def _own_batch_size(model: Compiling) -> int | None:
    """The batch size that the model's inputs declare."""
    if model._record_ is None:
        return None
    return next((shape[0] for shape in _shapes(model) if shape and shape[0] is not None), None)


def _shapes(model: Compiling) -> list[Any]:
    record = model._record_
    return [record.infos[number].shape for number in record.inputs] if record is not None else []


def _check_size(batch_size: Any, who: str) -> None:
    if batch_size is not None and (not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1):
        raise ValueError(f"{who} needs a batch_size of at least 1, but got {batch_size!r}.")


def _check_number(value: Any, argument: str, who: str) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{who} needs {argument} of at least 1, or None, but got {value!r}.")


def _only_x(y: Any, sample_weight: Any, x: Any, who: str) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"{who} got {name} beside a {type(x).__name__}, which gives its own: (x, y) or (x, y, sample_weight) in each batch.")


def split(x: Any, y: Any, sample_weight: Any, fraction: float) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Cut the last part off for validation.

    Args:
        x, y, sample_weight: Data that are given all at once.
        fraction: Size of the part, 0-1.

    Returns:
        The data to train on, and those to validate on.

    Raises:
        ValueError: a fraction that leaves no samples for one of them, or data that cannot be cut.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split must be between 0 and 1, but got {fraction!r}.")
    if is_stream(x):
        raise ValueError(f"`validation_split` is only supported for arrays and tensors, but got a {type(x).__name__}. Give validation_data.")
    length = len(flatten(x)[0] if isinstance(x, Mapping) or several(x) else x)
    cut = int(length * (1 - fraction))
    if cut == 0 or cut == length:
        raise ValueError(
            f"validation_split={fraction} leaves {cut} of {length} samples to train on and {length - cut} to validate on. Choose another."
        )

    def part(value: Any, where: slice) -> Any:
        if value is None:
            return None
        if isinstance(value, Mapping) or several(value):
            return like(value, [part(leaf, where) for leaf in flatten(value)])
        if stays_on_disk(value):
            return Rows(value, "x")[where]
        return value.iloc[where] if hasattr(value, "iloc") else value[where]

    first, last = slice(0, cut), slice(cut, length)
    return tuple(part(value, first) for value in (x, y, sample_weight)), tuple(part(value, last) for value in (x, y, sample_weight))  # type: ignore[return-value]
