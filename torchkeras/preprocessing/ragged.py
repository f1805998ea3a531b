"""`Ragged`: sequences of unequal length, kept without padding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import config


class Ragged:
    """Rows of unequal length, one a sample, for `fit`, `evaluate` and `predict`.

    Each batch is padded with zeros behind its rows up to its own longest one, and its mask goes to the model with it. A plain list of
    arrays, or a nested (jagged) tensor, given as an input or as targets is made one of these; make it yourself to bucket by length.

    Args:
        rows: Lists, arrays or tensors, each with its steps on the first axis; or a nested tensor.
        bucket: Put rows of like length in one batch. In training, rows are sorted within pools of some batches, anew each epoch, and
            the batches come in random order; where nothing is shuffled all rows are sorted. `predict` gives results in the order given.

    Shape:
        n rows of (steps, ...) -> shape (n, None, ...)

    Raises:
        TypeError: rows that are no numbers.
        ValueError: no rows, a row without steps, or rows that differ in another axis than the first.
    """

    def __init__(self, rows: Any, *, bucket: bool = False) -> None:
        tensors = _as_tensors(rows)
        self.bucket = bucket
        self.lengths = np.array([len(row) for row in tensors], dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        # one more step, of zeros, is what padding reads
        self.steps = torch.cat([*tensors, tensors[0].new_zeros((1, *tensors[0].shape[1:]))])

    @property
    def shape(self) -> tuple[int | None, ...]:
        """(rows, None, ...): the steps differ."""
        return (len(self.lengths), None, *self.steps.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """Type of the numbers."""
        return self.steps.dtype

    @property
    def values(self) -> Tensor:
        """(all steps, ...) the steps of all rows, one row after the other."""
        ends = np.cumsum(self.lengths)
        places = np.arange(ends[-1]) + np.repeat(self.starts - (ends - self.lengths), self.lengths)
        return self.steps.index_select(0, torch.from_numpy(places))

    def like(self, values: Tensor) -> Ragged:
        """Rows of the same lengths that hold other values, given as `values` gives them."""
        return Ragged(list(values.split(self.lengths.tolist())), bucket=self.bucket)

    def dim(self) -> int:
        """Number of axes."""
        return self.steps.dim() + 1

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, where: Any) -> Any:
        """One row, by its number; or a `Ragged` of some rows, by a slice or an array of numbers, which shares memory."""
        if isinstance(where, (int, np.integer)):
            start = int(self.starts[where])
            return self.steps[start : start + int(self.lengths[where])]
        part = Ragged.__new__(Ragged)
        part.bucket, part.steps = self.bucket, self.steps
        part.lengths, part.starts = self.lengths[where], self.starts[where]
        return part

    def pad(self, rows: np.ndarray | None = None, steps: int | None = None) -> tuple[Tensor, Tensor]:
        """Some rows as a rectangle, as long as the longest of them.

        Args:
            rows: Numbers of the rows; `None`: all.
            steps: Make it so long, which is at least as long as the longest.

        Shape: (rows, steps, ...), with zeros behind each row, and the mask (rows, steps)
        """
        starts, lengths = (self.starts, self.lengths) if rows is None else (self.starts[rows], self.lengths[rows])
        step = np.arange(lengths.max() if steps is None else steps)
        inside = step < lengths[:, None]
        places = np.where(inside, starts[:, None] + step, len(self.steps) - 1)
        padded = self.steps.index_select(0, torch.from_numpy(places.reshape(-1)))
        return padded.unflatten(0, places.shape), torch.from_numpy(inside)

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows of {self.lengths.min()} to {self.lengths.max()} steps, {self.dtype})"


def is_nested(value: Any) -> bool:
    """Whether a value is a nested tensor of torch, jagged or not."""
    return isinstance(value, Tensor) and value.is_nested


def _as_tensors(rows: Any) -> list[Tensor]:
    """The rows as tensors of one type, checked."""
    if is_nested(rows):
        tensors = [row.detach().cpu() for row in rows.unbind()]
    elif isinstance(rows, Iterable):
        tensors = [_as_tensor(row, number) for number, row in enumerate(rows)]
    else:
        raise TypeError(f"Ragged takes a list of rows or a nested tensor, but got {type(rows).__name__}.")
    if not tensors:
        raise ValueError("Ragged got no rows: the list is empty.")
    for number, row in enumerate(tensors):
        if row.dim() == 0 or row.shape[1:] != tensors[0].shape[1:]:
            raise ValueError(
                f"Rows of unequal length may differ in their first axis only, but row 0 has the shape {tuple(tensors[0].shape)} and row {number} "
                f"the shape {tuple(row.shape)}."
            )
        if len(row) == 0:
            raise ValueError(f"Row {number} has no steps: a sequence of length 0 says nothing. Drop it.")
    whole = not any(row.is_floating_point() for row in tensors)
    if whole:
        kind = torch.int64 if len({row.dtype for row in tensors}) > 1 else tensors[0].dtype
    else:
        kind = next(row.dtype for row in tensors if row.is_floating_point())
        kind = config.float_dtype() if kind is torch.float64 else kind
    return [row.to(kind) for row in tensors]


def _as_tensor(row: Any, number: int) -> Tensor:
    if isinstance(row, Tensor):
        return row.detach().cpu()
    try:
        array = np.asarray(row)
    except ValueError as error:
        raise ValueError(f"Row {number} is no array: its parts have unequal lengths ({error}).") from error
    if array.size and array.dtype.kind not in "fiub":
        raise TypeError(f"Rows must be numbers, but row {number} has the type {array.dtype}. Turn it into numbers first, by Tokenizer say.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.as_tensor(np.array(array, order="C"))  # a copy: it may be read-only
