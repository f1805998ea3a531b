"""Which form of a masked run is fastest, by the measurements that `benchmarks/sequences.py` repeats."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from torchkeras.ops.recurrent.order import Cut, one_block

# Multiply-adds of one gate that take as long as one more call of a fused kernel, on a CPU
CALL_COST: Final = 4e6
# Share of valid steps below which cuDNN's packed form is taken to save more than its batches of changing size cost
LITTLE: Final = 0.5


def choose_form(mode: str | None, dtype: torch.dtype, mask: Tensor, lengths: Sequence[int] | None) -> str:
    """The form for a mask.

    On a CPU the dense form, in blocks, trained an LSTM(200) on 32 rows of 80 steps, 51 % valid, in 23 ms, the packed
    kernel in 82, the scan in 74; a GRU in 37, 82 and 56. Without gradients ATen's packed GRU and RNN are the faster ones
    (7.7 to 8.8 ms), the LSTM, which runs in oneDNN, is not (8.6 to 6.9).

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
    onednn = mode == "lstm" and dtype in (torch.float32, torch.bfloat16)
    return "dense" if onednn or torch.is_grad_enabled() else "packed"


def cost_of_a_step(units: int, size: int) -> int:
    """Multiply-adds of one gate for one step of one row."""
    return units * (units + size)


def choose_cut(device: torch.device, cost: float, lengths: Sequence[int] | None) -> Cut:
    """Where the blocks of the dense form should end.

    Args:
        device: Where it runs.
        cost: `cost_of_a_step`, on average over the layers that run a block one after the other.
        lengths: Valid steps of each row, or `None`: not known to the host.
    """
    if device.type != "cpu" or lengths is None:
        return one_block
    return _cut(CALL_COST / cost)


@functools.lru_cache(maxsize=256)
def _cut(worth: float) -> Cut:  # one object for each worth, so that orders can be looked up by it
    return functools.partial(cut_where_it_pays, worth=worth)


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
