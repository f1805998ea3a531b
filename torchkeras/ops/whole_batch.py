"""The whole batch, of which each process of a data-parallel run computes a part.

Most of a loss is a mean over samples, and a mean of parts, each weighted by its size, is the mean of the whole. What is not,
asks here: sums, and means that stand in a denominator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class WholeBatch:
    """What is under way in this process: a part of a batch, or (the usual case) the whole of it.

    Attributes:
        active: Whether this is a part, and all processes compute theirs now.
        count: Samples of the part that count; 0 where the batch has fewer samples than there are processes, and another's sample
            stands in, so that all processes go the same way.
        size: Samples of the whole batch.
    """

    def __init__(self) -> None:
        self.active = False
        self.count, self.size = 1, 1

    @property
    def scale(self) -> float:
        """What a sum over the part has to be multiplied with, since the part enters with the weight of its size."""
        return self.size / self.count if self.active and self.count else 1.0

    @contextmanager
    def part(self, count: int, size: int) -> Iterator[None]:
        """Inside, the batch under way is a part."""
        before = self.active, self.count, self.size
        self.active, self.count, self.size = True, count, size
        try:
            yield
        finally:
            self.active, self.count, self.size = before

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the whole batch of values without gradients; all processes ask at once."""
        if not self.active:
            return values.mean()
        return self.total(values.sum()) / self.total(torch.full_like(values.flatten()[:1].sum(), values.numel()))

    def total(self, value: Tensor) -> Tensor:
        """A number or vector without gradients, summed over the processes whose samples count; all ask at once."""
        found = value.detach() * float(self.count > 0)
        torch.distributed.all_reduce(found)
        return found


whole = WholeBatch()
