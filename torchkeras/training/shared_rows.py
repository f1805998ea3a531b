"""Sequences of unequal length in a data-parallel run: every process pads its rows as one process would pad the whole batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from torchkeras.training.batches import Batch
from torchkeras.training.distributed import bounds, order_of_chief, processes
from torchkeras.training.parts import place_in, set_part
from torchkeras.training.ragged import RaggedBatches, RowOutputs


class SharedRows(RaggedBatches):
    """Parts of batches of rows that every process has; only the part's rows are padded.

    They are padded to the longest row of the whole batch: means over steps, and layers that know no mask, then give what one process gives.

    Args:
        batches: The whole batches.
    """

    def __init__(self, batches: RaggedBatches) -> None:
        super().__init__(batches.model, batches.packing, batches.batch_size, False, batches.device)
        self.order, self.steps = batches.order, batches.steps

    def _draw(self) -> list[np.ndarray]:
        """The first process's batches: buckets are mixed by random numbers, too."""
        found = super()._draw()
        order = order_of_chief(torch.from_numpy(np.concatenate(found)) if self.order.shuffle else None, self.samples)
        return found if order is None else self._cut(order.numpy())

    def _batch(self, rows: np.ndarray) -> Batch:
        where, count = place_in(len(rows))
        set_part(count, len(rows))
        return self._padded(rows[where], rows)

    def outputs(self) -> GatheredRows:
        """What gathers predictions of all processes."""
        return GatheredRows(self)


class GatheredRows(RowOutputs):
    """Predictions of all processes for rows of unequal length, in the order in which rows were given."""

    def _own(self, rows: int) -> tuple[int, int]:
        return bounds(rows)

    def joined(self) -> Any:
        """The predictions for all rows, in every process."""
        gathered: list[Any] = [None] * processes()
        torch.distributed.all_gather_object(gathered, (self.rows, self.parts, self.lengths))
        self.rows, self.parts, self.lengths = ([one for own in gathered for one in own[number]] for number in range(3))
        return super().joined()
