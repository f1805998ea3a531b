"""Weights as Keras 1 lists them: one array for each gate of LSTM, GRU and ConvLSTM2D, kernels for channels first in Theano's order of axes.

Source: Keras 1.2.2 `keras.layers.recurrent`, `keras.layers.convolutional` (`build`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.weights import KerasWeight

# Keras 1's names and order of the gates -> their place among today's
_GATES = {
    "LSTMCell": {"i": 0, "c": 2, "f": 1, "o": 3},
    "ConvLSTM2DCell": {"i": 0, "c": 2, "f": 1, "o": 3},
    "GRUCell": {"z": 0, "r": 1, "h": 2},
}
_LETTERS = {"kernel": "W", "recurrent_kernel": "U", "bias": "b"}
# class -> how many of its weights are kernels
_KERNELS = {"Conv2D": 1, "Conv3D": 1, "SeparableConv2D": 2, "ConvLSTM2DCell": 2}


@dataclass(frozen=True)
class Place:
    """Where a weight of Keras 1 is inside of one of today's: a gate of it, with its axes in another order.

    Args:
        gate: Keras 1's name of the gate, its place among today's and their number; `None`: the whole weight.
        order: Keras 1's axes among today's; `None`: the same.
        added: A further axis of length 1, or `None`.
    """

    gate: tuple[str, int, int] | None = None
    order: tuple[int, ...] | None = None
    added: int | None = None

    def view(self, whole: Tensor) -> Tensor:
        """That part of a weight, sharing its memory."""
        part = whole if self.gate is None else whole.chunk(self.gate[2], -1)[self.gate[1]]
        part = part if self.order is None else part.permute(self.order)
        return part if self.added is None else part.unsqueeze(self.added)


class FormerWeight(KerasWeight):
    """A weight as Keras 1 has it: a part of one of today's weights, or the same numbers with other axes."""

    place: Place

    @staticmethod
    def at(view: KerasWeight, place: Place) -> KerasWeight:
        """What `place` says of a weight; the weight itself where that is all of it."""
        if place == Place():
            return view
        found = place.view(view.as_subclass(Tensor)).as_subclass(FormerWeight)
        found.parameter, found.spec, found.owner, found.place, found.path = view.parameter, view.spec, view.owner, place, view.path
        if place.gate is not None:
            scope, _, name = view.path.removesuffix(":0").rpartition("/")
            found.path = f"{scope}_{_LETTERS.get(name, name)}_{place.gate[0]}:0"
        return found

    @property
    def identity(self) -> Any:
        return (super().identity, self.place)

    def assign(self, value: Any) -> KerasWeight:
        new = torch.as_tensor(value.detach() if isinstance(value, Tensor) else value)
        if tuple(new.shape) != tuple(self.shape):
            raise ValueError(f"Weight '{self.path}' has the shape {tuple(self.shape)}, but got a value of shape {tuple(new.shape)}.")
        now = KerasWeight.of(self.owner, self.spec)  # other parts of it may have changed since
        whole = now.as_subclass(Tensor).clone()
        with torch.no_grad():
            self.place.view(whole).copy_(new)
            now.assign(whole)
            self.copy_(new)
        return self


def in_form_of_keras1(views: Sequence[KerasWeight], keras1: bool | None = None) -> list[KerasWeight]:
    """The weights of layers that were made as Keras 1's in its form, the others as they are.

    Args:
        views: The weights, those of one layer next to each other.
        keras1: `True`, `False`: all in the form of Keras 1, or of today, whatever their layers follow.
    """
    found: list[KerasWeight] = []
    for _, group in groupby(views, lambda view: id(view.owner)):
        own = list(group)
        former = getattr(own[0].owner, "_keras1_form", False) if keras1 is None else keras1
        found += _of_one(own, side_by_side=keras1 is None) if former else own
    return found


def _of_one(views: list[KerasWeight], side_by_side: bool) -> Iterator[KerasWeight]:
    owner = views[0].owner
    kind = _kind(owner)
    order = _orders(owner, kind)
    joined = side_by_side and getattr(owner, "implementation", None) == 2  # consume_less="gpu" has the gates so
    gates = {} if joined else _GATES.get(kind, {})
    numbers: list[tuple[str, int, int] | None] = [(name, number, len(gates)) for name, number in gates.items()]
    for gate in numbers or [None]:
        for index, view in enumerate(views):
            axes, added = order(index, view)
            yield FormerWeight.at(view, Place(gate, axes, added))


def _kind(owner: Any) -> str:
    """The library's name of the layer's class, also where the user subclassed it."""
    names = (base.__name__ for base in type(owner).__mro__ if base.__module__.startswith("torchkeras.") and ".keras1." not in base.__module__)
    return next(names, "")


Order = Callable[[int, KerasWeight], tuple[tuple[int, ...] | None, int | None]]


def _orders(owner: Any, kind: str) -> Order:
    """How the axes of a layer's weights lie in Keras 1: (order, added axis) of each."""
    first = getattr(owner, "data_format", None) == "channels_first"

    def order(index: int, view: KerasWeight) -> tuple[tuple[int, ...] | None, int | None]:
        axes = view.dim()
        if kind == "Conv1D" and index == 0:
            return None, 1  # a window of height 1
        if kind == "Conv2DTranspose" and index == 0:
            return ((2, 3, 0, 1) if first else (0, 1, 3, 2)), None
        if first and index < _KERNELS.get(kind, 0):
            return (axes - 1, axes - 2, *range(axes - 2)), None
        return None, None

    return order
