"""Nodes: the calls of layers on symbolic tensors, which together are the graph."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchkeras.layers.naming import name_of
from torchkeras.layers.symbolic import KerasTensor, map_leaves, symbolic_leaves


class NodeList(list):
    """The nodes of one layer. A copy or a pickle of the layer starts without them: graphs are saved by `Network`."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (NodeList, ())

    def __deepcopy__(self, memo: Any) -> NodeList:
        return NodeList()


class Node:
    """One call of a layer on symbolic tensors.

    Attributes:
        layer: The layer or raw module.
        args, kwargs: What it was called with; symbolic tensors stand where values will be.
        inputs: The symbolic tensors among them, in order.
        outputs: The symbolic tensors it gave, in order.
        structure: The outputs as `call` returned them: a tensor, list, tuple or dict.
    """

    def __init__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], structure: Any) -> None:
        self.layer, self.args, self.kwargs, self.structure = layer, args, kwargs, structure
        self.inputs = symbolic_leaves((args, kwargs))
        self.outputs = symbolic_leaves(structure)
        nodes = inbound_nodes(layer)
        for number, output in enumerate(self.outputs):
            output.keras_history = (layer, len(nodes), number)
            if not output.label:
                output.label = f"{name_of(layer)}/output:{number}"
        nodes.append(self)
        for source in self.inputs:
            if source.keras_history is not None:
                outbound_nodes(source.keras_history[0]).append(self)

    @property
    def inbound_layers(self) -> list[nn.Module]:
        """The layers that made the inputs."""
        return [source.keras_history[0] for source in self.inputs if source.keras_history]

    @property
    def input_tensors(self) -> list[KerasTensor]:
        """The inputs, under Keras' name."""
        return self.inputs

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The outputs, under Keras' name."""
        return self.outputs

    @property
    def outbound_layer(self) -> nn.Module:
        """The layer that was called, under Keras' name."""
        return self.layer

    @property
    def node_indices(self) -> list[int]:
        """For each input, which call of its layer made it."""
        return [source.keras_history[1] for source in self.inputs if source.keras_history]

    @property
    def tensor_indices(self) -> list[int]:
        """For each input, which output of that call it is."""
        return [source.keras_history[2] for source in self.inputs if source.keras_history]

    @property
    def input_masks(self) -> list[KerasTensor | None]:
        """The masks of the inputs."""
        return [source.keras_mask for source in self.inputs]

    @property
    def output_masks(self) -> list[KerasTensor | None]:
        """The masks of the outputs."""
        return [output.keras_mask for output in self.outputs]

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """The shapes of the inputs."""
        return [tuple(source.shape) for source in self.inputs]

    @property
    def output_shapes(self) -> list[tuple[int | None, ...]]:
        """The shapes of the outputs."""
        return [tuple(output.shape) for output in self.outputs]

    @property
    def arguments(self) -> dict[str, Any]:
        """What the layer was given by name, the inputs and masks left out."""
        return {name: value for name, value in self.kwargs.items() if name != "mask" and not symbolic_leaves(value)}

    def exchange(self, old: KerasTensor, new: KerasTensor) -> None:
        """Put another symbolic tensor in the place of one."""
        self.args, self.kwargs, self.structure = map_leaves((self.args, self.kwargs, self.structure), lambda leaf: new if leaf is old else leaf)
        self.inputs, self.outputs = symbolic_leaves((self.args, self.kwargs)), symbolic_leaves(self.structure)


def inbound_nodes(layer: nn.Module) -> NodeList:
    """The calls of a layer or raw module on symbolic tensors."""
    return layer.__dict__.setdefault("_inbound_nodes", NodeList())


def outbound_nodes(layer: nn.Module) -> NodeList:
    """The calls of other layers on what this one made."""
    return layer.__dict__.setdefault("_outbound_nodes", NodeList())


def producer(tensor: KerasTensor) -> Node | None:
    """The node that made a symbolic tensor."""
    if tensor.keras_history is None:
        return None
    layer, index, _ = tensor.keras_history
    return inbound_nodes(layer)[index]


def take_over(tensor: KerasTensor, result: KerasTensor) -> None:
    """An operation changed `tensor` in place: from here on it stands for `result`, while nodes made before keep the old value.

    Args:
        tensor: What the user's code goes on to use.
        result: What an operation that changes nothing in place made of it.
    """
    before = KerasTensor.of(tensor.trials, tensor.label)
    before.keras_history, before.keras_mask = tensor.keras_history, tensor.keras_mask
    maker, change = producer(tensor), producer(result)
    if maker is not None:
        for node in {id(node): node for node in (maker, *outbound_nodes(maker.layer))}.values():
            node.exchange(tensor, before)
    if change is not None:
        change.exchange(result, tensor)
    tensor.trials, tensor.label = result.trials, result.label
    tensor.keras_history, tensor.keras_mask = result.keras_history, result.keras_mask
