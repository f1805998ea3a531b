"""The table of the layers that have a plain torch form: layer class -> emitter, and what an emitter is told of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torchkeras.exporting.texts import activate
from torchkeras.exporting.writer import Made, Value, Writer, refuse


@dataclass
class Call:
    """One call of a layer.

    Attributes:
        writer: Takes the parts and lines.
        layer: The layer.
        key: Its name in the model.
        inputs: What it is called on: a value, or a list of them.
        kwargs: Further arguments that the emitter looks at.
    """

    writer: Writer
    layer: Any
    key: str
    inputs: Value | list[Value]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def x(self) -> Value:
        """The one input.

        Raises:
            ExportError: there are several.
        """
        if isinstance(self.inputs, list):
            if len(self.inputs) == 1:
                return self.inputs[0]
            self.refuse(f"it is called on {len(self.inputs)} tensors.")
        return self.inputs

    @property
    def several(self) -> list[Value]:
        """All inputs."""
        return self.inputs if isinstance(self.inputs, list) else [self.inputs]

    def refuse(self, why: str) -> NoReturn:
        """Say that this layer has no plain form."""
        refuse(self.layer, why)

    def part(self, text: str, state: Mapping[str, Any] | None = None, *, suffix: str = "", frozen: Sequence[str] = ()) -> str:
        """The submodule that stands for the layer, or for a part of it."""
        return self.writer.part(self.layer, self.key, text, state, suffix=suffix, frozen=frozen)

    def parameter(self, value: Any, suffix: str) -> str:
        """A parameter of the layer as one of the module itself."""
        return self.writer.tensor(self.layer, self.key, value, suffix=suffix)

    def activated(self, made: Made) -> Made:
        """A result behind the layer's activation."""
        return activate(self.writer, self.layer, self.layer.activation, made, self.x.rank, self.key)

    def elementwise(self, template: str) -> Made:
        """A function of each entry by itself, in whatever order the axes are."""
        return Made(template.format(self.x.name), self.x.moved)

    def named(self, hint: str, text: str) -> str:
        """A text as a variable, for where it is needed more than once."""
        return text if text.isidentifier() else self.writer.assign(f"{self.key}_{hint}", text)


Emitter = Callable[[Call], "Made | list[Made]"]
EMITTERS: dict[type, Emitter] = {}


def emits(*classes: type) -> Callable[[Emitter], Emitter]:
    """Decorator: the function writes the calls of these layer classes (not of subclasses, which may compute something else)."""

    def register(emitter: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(classes, emitter))
        return emitter

    return register
