"""A workload as PyTorch loops see it: columns with one row a sample, and what the network's outputs are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.programs import PROGRAMS

PADDED = -100  # the target of a padded step, which cross_entropy leaves out
MASKED = ("masked_lstm", "masked_right", "masked_holes", "tagger")
Columns = list[Tensor]


class Task:
    """Data, losses and scores of a program.

    Args:
        name: The program.
        samples: How many rows of data.
        device: Where the columns lie.

    Attributes:
        columns: Inputs (of padded rows the ids, their valid steps in front, and the number of these), targets, weights.
        inputs: How many of them are inputs.
        lengths: The number of valid steps of each row, on the host; `None` where nothing is padded.
    """

    def __init__(self, name: str, samples: int, device: str = "cpu") -> None:
        data = PROGRAMS[name].data(samples)
        xs, ys = _listed(data.x), _listed(data.y)
        self.name, self.lengths, self.steps = name, None, 0
        if name in MASKED:
            x = xs[0]
            self.lengths, self.steps = (x != 0).sum(axis=1), x.shape[1]
            order = np.argsort(x == 0, axis=1, kind="stable")
            if name == "tagger":
                ys = [np.where(x == 0, PADDED, ys[0][..., 0])]
            xs = [np.take_along_axis(x, order, axis=1), self.lengths]
        self.inputs, self.targets = len(xs), len(ys)
        self.columns: Columns = [torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (*xs, *ys, *(data.weights or ()))]
        if name in ("cnn", "resnet"):
            self.columns[0] = self.columns[0].permute(0, 3, 1, 2)  # a view: contiguous in channels-last memory
        self.counted = int(self.lengths.sum()) if name == "tagger" and self.lengths is not None else samples

    def cut(self, batch: Columns, rows: np.ndarray) -> Columns:
        """Padded rows cut to the longest of the batch, which has those rows of the data."""
        assert self.lengths is not None
        most = int(self.lengths[rows].max())
        batch[0] = batch[0][:, :most]
        if self.name == "tagger":
            batch[2] = batch[2][:, :most]
        return batch

    def losses(self, outputs: Any, batch: Columns) -> tuple[Tensor, ...]:
        """What is trained, and where it is a sum, its parts."""
        y = batch[self.inputs]
        if self.name.startswith("two"):
            scores, made = outputs
            if len(batch) == self.inputs + self.targets:
                first, second = F.cross_entropy(scores, y), F.mse_loss(made, batch[3])
            else:
                first = (F.cross_entropy(scores, y, reduction="none") * batch[4]).mean()
                second = ((made - batch[3]).square().squeeze(1) * batch[5]).mean()
            return first + second, first, second
        if self.name == "tagger":  # tf.keras' mean is over all steps, of which the padded ones are 0
            return (F.cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="sum") / (len(y) * self.steps),)
        if self.name in MASKED:
            return (F.binary_cross_entropy_with_logits(outputs.squeeze(1), y),)
        return (F.cross_entropy(outputs, y),)

    def scores(self, outputs: Any, batch: Columns) -> tuple[Tensor, ...]:
        """Sums over the batch: right answers, and absolute errors where a number is to be told."""
        y = batch[self.inputs]
        if self.name == "two":
            return ()
        if self.name == "two_weighted":
            return (outputs[0].argmax(1) == y).sum(), (outputs[1] - batch[3]).abs().sum()
        if self.name in MASKED and self.name != "tagger":
            return (((outputs.squeeze(1) > 0) == (y > 0)).sum(),)
        return ((outputs.argmax(-1) == y).sum(),)

    def answers(self, outputs: Any) -> Any:
        """What a Keras model puts out."""
        if self.name.startswith("two"):
            return [outputs[0].softmax(1), outputs[1]]
        if self.name == "tagger":
            return F.pad(outputs.softmax(2), (0, 0, 0, self.steps - outputs.shape[1]))
        return outputs.sigmoid() if self.name in MASKED else outputs.softmax(1)


def _listed(one: Any) -> list[Any]:
    return list(one) if isinstance(one, (list, tuple)) else [one]
