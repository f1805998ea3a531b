"""What a layer knows of its calls on symbolic tensors: `input`, `output`, `get_output_at`, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from torchkeras.generations import choose
from torchkeras.layers.nodes import Node, NodeList, inbound_nodes, outbound_nodes
from torchkeras.layers.raw_modules import watch_modules
from torchkeras.layers.symbolic import KerasTensor, shape_of


class History(nn.Module):
    """Access to the nodes of a layer, in Keras' words."""

    name: str

    @property
    def inbound_nodes(self) -> NodeList:
        """The calls of this layer on symbolic tensors."""
        return inbound_nodes(self)

    @property
    def outbound_nodes(self) -> NodeList:
        """The calls of other layers on what this one made."""
        return outbound_nodes(self)

    def _node(self, index: int, what: str) -> Node:
        nodes = inbound_nodes(self)
        if not nodes:
            raise AttributeError(f"Layer '{self.name}' has never been called on a symbolic tensor and thus has no defined {what}.")
        if not -len(nodes) <= index < len(nodes):
            raise ValueError(f"Asked to get {what} at node {index}, but layer '{self.name}' has only {len(nodes)} inbound nodes.")
        return nodes[index]

    def _only_node(self, what: str) -> Node:
        node = self._node(0, what)
        if len(inbound_nodes(self)) > 1 and choose("layer.several_calls") == "raise":
            raise AttributeError(
                f"Layer '{self.name}' has multiple inbound nodes, so its '{what}' is ill-defined. Use `get_{what}_at(node_index)` instead."
            )
        return node

    def get_input_at(self, node_index: int) -> Any:
        """Symbolic input of one call (a list where there are several)."""
        return _opened(self._node(node_index, "input").inputs)

    def get_output_at(self, node_index: int) -> Any:
        """Symbolic output of one call (a list where there are several)."""
        return _opened(self._node(node_index, "output").outputs)

    def get_input_shape_at(self, node_index: int) -> Any:
        """Shape of the input of one call."""
        return shape_of(_one_or_all(self._node(node_index, "input").inputs))

    def get_output_shape_at(self, node_index: int) -> Any:
        """Shape of the output of one call."""
        return shape_of(_one_or_all(self._node(node_index, "output").outputs))

    def get_input_mask_at(self, node_index: int) -> Any:
        """Symbolic mask of the input of one call."""
        return _one_or_all([tensor.keras_mask for tensor in self._node(node_index, "input").inputs])

    def get_output_mask_at(self, node_index: int) -> Any:
        """Symbolic mask of the output of one call."""
        return _one_or_all([tensor.keras_mask for tensor in self._node(node_index, "output").outputs])

    @property
    def input(self) -> Any:
        """Symbolic input of the only call; of several, tf.keras gives that of the first, and Keras 1 and 2 raise an error."""
        return _opened(self._only_node("input").inputs)

    @property
    def output(self) -> Any:
        """Symbolic output of the only call; of several, tf.keras gives that of the first, and Keras 1 and 2 raise an error."""
        return _opened(self._only_node("output").outputs)

    @property
    def input_mask(self) -> Any:
        """Symbolic mask of the input of the only call."""
        return _one_or_all([tensor.keras_mask for tensor in self._only_node("input").inputs])

    @property
    def output_mask(self) -> Any:
        """Symbolic mask of the output of the only call."""
        return _one_or_all([tensor.keras_mask for tensor in self._only_node("output").outputs])

    @property
    def input_shape(self) -> Any:
        """Shape of the input, where all calls agree on it."""
        return self._agreed("input")

    @property
    def output_shape(self) -> Any:
        """Shape of the output, where all calls agree on it."""
        return self._agreed("output")

    def _agreed(self, what: str) -> Any:
        self._node(0, f"{what} shape")
        shapes = [shape_of(_one_or_all(getattr(node, f"{what}s"))) for node in inbound_nodes(self)]
        if any(shape != shapes[0] for shape in shapes):
            raise AttributeError(
                f"Layer '{self.name}' has multiple inbound nodes with different {what} shapes. Use `get_{what}_shape_at(node_index)` instead."
            )
        return shapes[0]


def _opened(tensors: Sequence[KerasTensor]) -> Any:
    """The tensors, on which a graph may now go on."""
    watch_modules(tensors)
    return _one_or_all(tensors)


def _one_or_all(tensors: Sequence[KerasTensor | None]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)
