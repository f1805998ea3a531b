"""An optimizer's state as Keras' list of weights, in the order of each release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchkeras.registry import nearest

if TYPE_CHECKING:
    from torchkeras.optimizers.base import Optimizer

COUNT = "iterations"


class Entry(NamedTuple):
    """One weight of the list: a number of the param groups, a parameter's state, or (without a key) a place whose value has no use."""

    slot: str  # Keras' name of it
    param: Tensor | None = None
    key: str | None = None  # in the parameter's state


def entries(optimizer: Optimizer, keras2: bool, places: bool) -> list[Entry]:
    """What the list holds, in order.

    Args:
        optimizer: The optimizer, bound.
        keras2: Whether in the order of Keras 1 and 2 rather than that of tf.keras.
        places: Whether states that the hyper-parameters do not need have a place (Adam's `vhat`, SGD's `momentum` in Keras 2.2.4).
    """
    found = [Entry(name) for name in (optimizer.keras2_numbers if keras2 else optimizer.numbers)]
    params = [(param, optimizer.state_keys(group)) for group in optimizer.param_groups for param in group["params"]]
    if optimizer.listed_by_parameter:
        return found + [Entry(slot, param, key) for param, keys in params for slot, key in keys.items()]
    for slot in optimizer.slots:
        for param, keys in params:
            if slot in keys:
                found.append(Entry(slot, param, keys[slot]))
            elif places and slot in optimizer.placed:
                found.append(Entry(slot, param))
    return found


def own_entries(optimizer: Optimizer) -> list[Entry]:
    """The list of the release that the optimizer follows."""
    return entries(optimizer, optimizer.generation != "2.4.0", optimizer.has_places)


def read(optimizer: Optimizer, entry: Entry) -> Tensor:
    """The tensor of an entry, in Keras' layout; a state shares memory with the optimizer's where the layout is a view."""
    if entry.param is None:
        value = optimizer.param_groups[0][entry.slot]
        return torch.tensor(value, dtype=torch.int64 if entry.slot == COUNT else torch.float32)
    if entry.key is None:
        return torch.zeros(1)
    return optimizer.border.to_keras(entry.param, optimizer.state_tensor(entry.param, entry.key))


def read_weights(optimizer: Optimizer) -> list[np.ndarray]:
    """Copies of all entries as arrays."""
    tensors = [read(optimizer, entry).detach().cpu() for entry in own_entries(optimizer)]
    return [np.array((tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()) for tensor in tensors]


def write_weights(optimizer: Optimizer, weights: list[Any]) -> None:
    """Write a list of any release into the optimizer; all is checked before anything is written.

    Raises:
        ValueError: a list of no release's length, or a value of another shape.
    """
    expected = _matching(optimizer, len(weights))
    pairs = [(entry, torch.as_tensor(np.asarray(weight))) for entry, weight in zip(expected, weights, strict=True)]
    for number, (entry, value) in enumerate(pairs):
        shape = tuple(read(optimizer, entry).shape)
        useless = entry.param is not None and entry.key is None
        if tuple(value.shape) != shape and not useless:
            raise ValueError(
                f"{type(optimizer).__name__}.set_weights: weight {number} ('{entry.slot}') has the shape {shape}, "
                f"but got a value of shape {tuple(value.shape)}."
            )
    if Entry(COUNT) not in expected:
        optimizer.iterations = 0
    for entry, value in pairs:
        if entry.param is None:
            for group in optimizer.param_groups:
                group[entry.slot] = value.item()
        elif entry.key is not None:
            with torch.no_grad():
                optimizer.state_tensor(entry.param, entry.key).copy_(optimizer.border.to_torch(entry.param, value))


def _matching(optimizer: Optimizer, count: int) -> list[Entry]:
    """The list of the optimizer's own release, else that of another release whose length is `count`."""
    lists = [own_entries(optimizer), *(entries(optimizer, keras2, places) for keras2 in (False, True) for places in (False, True))]
    for expected in lists:
        if len(expected) == count:
            return expected
    lengths = " or ".join(map(str, sorted({len(expected) for expected in lists})))
    raise ValueError(f"{type(optimizer).__name__}.set_weights takes {lengths} weights for the bound parameters, but got {count}.")


def names_of(optimizer: Optimizer) -> list[str]:
    """The variables' names in files: in tf.keras they name the parameter, in Keras 2 they count."""
    tf_keras = optimizer.generation == "2.4.0"
    names: list[str] = []
    counted = 0
    for entry in own_entries(optimizer):
        if entry.param is None:
            names.append(f"{optimizer.name}/{'iter' if tf_keras and entry.slot == COUNT else entry.slot}:0")
        elif tf_keras:
            names.append(f"{optimizer.name}/{optimizer.border.path(entry.param)}/{entry.slot}:0")
        else:
            names.append(f"training/{optimizer.name}/Variable{f'_{counted}' if counted else ''}:0")
            counted += 1
    return names


class StateList:
    """The calls by which Keras code reads and writes an optimizer's state."""

    slots: ClassVar[dict[str, str]] = {}  # Keras' name of a state -> its key in `state`, in the order of the lists
    placed: ClassVar[frozenset[str]] = frozenset()  # slots that have a place in lists even where they are not needed
    listed_by_parameter: ClassVar[bool] = False  # lists go parameter by parameter rather than slot by slot
    numbers: ClassVar[tuple[str, ...]] = (COUNT,)  # entries of the param groups at the head of lists in tf.keras
    keras2_numbers: ClassVar[tuple[str, ...]] = (COUNT,)  # and in Keras 1 and 2

    @property
    def weights(self: Any) -> list[Tensor]:
        """The count of updates and the states, in Keras' order and layout."""
        return [read(self, entry) for entry in own_entries(self)]

    def variables(self: Any) -> list[Tensor]:
        """The same as `weights`."""
        return self.weights

    @property
    def weight_names(self: Any) -> list[str]:
        """The names of `weights` in files of the release."""
        return names_of(self)

    def get_weights(self: Any) -> list[np.ndarray]:
        """Copies of `weights` as arrays."""
        return read_weights(self)

    def set_weights(self: Any, weights: list[Any]) -> None:
        """Write a list that `get_weights` gave, here or in genuine Keras of any release.

        Raises:
            ValueError: the number or the shapes do not fit; nothing is written then.
        """
        write_weights(self, weights)

    def get_slot_names(self: Any) -> list[str]:
        """Keras' names of the states that a parameter has."""
        return list(self.state_keys(self.param_groups[0] if self._bound else self.defaults))

    def get_slot(self: Any, var: Any, slot_name: str) -> Tensor:
        """A state of a parameter, in Keras' layout if it was given as a weight of a layer.

        Raises:
            ValueError: there is no such state.
        """
        keys = self.state_keys(self.param_groups[0])
        if slot_name not in keys:
            raise ValueError(f"{type(self).__name__} keeps no state {slot_name!r}. {nearest(slot_name, keys)}")
        param = self.border.parameter(var)
        return self.border.to_keras(param, self.state_tensor(param, keys[slot_name]))
