"""The calls of a model as boxes with names, shapes and edges, for pictures of it.

A model is known by what it offers (`_graph()`, `_modules`), not by its class: pictures belong to a floor below the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int | None, ...]


@dataclass
class Box:
    """A layer's call in a graph.

    Attributes:
        name: Unique in the graph: the layer's name, numbered where it is called again, after the names of models around it ("inner/dense").
        kind: The layer's class.
        inputs: Names of the boxes that it takes its inputs from.
        in_shapes, shapes: Of its inputs and outputs; `None`: unknown sizes.
        group: Names of the models around it, the outermost first.
    """

    name: str
    kind: str
    inputs: list[str]
    shapes: list[Shape]
    in_shapes: list[Shape] = field(default_factory=list)
    group: tuple[str, ...] = ()


def has_graph(model: Any) -> bool:
    """Whether a model's graph is known without running it."""
    return hasattr(model, "_graph") and bool(getattr(model, "is_graph_network", False))


def boxes_of(model: Any, expand_nested: bool = False) -> list[Box]:
    """The calls of a Sequential or functional model, in order.

    Args:
        model: A model whose graph is known.
        expand_nested: Whether models in it stand as their own boxes, instead of one.
    """
    return _boxes(model, expand_nested, (), None, set())[0]


def _boxes(model: Any, expand: bool, group: tuple[str, ...], given: Sequence[str] | None, taken: set[str]) -> tuple[list[Box], list[str]]:
    """Boxes, and the names of those that give the outputs.

    Args:
        model: Whose graph.
        expand: Whether to go into nested models.
        group: The models around it.
        given: Boxes that its inputs come from; `None`: inputs are boxes of their own.
        taken: Names that are there already.
    """
    record = model._graph()
    made: dict[int, str] = {}
    boxes: list[Box] = []
    for place, number in enumerate(record.inputs):
        info = record.infos[number]
        if given is not None and place < len(given):
            made[number] = given[place]
            continue
        made[number] = unused("/".join((*group, _name(model, info.key))), taken)
        boxes.append(Box(made[number], "InputLayer", [], [tuple(info.shape)], [tuple(info.shape)], group))
    for step in record.steps:
        layer = model._modules.get(step.key)
        inputs = [made[number] for number in step.inputs if number in made]
        if expand and has_graph(layer):
            name = unused("/".join((*group, _name(model, step.key))), taken)
            inner, ends = _boxes(layer, True, (*group, name.rpartition("/")[2]), inputs, taken)
            boxes += inner
            made.update(zip(step.outputs, ends, strict=False))
            continue
        name = unused("/".join((*group, _name(model, step.key))), taken)
        shapes, in_shapes = ([tuple(record.infos[number].shape) for number in numbers] for numbers in (step.outputs, step.inputs))
        boxes.append(Box(name, type(layer).__name__, list(dict.fromkeys(inputs)), shapes, in_shapes, group))
        made.update(dict.fromkeys(step.outputs, name))
    return boxes, [made[number] for number in record.output_numbers() if number in made]


def _name(model: Any, key: str) -> str:
    return str(getattr(model._modules.get(key), "name", None) or key)


def unused(name: str, taken: set[str]) -> str:
    """`name`, numbered where it is taken; it is taken from then on."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found
