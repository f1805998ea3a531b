"""The part of each batch that a process of a data-parallel run computes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from torchkeras.layers.masks import get_mask, set_mask
from torchkeras.ops.recurrent import known_lengths, note_count, set_known_lengths
from torchkeras.training.batches import Batch
from torchkeras.training.distributed import bounds
from torchkeras.training.tensors import map_leaves, present


class Part:
    """The part of the batch that comes next: its samples that count, and those of the whole batch."""

    count = 1
    size = 1


part = Part()


def set_part(count: int, size: int) -> None:
    """Say how many samples the coming step has here, and in all processes."""
    part.count, part.size = count, size


def place_in(size: int, who: int | None = None) -> tuple[slice, int]:
    """Where in a batch the samples of a process are, and how many count: where there are too few another's sample stands in, and counts nothing.

    Args:
        size: Samples of the whole batch.
        who: Number of the process; `None`: this one.
    """
    start, stop = bounds(size, who)
    return (slice(start, stop) if stop > start else slice(0, 1)), stop - start


def part_of(batch: Batch) -> Batch:
    """This process's part of a batch that all have; one of its samples where there are too few, which then does not count."""
    size = present(batch[0])[0].shape[0]
    where, count = place_in(size)
    set_part(count, size)
    return tuple(map_leaves(lambda leaf: cut(leaf, where), section) for section in batch)  # type: ignore[return-value]


def cut(leaf: Tensor, where: slice, copy: bool = False) -> Tensor:
    """Some samples of a tensor, with their part of the mask that hangs on it and of what the host counted.

    Args:
        leaf: A tensor of a batch.
        where: The samples.
        copy: Whether the part gets memory of its own: what is sent takes all of its memory along.
    """
    found = leaf[where].clone() if copy else leaf[where]
    if leaf.__dict__:
        mask, lengths = get_mask(leaf), known_lengths(leaf)
        set_mask(found, None if mask is None else cut(mask, where, copy))
        if lengths is not None:
            set_known_lengths(found, lengths[where])
        for padding, counts in (getattr(leaf, "_step_counts", None) or {}).items():
            note_count(found, padding, counts[where])
    return found


def evened(batch: Batch) -> Batch:
    """A batch whose padded rows are as long as the longest that any process has; all ask at once, with data of one form.

    Means over steps count the padding, too, so they are those of one process only where all pad to one length.
    """
    rows = [leaf for section in batch[:2] for leaf in present(section) if get_mask(leaf) is not None]
    if not rows:
        return batch
    longest = torch.tensor([leaf.shape[1] for leaf in rows])
    torch.distributed.all_reduce(longest, op=torch.distributed.ReduceOp.MAX)
    wanted = {id(leaf): steps for leaf, steps in zip(rows, longest.tolist(), strict=True)}
    x, y, weight = batch
    x, y = (map_leaves(lambda leaf: _longer(leaf, wanted.get(id(leaf), 0)), section) for section in (x, y))
    return x, y, weight


def _longer(leaf: Tensor, steps: int) -> Tensor:
    """Masked rows with zeros behind them, up to so many steps."""
    if leaf.dim() < 2 or leaf.shape[1] >= steps:
        return leaf
    mask = get_mask(leaf)
    found, wider = (functional.pad(one, (*(0, 0) * (one.dim() - 2), 0, steps - one.shape[1])) for one in (leaf, mask))
    lengths = known_lengths(mask)
    if lengths is not None:
        set_known_lengths(wider, lengths)
    set_mask(found, wider)
    return found
