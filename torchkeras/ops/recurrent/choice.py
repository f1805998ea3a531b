"""Which form of a masked run is fastest, by the measurements that `benchmarks/sequences.py` repeats."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from torchkeras.ops.recurrent.order import Cut, one_block


def choose_form(mode: str | None, inputs: Tensor, lengths: Sequence[int] | None) -> str:
    """ "dense", "packed" or "scan" for a mask whose rows have these lengths, as far as the host knows them."""
    if mode is None:
        return "scan" if lengths is None else "packed"
    return "dense"


def choose_cut(mode: str | None, inputs: Tensor) -> Cut:
    """Where the blocks of the dense form should end."""
    return one_block
