"""Valid steps counted on the host before batches go to a device, so that no masked layer there has to wait for a count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from torchkeras.graph.network import Network
from torchkeras.graph.record import Value
from torchkeras.layers.base import Layer
from torchkeras.layers.embeddings import Embedding
from torchkeras.layers.masking import Masking
from torchkeras.ops.recurrent import note_count
from torchkeras.training.arrays import ArrayBatches, Packing
from torchkeras.training.batches import Batch, moved
from torchkeras.training.tensors import flatten

Padding = list[tuple[int, float]]  # (number of an input, the value that marks padding in it)
ANY: Final = -1  # number of whatever input it may be


def padding_of(model: Any) -> Padding:
    """The inputs of which an Embedding or Masking layer makes a mask, through nested models too, with the value that it masks.

    In a model with a `call` of its own nobody knows which layer gets which input: there it is any of them.
    """
    record = model._record_ if isinstance(model, Network) else None
    if record is None:
        layers = model.sublayers() if isinstance(model, Layer) else []
        return sorted({(ANY, value) for layer in layers for _, value in _padding_of_layer(layer)})
    places = {number: place for place, number in enumerate(record.inputs)}
    found: Padding = []
    for step in record.steps:
        module = model._modules.get(step.key)
        inside = _padding_of_layer(module) or (padding_of(module) if getattr(module, "_modules", None) else [])
        if not inside:
            continue
        taken = flatten(step.args[0]) if step.args else []
        each = [(n, value) for number, value in inside for n in (range(len(taken)) if number == ANY else (number,))]
        found += [(places[taken[n].number], v) for n, v in each if n < len(taken) and isinstance(taken[n], Value) and taken[n].number in places]
    return sorted(set(found))


def _padding_of_layer(module: Any) -> Padding:
    if isinstance(module, Embedding):
        return [(0, 0.0)] if module.mask_zero else []
    return [(0, float(module.mask_value))] if isinstance(module, Masking) else []


def _in_order(model: Any, x: Any) -> list[Any]:
    """Inputs in the model's order; given by name to a model with a `call` of its own, in theirs."""
    if isinstance(x, Mapping) and getattr(model, "_record_", None) is not None:
        return [x[name] for name in model._input_names_in or model.input_names]
    return flatten(x)


def count_steps(model: Any, x: Any, padding: Padding) -> list[tuple[int, float, Tensor]]:
    """(input, padding value, valid steps of each row) for the inputs that still are on the host."""
    counts = []
    leaves = _in_order(model, x)
    for number, value in [(n, value) for place, value in padding for n in (range(len(leaves)) if place == ANY else (place,))]:
        leaf = leaves[number]
        if isinstance(leaf, Tensor) and leaf.device.type == "cpu" and leaf.dim() in (2, 3):
            valid = leaf != value
            counts.append((number, value, (valid.any(-1) if leaf.dim() == 3 else valid).sum(1)))
    return counts


def note_steps(model: Any, x: Any, padding: Padding) -> None:
    """Count a batch's valid steps and hang the counts on it."""
    leaves = _in_order(model, x)
    for number, value, counts in count_steps(model, x, padding):
        note_count(leaves[number], value, counts.tolist())


def counting(model: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A stream's way to read a batch, with its steps counted where it is to leave the host."""

    def counted(given: Any) -> Any:
        batch = read(given)
        if model.device.type != "cpu":
            note_steps(model, batch[0], padding_of(model))
        return batch

    return counted


class CountedBatches(ArrayBatches):
    """Batches of tensors in memory; on a device, with the valid steps of each row that the host counted once.

    Args:
        model: What they are for.
        packing, batch_size, shuffle, device: As for `ArrayBatches`.
    """

    def __init__(self, model: Any, packing: Packing, batch_size: int, shuffle: bool | str, device: torch.device) -> None:
        super().__init__(packing, batch_size, shuffle, device)
        self.model = model
        self.counted: list[tuple[int, float]] = []

    def first(self) -> Batch:
        return self.packing([leaf[:1] for leaf in self.packing.leaves])

    def _place(self) -> None:
        counts = [] if self.device.type == "cpu" else count_steps(self.model, self.packing.structures[0], padding_of(self.model))
        super()._place()
        if counts:  # they stay on the host, and come in the order of the samples as one more column
            self.counted = [(number, value) for number, value, _ in counts]
            self.leaves = [*self.leaves, torch.stack([each for _, _, each in counts], 1)]

    def placed(self) -> list[Tensor]:
        """The data, on the device where it fits there."""
        if not self._placed:
            self._place()
        return self.leaves[: len(self.packing.leaves)]

    def _epoch(self) -> Iterator[Batch]:
        if not self.counted:
            yield from super()._epoch()
            return
        for piece in self.pieces():
            for *parts, counts in zip(*(leaf.split(self.batch_size) for leaf in piece), strict=True):
                batch = self.packing([part if part.device == self.device else moved(part, self.device) for part in parts])
                leaves = _in_order(self.model, batch[0])
                for (number, value), column in zip(self.counted, counts.t().tolist(), strict=True):
                    note_count(leaves[number], value, column)
                yield batch
