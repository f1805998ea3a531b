"""Which form of a masked run is fastest, by the measurements that `benchmarks/sequences.py` repeats."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from torchkeras.ops.recurrent.gru_after_loop import trains_written_out
from torchkeras.ops.recurrent.order import Cut, one_block

# What one more call of a fused kernel takes as long as, on a CPU: so many steps of single rows, and so many multiply-adds of one gate. oneDNN
# lays out the weights anew in each call. Fitted to calls of 4 to 32 rows and 10 to 40 steps with 64 to 512 units, forward and backward.
CALL_COST: Final = {"onednn": (80.0, 1.4e6), "aten": (30.0, 0.75e6)}
# Share of valid steps below which cuDNN's packed form is taken to save more than its batches of changing size cost
LITTLE: Final = 0.5


def choose_form(mode: str | None, dtype: torch.dtype, mask: Tensor, lengths: Sequence[int] | None) -> str:
    """The form for a mask.

    On a CPU the dense form, in blocks, trained an LSTM(200) on 32 rows of 80 steps, 51 % valid, in 23 ms, the packed
    kernel in 82, the scan in 74; a GRU in 37, 82 and 56. Without gradients ATen's packed GRU and RNN are the faster ones
    (7.7 to 8.8 ms), the LSTM, which runs in oneDNN, is not (8.6 to 6.9). With gradients the GRU is written out, over packed
    steps: that takes half the time of the dense form.

    Args:
        mode: Mode of the fused kernel, or `None` where the steps run one by one.
        dtype: Of the inputs.
        mask: (batch, steps), where the inputs are.
        lengths: Valid steps of each row; `None`: not known to the host, so nothing can be packed without waiting.

    Returns:
        "dense", "packed" or "scan".
    """
    if lengths is None:
        return "scan" if mode is None else "dense"
    if mode is None:
        return "packed"
    if mask.device.type != "cpu":
        return "packed" if sum(lengths) < LITTLE * mask.numel() else "dense"
    if _in_onednn(mode, dtype):
        return "dense"
    return "packed" if not torch.is_grad_enabled() or trains_written_out(mode, dtype, mask) else "dense"


def _in_onednn(mode: str | None, dtype: torch.dtype) -> bool:
    return mode == "lstm" and dtype in (torch.float32, torch.bfloat16)


def cost_of_a_step(units: int, size: int) -> int:
    """Multiply-adds of one gate for one step of one row."""
    return units * (units + size)


def choose_cut(like: Tensor, mode: str | None, cost: float, lengths: Sequence[int] | None) -> Cut:
    """Where the blocks of the dense form should end.

    oneDNN makes a program for each shape of a block, in a millisecond or two, and keeps the last 1,024 of them, some 90 kB each. So that a few
    serve all batches, its blocks come in few shapes.

    Args:
        like: A tensor of the type that is computed in, where it is computed.
        mode: Mode of the fused kernel.
        cost: `cost_of_a_step`, on average over the layers that run a block one after the other.
        lengths: Valid steps of each row, or `None`: not known to the host.
    """
    if like.device.type != "cpu" or lengths is None:
        return one_block
    onednn = _in_onednn(mode, like.dtype)
    fixed, growing = CALL_COST["onednn" if onednn else "aten"]
    return _cut(fixed + growing / cost, min(8, max(1, len(lengths) // 4)) if onednn else 0)


@functools.lru_cache(maxsize=256)
def _cut(worth: float, rows: int) -> Cut:  # one object for each, so that orders can be looked up by it
    if not rows:
        return Cut(functools.partial(cut_where_it_pays, worth=worth))
    return Cut(functools.partial(cut_to_few_shapes, worth=worth, rows=rows), rows)


def cut_where_it_pays(lengths: Sequence[int], worth: float) -> list[int]:
    """The ends of blocks, each of which saves more padding than a call costs.

    Args:
        lengths: Valid steps of each row, descending.
        worth: Steps of single rows that take as long as one more call.
    """
    ends = [lengths[0]]
    spans = [(0, lengths[0])]
    while spans:
        begin, end = spans.pop()
        rows = sum(length > begin for length in lengths)
        best, saved = 0, worth
        for alive in range(1, rows):  # cut where `alive` rows are left
            at = lengths[alive]
            if at < end and (end - at) * (rows - alive) > saved:
                best, saved = at, (end - at) * (rows - alive)
        if best:
            ends.append(best)
            spans += [(begin, best), (best, end)]
    return sorted(ends)


def cut_to_few_shapes(lengths: Sequence[int], worth: float, rows: int) -> list[int]:
    """The same where blocks come in few shapes: their ends lie on a grid as fine as an eighth to a sixteenth of the longest length.

    Args:
        lengths: Valid steps of each row, descending.
        worth: Steps of single rows that take as long as one more call.
        rows: Rows of a block come in multiples of this.
    """
    grid = 1 << max(0, lengths[0].bit_length() - 4)
    begins = np.arange(0, lengths[0], grid)
    alive = np.searchsorted(np.negative(lengths), -begins)  # rows that go on behind each place
    count = np.minimum(-(-alive // rows) * rows, alive[0]).tolist()
    ends, spans = [len(count)], [(0, len(count))]
    while spans:
        begin, end = spans.pop()
        best, saved = 0, worth / grid
        for at in range(begin + 1, end):
            if (end - at) * (count[begin] - count[at]) > saved:
                best, saved = at, (end - at) * (count[begin] - count[at])
        if best:
            ends.append(best)
            spans += [(begin, best), (best, end)]
    return [end * grid for end in sorted(ends)]
