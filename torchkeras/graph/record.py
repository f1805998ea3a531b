"""A graph of layers as a flat record: what to call, on which values, in which order.

The record holds no tensors and no layers, only the names of layers and the numbers of values, so that it can be copied and
pickled however deep the graph is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from torchkeras.layers.naming import name_of
from torchkeras.layers.nodes import Node, inbound_nodes, producer
from torchkeras.layers.symbolic import KerasTensor, map_leaves, map_structure
from torchkeras.shapes import Shape


@dataclass(frozen=True)
class Value:
    """Place of a value in a record."""

    number: int


@dataclass
class Step:
    """One call: the layer's key, its arguments, where the results go."""

    key: str
    args: Any  # with `Value` in place of each tensor
    kwargs: Any
    structure: Any
    inputs: list[int]
    outputs: list[int]
    node_index: int


@dataclass
class Info:
    """What is known of a value: shape (`None`: unknown), type, who made it, whether a mask goes with it."""

    shape: Shape
    dtype: torch.dtype
    key: str
    node_index: int
    tensor_index: int
    masked: bool
    label: str


@dataclass
class Record:
    """A whole graph."""

    inputs: list[int] = field(default_factory=list)
    outputs: Any = None  # a structure of `Value`
    added: list[int] = field(default_factory=list)  # what is computed beside the outputs: losses and metrics
    steps: list[Step] = field(default_factory=list)
    infos: list[Info] = field(default_factory=list)
    layer_keys: list[str] = field(default_factory=list)  # in Keras' order
    input_keys: list[str] = field(default_factory=list)
    output_keys: list[str] = field(default_factory=list)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"added": [], **state})  # older pickles lack what was added later

    @property
    def masked(self) -> bool:
        """Whether a mask exists anywhere in the graph."""
        return any(info.masked for info in self.infos)

    def output_numbers(self) -> list[int]:
        """The values that are outputs, flat."""
        return flat_values(self.outputs)


def flat_values(structure: Any) -> list[int]:
    """Numbers of the values in a structure, in order."""
    if isinstance(structure, Value):
        return [structure.number]
    if isinstance(structure, (list, tuple)):
        return [number for part in structure for number in flat_values(part)]
    if isinstance(structure, Mapping):
        return [number for part in structure.values() for number in flat_values(part)]
    if isinstance(structure, slice):
        return flat_values((structure.start, structure.stop, structure.step))
    return []


def fill(structure: Any, change: Callable[[int], Any]) -> Any:
    """The structure with each `Value` replaced."""
    return map_structure(structure, lambda part: change(part.number) if type(part) is Value else part)


class GraphError(ValueError):
    """A graph that cannot be a model."""


def sorted_nodes(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> tuple[list[Node], list[nn.Module]]:
    """The nodes between inputs and outputs in the order of computing, and their layers in Keras' order.

    Keras orders by depth (the longest way to an output), and within a depth by the order in which a walk back from the
    outputs first meets a layer.

    Raises:
        GraphError: an output that needs an input which was not given.
    """
    given = {id(tensor) for tensor in inputs}
    first_met: dict[nn.Module, int] = {}
    finished: list[Node] = []
    done: set[int] = set()
    for output in outputs:
        _walk_back(output, given, first_met, finished, done)
    node_depth: dict[int, int] = {}
    layer_depth: dict[nn.Module, int] = {}
    for node in reversed(finished):
        depth = max(node_depth.get(id(node), 0), layer_depth.get(node.layer, 0))
        node_depth[id(node)] = layer_depth[node.layer] = depth
        for source in node.inputs:
            maker = producer(source)
            if maker is not None and (id(source) not in given or not maker.inputs):
                node_depth[id(maker)] = max(depth + 1, node_depth.get(id(maker), 0))
    for tensor in inputs:
        maker = producer(tensor)
        if maker is not None and not maker.inputs and maker.layer not in layer_depth:
            layer_depth[maker.layer], first_met[maker.layer] = 0, -1
            finished.append(maker)
    layers = sorted(layer_depth, key=lambda layer: (-layer_depth[layer], first_met[layer]))
    order = sorted((node for node in finished if node.inputs and not all(id(t) in given for t in node.outputs)), key=lambda n: -node_depth[id(n)])
    return order, layers


def _walk_back(output: KerasTensor, given: set[int], first_met: dict[nn.Module, int], finished: list[Node], done: set[int]) -> None:
    # depth first without recursion: nets may be thousands of layers deep
    stack: list[tuple[KerasTensor, bool]] = [(output, False)]
    while stack:
        tensor, leaving = stack.pop()
        node = producer(tensor)
        if node is None:
            raise GraphError(f"{tensor!r} was made by no layer, so no model can compute it. Start from Input() and go through layers.")
        if leaving:
            finished.append(node)
            continue
        if id(node) in done:
            continue
        if id(tensor) in given and node.inputs:
            continue
        done.add(id(node))
        first_met.setdefault(node.layer, len(first_met))
        if not node.inputs and id(tensor) not in given:
            seen = [name_of(layer) for layer in first_met if layer is not node.layer]
            raise GraphError(
                f"Graph disconnected: cannot obtain value for {tensor!r}. It is needed by the outputs, but it is not among the model's inputs. "
                f"Layers on the way to it: {seen}. Pass it in `inputs`, or take outputs that do not need it."
            )
        stack.append((tensor, True))
        stack += [(source, False) for source in reversed(node.inputs)]


def make_record(inputs: list[KerasTensor], outputs: Any, added: list[KerasTensor], keys: Mapping[nn.Module, str], nodes: list[Node]) -> Record:
    """The flat record of sorted nodes.

    Args:
        inputs: Where the graph begins.
        outputs: A structure of symbolic tensors.
        added: What is computed beside them.
        keys: The name of each layer in the network.
        nodes: The calls, in the order of computing.
    """
    record = Record()
    number_of: dict[int, int] = {}

    def number(tensor: KerasTensor) -> Value:
        if id(tensor) not in number_of:
            layer, node_index, tensor_index = tensor.keras_history or (None, 0, 0)
            number_of[id(tensor)] = len(record.infos)
            info = Info(
                tuple(tensor.shape),
                tensor.dtype,
                keys.get(layer, "") if layer is not None else "",
                node_index,
                tensor_index,
                tensor.keras_mask is not None,
                tensor.label,
            )
            record.infos.append(info)
        return Value(number_of[id(tensor)])

    record.inputs = [number(tensor).number for tensor in inputs]
    for node in nodes:
        args, kwargs, structure = (map_leaves(part, number) for part in (node.args, node.kwargs, node.structure))
        index = next(i for i, known in enumerate(inbound_nodes(node.layer)) if known is node)
        record.steps.append(Step(keys[node.layer], args, kwargs, structure, flat_values((args, kwargs)), flat_values(structure), index))
    record.outputs = map_leaves(outputs, number)
    record.output_keys = [record.infos[value].key for value in record.output_numbers()]
    record.added = [number(tensor).number for tensor in added]
    return record
