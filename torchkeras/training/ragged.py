"""Sequences of unequal length as batches: each padded to its own longest row, masked, and bucketed by length where asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import config
from torchkeras.layers.masks import set_mask
from torchkeras.ops.recurrent import set_known_lengths
from torchkeras.preprocessing.ragged import Ragged, is_nested
from torchkeras.training.arrays import InMemory, Packing
from torchkeras.training.batches import Batch, on_device
from torchkeras.training.counted import note_steps, padding_of
from torchkeras.training.tensors import flatten, present

POOL = 16  # batches whose rows are sorted together: little padding is left, and still batches differ from epoch to epoch


def with_rows(model: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Inputs and targets with every list of unequal arrays, and every nested tensor, as `Ragged`; all else as it came."""
    record = model._record_
    shapes = None if record is None or getattr(model, "_inferred", False) else [record.infos[number].shape for number in record.inputs]
    names = None if shapes is None else model.input_names
    x = _inputs_with_rows(x, shapes, names)
    ragged = [leaf for leaf in _leaves(x) if isinstance(leaf, Ragged)]
    if ragged and y is not None:
        outputs = len(model.output_names) if record is not None else None
        y = _targets_with_rows(y, ragged, outputs)
    return x, y


def _leaves(value: Any) -> list[Any]:
    return [value] if isinstance(value, Ragged) else flatten(value)


def _inputs_with_rows(x: Any, shapes: Any, names: Any) -> Any:
    if isinstance(x, Mapping):
        by_name = {} if names is None else dict(zip(names, shapes, strict=True))
        return {name: _as_rows(part, by_name.get(name), arrays=True) for name, part in x.items()}
    many = isinstance(x, (list, tuple))
    if many and shapes is not None and len(shapes) > 1:
        return [_as_rows(part, shape, arrays=True) for part, shape in zip(x, shapes, strict=True)] if len(x) == len(shapes) else x
    rows = _as_rows(x, None if shapes is None else shapes[0], arrays=shapes is not None)
    if rows is x and many and shapes is None:
        parts = [_as_rows(part, None) for part in x]
        return [_as_rows(part, None, arrays=True) for part in parts] if any(isinstance(part, Ragged) for part in parts) else x
    return rows


def _targets_with_rows(y: Any, inputs: list[Ragged], outputs: int | None) -> Any:
    if isinstance(y, Mapping):
        return {name: _as_rows(part, None) for name, part in y.items()}
    if isinstance(y, (list, tuple)) and len(y) != len(inputs[0]) and (outputs or 2) > 1:
        return [_as_rows(part, None) for part in y]
    same = isinstance(y, (list, tuple)) and all(_is_row(row) for row in y) and any([len(row) for row in y] == list(one.lengths) for one in inputs)
    return Ragged(y) if same else _as_rows(y, None)


def _as_rows(value: Any, shape: Any, *, arrays: bool = False) -> Any:
    """A value as `Ragged` where it is rows of unequal length; `arrays`: also where it is several arrays of equal length."""
    if isinstance(value, Ragged):
        return value
    if is_nested(value):
        return Ragged(value)
    if shape is not None and (len(shape) < 2 or shape[1] is not None):
        return value  # one length is wanted: others say so
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)
    if not isinstance(value, (list, tuple)) or len(value) < 2 or not all(_is_row(row) for row in value):
        return value
    if len({len(row) for row in value}) > 1:
        return Ragged(value)
    return Ragged(value) if arrays and all(hasattr(row, "shape") for row in value) else value


def _is_row(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, (np.ndarray, Tensor)) and value.ndim > 0)


def weight_rows(sample_weight: Any, targets: list[Any]) -> Any:
    """Sample weights, of which rows with a weight for each step are `Ragged`.

    Args:
        sample_weight: As it was given.
        targets: Of each output.

    Raises:
        ValueError: rows of other lengths than the target's.
    """
    if len(targets) == 1:
        return _rows_like(sample_weight, targets[0])
    if isinstance(sample_weight, (list, tuple)) and len(sample_weight) == len(targets):
        return [_rows_like(part, target) for part, target in zip(sample_weight, targets, strict=True)]
    return sample_weight


def _rows_like(weight: Any, target: Any) -> Any:
    """Weights of the steps of rows of unequal length; all else as it came."""
    if not isinstance(target, Ragged):
        return weight
    if isinstance(weight, np.ndarray) and weight.dtype == object:
        weight = list(weight)
    listed = isinstance(weight, (list, tuple)) and len(weight) == len(target) and all(_is_row(row) for row in weight)
    if not (isinstance(weight, Ragged) or is_nested(weight) or listed):
        return weight
    rows = weight if isinstance(weight, Ragged) else Ragged(weight)
    if not np.array_equal(rows.lengths, target.lengths):
        row = int(np.flatnonzero(rows.lengths != target.lengths)[0]) if len(rows) == len(target) else 0
        raise ValueError(
            f"sample_weight with one weight a step needs rows as long as those of y, but row {row} of it has {rows.lengths[row]} steps "
            f"and row {row} of y has {target.lengths[row]}."
        )
    return target.like(rows.values.to(config.float_dtype()))


def step_weights(weight: Any, target: Ragged) -> Tensor | None:
    """(all steps,) the weight of each step of a target's rows, from one weight a row or one a step."""
    if weight is None:
        return None
    if isinstance(weight, Ragged):
        return weight.values
    return weight.repeat_interleave(torch.from_numpy(target.lengths))


def has_rows(*structures: Any) -> bool:
    """Whether data hold sequences of unequal length."""
    return any(isinstance(leaf, Ragged) for structure in structures for leaf in _leaves(structure))


class RaggedBatches(InMemory):
    """Batches of which some leaves are `Ragged`. Masks hang on the padded tensors, with the lengths that the host knows.

    Args:
        model: What they are for.
        packing: The data.
        batch_size: Rows in a batch; the last may be smaller.
        shuffle: As for arrays: the same seed gives the same order.
        device: Where batches are wanted.

    Raises:
        ValueError: targets that have other lengths than every input.
    """

    def __init__(self, model: Any, packing: Packing, batch_size: int, shuffle: bool | str, device: torch.device) -> None:
        super().__init__(packing, batch_size, shuffle, device)
        self.model = model
        x, y, _ = packing.structures
        self.inputs = [leaf for leaf in present(x) if isinstance(leaf, Ragged)]
        self.bucket = any(leaf.bucket for leaf in packing.leaves if isinstance(leaf, Ragged))
        self.lengths = sum((leaf.lengths for leaf in self.inputs), np.zeros(self.samples, dtype=np.int64))
        self.taken: list[np.ndarray] = []  # the rows of each batch of this epoch
        for target in present(y):
            if isinstance(target, Ragged):
                self._check_lengths(target)

    def _check_lengths(self, target: Ragged) -> None:
        if any(np.array_equal(target.lengths, one.lengths) for one in self.inputs):
            return
        if not self.inputs:
            raise ValueError("y has rows of unequal length, but x has not. Give both as lists of rows, or pad y with pad_sequences.")
        row = int(np.flatnonzero(target.lengths != self.inputs[0].lengths)[0])
        raise ValueError(
            f"Targets of unequal length need a step for each step of an input, but row {row} of y has {target.lengths[row]} steps "
            f"and row {row} of x has {self.inputs[0].lengths[row]}."
        )

    def first(self) -> Batch:
        row = np.arange(1)
        return self._padded(row, row)

    def _batch(self, rows: np.ndarray) -> Batch:
        return self._padded(rows, rows)

    def _padded(self, rows: np.ndarray, among: np.ndarray) -> Batch:
        """Some rows, as long as the longest among those."""
        chosen = torch.from_numpy(rows)
        parts = []
        for leaf in self.packing.leaves:
            if isinstance(leaf, Ragged):
                parts.append(masked_rows(leaf, rows, int(leaf.lengths[among].max())))
            else:
                parts.append(leaf.index_select(0, on_device(chosen, leaf.device)))
        batch = self.packing(parts)
        if self.device.type != "cpu":
            note_steps(self.model, batch[0], padding_of(self.model))
        return batch

    def __iter__(self) -> Iterator[Batch]:
        return self.tracked(self._epoch())

    def _draw(self) -> list[np.ndarray]:
        """The rows of each batch of the next epoch."""
        order = self.order.next()
        rows = np.arange(self.samples) if order is None else order.numpy()
        return bucketed(rows, self.lengths, self.batch_size, bool(self.order.shuffle)) if self.bucket else self._cut(rows)

    def _epoch(self) -> Iterator[Batch]:
        parts, start = self.drawn(self._draw)
        self.taken = []
        for part in parts[start : self.steps]:
            self.taken.append(part)
            yield tuple(on_device(one, self.device) for one in self._batch(part))  # type: ignore[misc]

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    def outputs(self) -> RowOutputs:
        """What gathers predictions: steps of unequal number, in the order in which rows were given."""
        return RowOutputs(self)


def masked_rows(leaf: Ragged, rows: np.ndarray | None = None, steps: int | None = None) -> Tensor:
    """Some rows padded to the longest, or to so many steps, with their mask."""
    padded, mask = leaf.pad(rows, steps)
    set_known_lengths(mask, (leaf.lengths if rows is None else leaf.lengths[rows]).tolist())
    set_mask(padded, mask)
    return padded


def bucketed(rows: np.ndarray, lengths: np.ndarray, batch_size: int, shuffled: bool) -> list[np.ndarray]:
    """Batches of rows of like length; one that is not full comes last.

    Args:
        rows: The rows in this epoch's order.
        lengths: (rows,) the steps of each.
        batch_size: Rows in a batch.
        shuffled: Whether to sort within pools and to mix the batches, or to sort all rows.
    """
    if not shuffled:
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    whole = len(rows) // batch_size * batch_size
    batches: list[np.ndarray] = []
    for start in range(0, whole, POOL * batch_size):
        pool = rows[start : min(start + POOL * batch_size, whole)]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.split(pool, len(pool) // batch_size)
    mixed = [batches[number] for number in torch.randperm(len(batches)).tolist()]
    return [*mixed, rows[whole:]] if whole < len(rows) else mixed


class RowOutputs:
    """Predictions for rows of unequal length: an output with a mask becomes a list of arrays, one a row, as long as the row.

    Args:
        batches: What is predicted.
    """

    def __init__(self, batches: RaggedBatches) -> None:
        self.batches = batches
        self.rows: list[np.ndarray] = []
        self.parts: list[list[np.ndarray]] = []
        self.lengths: list[list[np.ndarray | None]] = []
        self.form: Any = None

    def append(self, output: Any) -> None:
        """Keep what the model gave for a batch."""
        self.form = output
        leaves = flatten(output)
        rows = self.batches.taken[-1]
        start, stop = self._own(len(rows))
        self.rows.append(rows[start:stop])
        lengths = [self._lengths(leaf, rows, start) for leaf in leaves]
        self.lengths.append([None if own is None else own[: stop - start] for own in lengths])
        self.parts.append([to_numpy(leaf[: stop - start]) for leaf in leaves])

    def _own(self, rows: int) -> tuple[int, int]:
        """Which of a batch's rows the outputs are for."""
        return 0, rows

    def _lengths(self, leaf: Tensor, rows: np.ndarray, start: int) -> np.ndarray | None:
        """The steps of each row of an output, which begins with that one of the batch's rows; `None`: it has no steps."""
        mask = getattr(leaf, "_keras_mask", None)
        if mask is None or leaf.dim() < 2 or mask.shape[:2] != leaf.shape[:2]:
            return None
        found = {tuple(own) for own in (one.lengths[rows] for one in self.batches.inputs) if own.max() == leaf.shape[1]}
        if len(found) == 1:
            return np.array(found.pop())[start:]
        step = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        return (mask.flatten(2).any(2) * step if mask.dim() > 2 else mask * step).amax(1).cpu().numpy()

    def joined(self) -> Any:
        """All of them in the order in which the rows were given."""
        order = np.concatenate(self.rows)
        back = np.argsort(order, kind="stable")
        leaves: list[Any] = []
        for number in range(len(self.parts[0])):
            parts, lengths = [one[number] for one in self.parts], [one[number] for one in self.lengths]
            if any(own is None for own in lengths):
                leaves.append(_together(parts)[back])
                continue
            rows = [row[:length] for part, own in zip(parts, lengths, strict=True) for row, length in zip(part, own, strict=True)]  # type: ignore[arg-type]
            leaves.append([rows[place] for place in back])
        return like_form(self.form, leaves)


def like_form(form: Any, leaves: list[Any]) -> Any:
    """Leaves in the form in which a model gives its outputs."""
    if isinstance(form, Mapping):
        return dict(zip(form, leaves, strict=True))
    return leaves if isinstance(form, (list, tuple)) else leaves[0]


def _together(parts: list[np.ndarray]) -> np.ndarray:
    if len({part.shape[1:] for part in parts}) > 1:
        other = next(part.shape for part in parts if part.shape[1:] != parts[0].shape[1:])
        raise ValueError(
            f"predict got outputs of the shapes {parts[0].shape} and {other} from batches of "
            "rows of unequal length, without a mask that says which steps count. Use layers that support masking, or batch_size=1 and one row a call."
        )
    return np.concatenate(parts)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
