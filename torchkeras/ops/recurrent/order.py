"""Where the valid steps of a mask are, and in which order a kernel should see them.

A mask may have holes, padding on either side and rows without a valid step. Each row's valid steps are moved to the
front, the rows are sorted by length, and the result is cut into blocks of steps: the rows of a block are those that
still have steps, so that their number never grows. One block is a padded rectangle for a dense kernel, blocks of one
step are torch's packed form, and a few blocks save most of the padding at the cost of a few kernel calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Cut:
    """How an order is cut into blocks.

    Attributes:
        ends: From the lengths in descending order to the ends of the blocks, ascending; the last is the longest length, or more.
        rows: Rows of a block come in multiples of this, as far as there are rows with a step: those that ended last stay, as padding.
    """

    ends: Callable[[Sequence[int]], Sequence[int]]
    rows: int = 1


@dataclass(frozen=True)
class StepOrder:
    """The slots in which a kernel sees the steps of a masked batch.

    Attributes:
        sizes: (steps, rows) of each block. A block's slots lie step by step, and blocks follow one another.
        ending: How many rows have their last valid step in each block; of one block: all of its rows.
        source: (slots,) the flat position row * steps + step in the batch that fills each slot.
        padded: (slots,) True where a slot is padding; `None` where no slot is.
        last: (rows of the first block,) the slot of each row's last valid step, counted from the first slot of the block in which it ends.
        first: (steps,) the slot of a block's first row at each step.
        given: (batch, steps) the mask.
        go_backwards: Whether the steps are processed from the last to the first.
        alive: (rows of the first block,) whether a row has a valid step; `None`: all have.
        rows: (batch,) the batch's rows by descending length; `None`: as they come.
        ranks: (batch,) the place of each batch row among `rows`; `None`: as they come.
    """

    sizes: tuple[tuple[int, int], ...]
    ending: tuple[int, ...]
    source: Tensor
    padded: Tensor | None
    last: Tensor
    first: Tensor
    given: Tensor
    go_backwards: bool
    alive: Tensor | None = None
    rows: Tensor | None = None
    ranks: Tensor | None = None
    readings: dict[str, tuple[Tensor, bool]] = field(default_factory=dict)  # made once for all layers

    @property
    def ends(self) -> tuple[Tensor, ...]:
        """For each block, `last` of the rows that end in it."""
        return self.last.split(self.ending[::-1])[::-1] if len(self.sizes) > 1 else (self.last,)

    @property
    def mask(self) -> Tensor:
        """(batch, steps) the mask in the order of processing."""
        return self.given.flip(1) if self.go_backwards else self.given

    def reading(self, masked_output: str) -> tuple[Tensor, bool]:
        """Where the output of each step is read, masked steps as `masked_output` says.

        Returns:
            (batch * steps,) a slot, or the number of slots plus a row of the batch: what that row is to be filled with. And whether the
            latter is the case anywhere.
        """
        if masked_output not in self.readings:
            zeros = masked_output == "zeros" and self.padded is None and self.alive is None
            self.readings[masked_output] = self._reading_of_valid_steps() if zeros else self._reading(masked_output)
        return self.readings[masked_output]

    def _reading(self, masked_output: str) -> tuple[Tensor, bool]:
        mask = self.mask
        count = mask.cumsum(1)
        row = torch.arange(mask.shape[0], device=mask.device).unsqueeze(1)
        index = self.first[(count - 1).clamp_min(0)] + (row if self.ranks is None else self.ranks.unsqueeze(1))
        own = mask if masked_output == "zeros" else count > 0
        filled = not (readable(own) and bool(own.all()))
        if filled:
            index = torch.where(own, index, sum(span * rows for span, rows in self.sizes) + row)
        return index.view(-1), filled

    def _reading_of_valid_steps(self) -> tuple[Tensor, bool]:
        """Each valid step is read where it is, all others from the row to fill with."""
        batch, steps = self.given.shape
        slots = torch.arange(len(self.source), device=self.source.device)
        index = (len(slots) + torch.arange(batch, device=slots.device)).repeat_interleave(steps)
        source = self.source
        if self.go_backwards:
            source = source + (steps - 1 - 2 * (source % steps))  # in the order of processing
        return index.index_copy_(0, source, slots), len(slots) < batch * steps

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


def _longest(lengths: Sequence[int]) -> Sequence[int]:
    return lengths[:1]


def _all(lengths: Sequence[int]) -> Sequence[int]:
    return range(1, lengths[0] + 1)


one_block: Final = Cut(_longest)
every_step: Final = Cut(_all)  # the packed form


def order_steps(mask: Tensor, lengths: Sequence[int] | None = None, cut: Cut = one_block, *, go_backwards: bool = False) -> StepOrder:
    """Order the valid steps of a mask.

    Args:
        mask: (batch, steps), True where a step counts.
        lengths: Valid steps of each row, known on the host; `None`: unknown, so the order is one block of all steps.
        cut: Where the blocks end.
        go_backwards: Whether the steps are processed from the last to the first.
    """
    if lengths is None:
        return _rectangle(mask, go_backwards)
    if min(lengths) > 0:
        ends = cut.ends(sorted(lengths, reverse=True))
        if len(ends) == 1:
            return _one_block(mask, np.asarray(lengths, dtype=np.int64), min(ends[0], mask.shape[1]), go_backwards)
    return _blocks(mask, np.asarray(lengths, dtype=np.int64), cut, go_backwards)


def remembered_order(mask: Tensor, lengths: Sequence[int] | None, cut: Cut, *, go_backwards: bool) -> StepOrder:
    """`order_steps`, made once for all layers that one mask on the CPU passes through."""
    if not readable(mask):
        return order_steps(mask, lengths, cut, go_backwards=go_backwards)
    remembered: tuple[Tensor | None, dict[Any, StepOrder]] = getattr(mask, "_step_orders", (None, {}))
    seen, orders = remembered
    if seen is None or not torch.equal(seen, mask):  # changed in place since
        seen, orders = mask.clone(), {}
        mask._step_orders = (seen, orders)  # type: ignore[attr-defined]
    key = (cut, go_backwards, torch.is_inference_mode_enabled())  # autograd takes no index that inference made
    if key not in orders:
        orders[key] = order_steps(seen, lengths, cut, go_backwards=go_backwards)
    return orders[key]


def _rectangle(mask: Tensor, go_backwards: bool) -> StepOrder:
    """One block of all steps and rows, made without a look at the values: each row's valid steps first."""
    batch, steps = mask.shape
    processed = mask.flip(1) if go_backwards else mask
    count = processed.sum(1, keepdim=True)
    row, step = torch.arange(batch, device=mask.device), torch.arange(steps, device=mask.device)
    # each valid step goes to the place that the count up to it says, the others past the end (a stable sort would do, but not in ONNX)
    place = torch.where(processed, processed.cumsum(1) - 1, steps)
    front = step.new_zeros(batch, steps + 1).scatter(1, place, step.expand(batch, steps))[:, :steps]
    # padding repeats a row's first valid step: what stands in masked steps may be anything, not-a-number even
    padded = step >= count
    front = torch.where(padded, front[:, :1], front)
    if go_backwards:
        front = steps - 1 - front
    front = front + steps * row.unsqueeze(1)
    first = batch * step
    last = first[(count[:, 0] - 1).clamp_min(0)] + row
    sizes = ((steps, batch),)
    return StepOrder(sizes, (batch,), front.t().reshape(-1), padded.t().reshape(-1), last, first, mask, go_backwards, alive=count[:, 0] > 0)


def _one_block(mask: Tensor, lengths: np.ndarray, span: int, go_backwards: bool) -> StepOrder:
    """One block of rows that each have a step: nothing is to be gained by sorting them."""
    batch, count = len(lengths), int(lengths.sum())
    step = np.arange(span)[:, None]
    outside = step >= lengths
    within = np.where(outside, 0, step)  # padding repeats a row's first step, as below
    place = np.cumsum(lengths) - lengths + (lengths - 1 - within if go_backwards else within)
    there = partial(_to_device, device=mask.device)
    return StepOrder(
        sizes=((span, batch),),
        ending=(batch,),
        source=_valid_positions(mask, count).index_select(0, there(place.reshape(-1))),
        padded=there(outside.reshape(-1)) if span * batch > count else None,
        last=there((lengths - 1) * batch + np.arange(batch)),
        first=there(batch * np.arange(span)),
        given=mask,
        go_backwards=go_backwards,
    )


def _blocks(mask: Tensor, lengths: np.ndarray, cut: Cut, go_backwards: bool) -> StepOrder:
    """Blocks of rows sorted by their lengths: planned on the host, in NumPy, and then carried to the device."""
    rows = np.argsort(-lengths, kind="stable")
    descending = lengths[rows]
    starts = (np.cumsum(lengths) - lengths)[rows]  # of each row among all valid steps
    nothing = descending[0] == 0
    if nothing:  # one step runs all the same, so that weights get gradients, of zeros
        descending[0] = 1
    ends = np.minimum(cut.ends(descending.tolist()), mask.shape[1])
    begins = np.append(0, ends[:-1])
    alive, spans = len(rows) - np.searchsorted(descending[::-1], begins, side="right"), ends - begins
    ending = alive - np.append(alive[1:], 0)
    kept = np.minimum(-(-alive // cut.rows) * cut.rows, alive[0])
    rows_at = np.repeat(kept, spans)
    first = np.cumsum(rows_at) - rows_at
    step, rank = np.arange(ends[-1])[:, None], np.arange(alive[0])
    filled = rank < rows_at[:, None]  # (steps, ranks)
    longest = descending[: alive[0]]
    outside = step >= longest
    # padding repeats a row's first step: what stands in masked steps may be anything, not-a-number even
    within = np.where(outside, 0, step)
    place = starts[: alive[0]] + (longest - 1 - within if go_backwards else within)
    there = partial(_to_device, device=mask.device)
    return StepOrder(
        sizes=tuple(zip(spans.tolist(), kept.tolist(), strict=True)),
        ending=tuple(ending.tolist()),
        source=_valid_positions(mask, int(lengths.sum())).index_select(0, there(place[filled])),
        padded=there(outside[filled]) if rows_at.sum() > descending.sum() else None,
        last=there(first[longest - 1] + rank - np.repeat((first[begins])[::-1], ending[::-1])),
        first=there(first),
        given=mask,
        go_backwards=go_backwards,
        alive=torch.zeros(int(alive[0]), dtype=torch.bool, device=mask.device) if nothing else None,
        rows=there(rows),
        ranks=there(np.argsort(rows)),
    )


def _valid_positions(mask: Tensor, count: int) -> Tensor:
    """(count,) the flat positions of the valid steps, row by row; one position at least."""
    if count == 0:
        return torch.zeros(1, dtype=torch.int64, device=mask.device)
    if readable(mask):
        return mask.reshape(-1).nonzero().squeeze(1)
    return torch.argsort(~mask.reshape(-1), stable=True)[:count]  # the same, without waiting for the device to count


def _to_device(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device, non_blocking=True)
