"""The description of a plain torch module while it is written: its parts, their weights, the lines of its forward pass.

The Python text and the module are both made of this one description, so that they cannot disagree.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from torchkeras.layers.naming import name_of
from torchkeras.shapes import Shape

_RESERVED = {*keyword.kwlist, "self", "torch", "nn", "F", "float", "slice"}
_OF_MODULES = set(dir(nn.Module())) | {"forward"}

# orders of axes: from (batch, *space, channels) to (batch, channels, *space) and back, by the number of axes
TO_CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
TO_CHANNELS_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


class ExportError(ValueError):
    """A model, or a layer of it, that plain torch.nn parts cannot stand for."""


def refuse(layer: Any, why: str) -> NoReturn:
    """Say which layer has no plain form, and why.

    Raises:
        ExportError: always.
    """
    raise ExportError(f"to_torch() has no plain torch form for layer '{name_of(layer)}' ({type(layer).__name__}): {why}")


class Value(NamedTuple):
    """A tensor of the graph as the text has it.

    Attributes:
        name: The variable that holds it.
        shape: Its shape in Keras' layout, `None` where unknown.
        moved: Whether the variable holds it with the channels as axis 1, while in Keras they are last.
    """

    name: str
    shape: Shape
    moved: bool = False

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def text(self) -> str:
        """The tensor in Keras' layout."""
        return f"{self.name}.permute{TO_CHANNELS_LAST[self.rank]}" if self.moved else self.name

    @property
    def channels_first(self) -> str:
        """A tensor whose channels are last in Keras, with them as axis 1."""
        return self.name if self.moved else f"{self.name}.permute{TO_CHANNELS_FIRST[self.rank]}"

    def axis(self, axis: int) -> int:
        """Where an axis of Keras' layout stands in the variable, counted from the front."""
        place = axis % self.rank
        if not self.moved or place == 0:
            return place
        return 1 if place == self.rank - 1 else place + 1


class Made(NamedTuple):
    """The text of a layer's result; `moved` as in `Value`."""

    text: str
    moved: bool = False


@dataclass
class Part:
    """A submodule, or with `text` alone a parameter or buffer, of the module that is written.

    Attributes:
        path: Where it stands, such as "encoder.dense".
        text: What makes it; `None` for a module that no text can make, which the class then takes as an argument.
        module: That module.
        state: Its weights by their names in it; a parameter or buffer of its own has the name "".
        frozen: Names of the weights that are not trained.
        buffer: Whether it is a buffer.
    """

    path: str
    text: str | None
    module: nn.Module | None = None
    state: dict[str, Tensor] = field(default_factory=dict)
    frozen: list[str] = field(default_factory=list)
    buffer: bool = False


class Writer:
    """Collects parts and lines; `hold` and `release` keep track of which variables are still needed."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.lines: list[str] = []
        self.scope: tuple[str, ...] = ()
        self.in_inference = False  # within a call with training=False
        self.inputs: set[str] = set()  # arguments that keep their names, where there are several
        self._made: dict[tuple[int, str], str] = {}
        self._kept_alive: list[Any] = []
        self._taken: set[str] = set()
        self._holders: Counter[str] = Counter()
        self.stored: dict[int, str] = {}  # parameters of the model that have a place already, by identity
        self.ties: list[tuple[str, str]] = []  # (place, the place of the parameter that it shares)

    # -- variables

    def fresh(self, hint: str) -> str:
        """A new variable's name."""
        base = identifier(hint)
        name, number = base, 1
        while name in self._taken or name in _RESERVED:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def hold(self, name: str) -> None:
        """Another value is in this variable."""
        self._holders[name] += 1

    def release(self, name: str) -> None:
        """A value in this variable is no longer needed."""
        self._holders[name] -= 1

    def is_free(self, name: str) -> bool:
        """Whether no value in a variable is needed any more."""
        return self._holders[name] <= 0

    def line(self, text: str) -> None:
        """One more line of the forward pass."""
        self.lines.append(text)

    def assign(self, hint: str, text: str) -> str:
        """A new variable that holds what the text computes."""
        name = self.fresh(hint)
        self.line(f"{name} = {text}")
        return name

    # -- parts

    def part(
        self, owner: Any, hint: str, text: str, state: Mapping[str, Tensor | None] | None = None, *, suffix: str = "", frozen: Sequence[str] = ()
    ) -> str:
        """The submodule of a layer, made once however often the layer is called.

        Args:
            owner: The layer.
            hint: Its name in the model.
            text: What makes the submodule.
            state: Its weights by their names in it; those that are `None` are left out.
            suffix: What tells several parts of one layer apart; it ends the name.
            frozen: Weights that are never trained.

        Returns:
            The text that refers to it.
        """
        known = self._made.get((id(owner), suffix))
        if known is not None:
            return known
        weights = {name: tensor for name, tensor in (state or {}).items() if tensor is not None}
        still = [name for name, tensor in weights.items() if name in frozen or (isinstance(tensor, nn.Parameter) and not tensor.requires_grad)]
        path = self._path(f"{hint}_{suffix}" if suffix else hint)
        self.parts[path] = Part(path, text + _conversion(weights.values()), None, weights, still)
        self._store(path, weights)
        return self._remember(owner, suffix, path)

    def given(self, module: nn.Module, hint: str, text: str | None) -> str:
        """A raw module of the graph: kept as it is, or made by a text and filled with its weights."""
        known = self._made.get((id(module), ""))
        if known is not None:
            return known
        path = self._path(hint)
        weights = {} if text is None else dict(module.state_dict(keep_vars=True))
        still = [name for name, parameter in module.named_parameters() if not parameter.requires_grad] if text is not None else []
        self.parts[path] = Part(path, None if text is None else text + _conversion(weights.values()), module, weights, still)
        self._store(path, dict(module.named_parameters()))
        return self._remember(module, "", path)

    def tensor(self, owner: Any, hint: str, value: Tensor, *, suffix: str = "") -> str:
        """A parameter, or a buffer, of the module itself."""
        known = self._made.get((id(owner), suffix)) or self.stored.get(id(value))
        if known is not None:
            return known
        path = self._path(f"{hint}_{suffix}" if suffix else hint)
        made = f"torch.empty({tuple(value.shape)}{'' if value.dtype is torch.float32 else f', dtype={value.dtype}'})"
        is_parameter = isinstance(value, nn.Parameter)
        still = [""] if is_parameter and not value.requires_grad else []
        self.parts[path] = Part(path, f"nn.Parameter({made})" if is_parameter else made, None, {"": value}, still, not is_parameter)
        self.stored.setdefault(id(value), f"self.{path}")
        return self._remember(owner, suffix, path)

    def _store(self, path: str, weights: Mapping[str, Tensor]) -> None:
        """Remember where parameters stand; one that stands elsewhere already is to be the same one here."""
        for name, tensor in weights.items():
            place = _dotted(f"{path}.{name}")
            first = self.stored.setdefault(id(tensor), place) if isinstance(tensor, nn.Parameter) else place
            if first != place:
                self.ties.append((place, first))

    def _remember(self, owner: Any, suffix: str, path: str) -> str:
        self._kept_alive.append(owner)  # so that no other object gets its identity
        self._made[(id(owner), suffix)] = f"self.{path}"
        return f"self.{path}"

    def _path(self, hint: str) -> str:
        base = ".".join((*self.scope, _attribute(hint)))
        path, number = base, 1
        while path in self.parts or any(known.startswith(f"{path}.") for known in self.parts):
            number += 1
            path = f"{base}_{number}"
        return path


def identifier(text: str) -> str:
    """A text as a Python identifier."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    name = f"_{name}" if not name or name[0].isdigit() else name
    return f"{name}_" if name in _RESERVED else name


def _attribute(text: str) -> str:
    """A text as an attribute that hides none of nn.Module's own."""
    name = identifier(text)
    return f"{name}_" if name in _OF_MODULES or name.startswith("__") else name


def _dotted(path: str) -> str:
    """A path of modules as Python text."""
    return "self" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))


def _conversion(tensors: Any) -> str:
    """What a new module needs so that its floats have the type of these."""
    kinds = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    return f".to({kinds.pop()})" if len(kinds) == 1 and kinds != {torch.float32} else ""
