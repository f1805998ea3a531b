"""Where the valid steps of a mask are, and in which order a kernel should see them.

A mask may have holes, padding on either side and rows without a valid step. Each row's valid steps are moved to the
front, the rows are sorted by length, and the result is cut into blocks of steps: the rows of a block are those that
still have steps, so that their number never grows. One block is a padded rectangle for a dense kernel, blocks of one
step are torch's packed form, and a few blocks save most of the padding at the cost of a few kernel calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

Cut = Callable[[Sequence[int]], Sequence[int]]


@dataclass(frozen=True)
class StepOrder:
    """The slots in which a kernel sees the steps of a masked batch.

    Attributes:
        sizes: (steps, rows) of each block. A block's slots lie step by step, and blocks follow one another.
        source: (slots,) the flat position row * steps + step in the batch that fills each slot.
        padded: (slots,) True where a slot is padding; `None` where no slot is.
        ends: For each block the slots, counted from its first, of the last valid steps of the rows that end in it.
        mask: (batch, steps) the mask in the order of processing.
        count: (batch, steps) the valid steps of a row so far.
        first: (steps,) the slot of a block's first row at each step.
        rows: (batch,) the batch's rows by descending length; `None`: as they come.
        ranks: (batch,) the place of each batch row among `rows`; `None`: as they come.
        sure: Whether every row of the first block is known to have a valid step.
    """

    sizes: tuple[tuple[int, int], ...]
    source: Tensor
    padded: Tensor | None
    ends: tuple[Tensor, ...]
    mask: Tensor
    count: Tensor
    first: Tensor
    rows: Tensor | None = None
    ranks: Tensor | None = None
    sure: bool = False

    @property
    def slots(self) -> Tensor:
        """(batch, steps) the slot of each step, or of the last valid one before it; any slot where there is none."""
        rank = torch.arange(len(self.mask), device=self.mask.device) if self.ranks is None else self.ranks
        return self.first[(self.count - 1).clamp_min(0)] + rank.unsqueeze(1)

    def sorted(self, tensor: Tensor) -> Tensor:
        """A tensor of the batch, its rows by descending length."""
        return tensor if self.rows is None else tensor.index_select(0, self.rows)

    def unsorted(self, tensor: Tensor) -> Tensor:
        """A tensor whose rows are sorted by length, in the order of the batch."""
        return tensor if self.ranks is None else tensor.index_select(0, self.ranks)


def readable(tensor: Tensor) -> bool:
    """Whether the values of a tensor can be read without waiting for a device or breaking a trace."""
    if tensor.device.type != "cpu" or type(tensor) is not Tensor or torch.compiler.is_compiling():
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def set_known_lengths(mask: Tensor, lengths: Sequence[int]) -> None:
    """Tell a mask on a device how many valid steps each row has, so that no one has to wait for the device to count them.

    Args:
        mask: (batch, steps).
        lengths: Valid steps of each row, counted where the data still was on the host.
    """
    mask._valid_steps = [int(length) for length in lengths]  # type: ignore[attr-defined]


def known_lengths(mask: Tensor) -> list[int] | None:
    """What `set_known_lengths` told of a mask, or `None`."""
    return getattr(mask, "_valid_steps", None)


def one_block(lengths: Sequence[int]) -> list[int]:
    """Cut nothing: one block up to the longest row."""
    return [lengths[0]]


def every_step(lengths: Sequence[int]) -> list[int]:
    """Cut after each step: the packed form."""
    return list(range(1, lengths[0] + 1))


def order_steps(mask: Tensor, lengths: Sequence[int] | None = None, cut: Cut = one_block, *, go_backwards: bool = False) -> StepOrder:
    """Order the valid steps of a mask.

    Args:
        mask: (batch, steps), True where a step counts.
        lengths: Valid steps of each row, known on the host; `None`: unknown, so the order is one block of all steps.
        cut: From the lengths in descending order to the ends of the blocks, ascending; the last is the longest length.
        go_backwards: Whether the steps are processed from the last to the first.
    """
    batch, steps = mask.shape
    device = mask.device
    if go_backwards:
        mask = mask.flip(1)
    count = mask.cumsum(1)
    front = torch.argsort(~mask, dim=1, stable=True)
    # padding repeats a row's first valid step: what stands in masked steps may be anything, not-a-number even
    padded = torch.arange(steps, device=device) >= count[:, -1:]
    front = torch.where(padded, front[:, :1], front)
    if go_backwards:
        front = steps - 1 - front
    front = front + steps * torch.arange(batch, device=device).unsqueeze(1)
    if lengths is not None:
        return _blocks(mask, front, count, lengths, cut)
    first = batch * torch.arange(steps, device=device)
    last = first[(count[:, -1] - 1).clamp_min(0)] + torch.arange(batch, device=device)
    return StepOrder(((steps, batch),), front.t().reshape(-1), padded.t().reshape(-1), (last,), mask, count, first)


def _blocks(mask: Tensor, front: Tensor, count: Tensor, lengths: Sequence[int], cut: Cut) -> StepOrder:
    """Blocks of rows sorted by their lengths, planned on the host."""
    batch, steps = mask.shape
    descending, rows = torch.as_tensor(lengths).sort(descending=True, stable=True)
    ranks = torch.empty_like(rows).scatter_(0, rows, torch.arange(batch))
    nothing = int(descending[0]) == 0
    if nothing:  # one step runs all the same, so that weights get gradients, of zeros
        descending[0] = 1
    ordered = descending.tolist()

    sizes: list[tuple[int, int]] = []
    begin = 0
    for end in cut(ordered):
        sizes.append((end - begin, sum(length > begin for length in ordered)))
        begin = end
    rows_at = torch.tensor([alive for span, alive in sizes for _ in range(span)])
    first = rows_at.cumsum(0) - rows_at
    step = torch.arange(begin).unsqueeze(1)
    rank = torch.arange(batch)
    filled = rank < rows_at.unsqueeze(1)  # (steps, ranks)
    padding = sum(span * alive for span, alive in sizes) > sum(ordered)

    there = partial(Tensor.to, device=mask.device, non_blocking=True)
    alive = sizes[0][1]
    last = first[descending[:alive] - 1] + rank[:alive]
    return StepOrder(
        sizes=tuple(sizes),
        source=front.index_select(0, there(rows)).view(-1).index_select(0, there((step + steps * rank)[filled])),
        padded=there((step >= descending)[filled]) if padding else None,
        ends=tuple(there(part) for part in _by_block(last, sizes)),
        mask=mask,
        count=count,
        first=there(first),
        rows=there(rows),
        ranks=there(ranks),
        sure=not nothing,
    )


def _by_block(last: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """The last slots of the rows that end in each block, counted from the block's first slot."""
    parts = []
    offset = 0
    for (span, alive), (_, following) in zip(sizes, [*sizes[1:], (0, 0)], strict=True):
        parts.append(last[following:alive] - offset)
        offset += span * alive
    return parts
