"""Configs of functional models: layers, and for each the calls that were made of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from torchkeras import generations
from torchkeras.graph.record import Record, Step, Value, flat_values
from torchkeras.layers.input_layer import InputLayer
from torchkeras.layers.naming import name_of
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.symbolic import symbolic_leaves

if TYPE_CHECKING:
    from torchkeras.graph.network import Network


def graph_config(model: Network) -> dict[str, Any]:
    """The graph of a model as plain data, in the form of the chosen Keras release."""
    record = model._graph()
    local = _local_nodes(record)
    layers = []
    for key in record.layer_keys:
        layer = model._modules[key]
        assert layer is not None
        steps = [step for step in record.steps if step.key == key]
        nodes = [_node_config(model, record, step, local) for step in sorted(steps, key=lambda step: step.node_index)]
        layers.append({**serialize(layer), "name": name_of(layer), "inbound_nodes": nodes})
    inputs = [[name_of(model.get_layer(key)), 0, 0] for key in record.input_keys]
    outputs = [_reference(model, record, number, local) for number in record.output_numbers()]
    return {"name": model.name, "layers": layers, "input_layers": inputs, "output_layers": outputs}


def _local_nodes(record: Record) -> dict[tuple[str, int], int]:
    """(key, index among all calls of the layer) -> index among those that belong to this graph."""
    local: dict[tuple[str, int], int] = {}
    counts: dict[str, int] = {}
    for step in sorted(record.steps, key=lambda step: step.node_index):
        local[step.key, step.node_index] = counts.get(step.key, 0)
        counts[step.key] = local[step.key, step.node_index] + 1
    return local


def _reference(model: Network, record: Record, number: int, local: Mapping[tuple[str, int], int]) -> list[Any]:
    info = record.infos[number]
    layer = model._modules[info.key]
    return [name_of(layer), local.get((info.key, info.node_index), 0) + first_node(layer), info.tensor_index]


def first_node(layer: Any) -> int:
    """Number of a layer's first call in configs and tables: Keras counts a model's own graph as call 0."""
    return 1 if getattr(layer, "is_graph_network", False) else 0


def _node_config(model: Network, record: Record, step: Step, local: Mapping[tuple[str, int], int]) -> list[Any]:
    first = step.args[0] if step.args else None
    names = _argument_names(model._modules[step.key])
    kwargs = {**dict(zip(names[1:], step.args[1:], strict=False)), **step.kwargs}
    inputs = flat_values(first)
    if not generations.choose("config.tensors_in_kwargs"):  # Keras 2.2.4 lists initial states among the inputs
        for key in [key for key, value in kwargs.items() if flat_values(value)]:
            inputs += flat_values(kwargs.pop(key))
    plain = {key: _plain_kwarg(model, record, value, local) for key, value in kwargs.items()}
    return [[*_reference(model, record, number, local), plain if position == 0 or not generations.choose("config.tensors_in_kwargs") else {}]
            for position, number in enumerate(inputs)]  # fmt: skip


def _plain_kwarg(model: Network, record: Record, value: Any, local: Mapping[tuple[str, int], int]) -> Any:
    if isinstance(value, Value):
        return _reference(model, record, value.number, local)
    if isinstance(value, (list, tuple)):
        return [_plain_kwarg(model, record, part, local) for part in value]
    return value


def _argument_names(layer: nn.Module | None) -> list[str]:
    function = getattr(type(layer), "call", None) or getattr(type(layer), "forward", None)
    if function is None:
        return []
    return [name for name in inspect.signature(function).parameters if name != "self"]


def build_graph(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
    """Make the layers of a config and call them as it says.

    Returns:
        The symbolic inputs and outputs: one, or a list.

    Raises:
        ValueError: a config whose calls refer to layers that it does not have.
    """
    layers: dict[str, Any] = {}
    made: dict[tuple[str, int, int], Any] = {}
    waiting: list[tuple[str, int, Any]] = []
    for entry in config["layers"]:
        layer = deserialize(entry, custom_objects)
        name = entry["name"]
        layers[name] = layer
        if isinstance(layer, InputLayer):
            made[name, 0, 0] = layer.inbound_nodes[0].outputs[0]
        waiting += [(name, index, node) for index, node in enumerate(entry["inbound_nodes"], start=first_node(layer))]
    called = {name: first_node(layer) for name, layer in layers.items()}
    while waiting:
        later = []
        for name, index, node in waiting:
            if index == called[name] and all(tuple(reference) in made for reference in _references(node, layers)):
                outputs = symbolic_leaves(_call_node(layers[name], node, made, layers))
                made.update({(name, index, number): tensor for number, tensor in enumerate(outputs)})
                called[name] = index + 1
            else:
                later.append((name, index, node))
        if len(later) == len(waiting):
            stuck = sorted({name for name, *_ in later})
            raise ValueError(f"The config of model {config.get('name')!r} cannot be built: layers {stuck} wait for inputs that nothing makes.")
        waiting = later
    inputs = [made[tuple(reference)] for reference in _reference_list(config["input_layers"])]  # type: ignore[index]
    outputs_ = [made[tuple(reference)] for reference in _reference_list(config["output_layers"])]  # type: ignore[index]
    return inputs[0] if len(inputs) == 1 else inputs, outputs_[0] if len(outputs_) == 1 else outputs_


def _reference_list(references: Any) -> list[Any]:
    # one reference alone, or a list of them
    return [references] if references and isinstance(references[0], str) else list(references)


def _is_reference(value: Any, layers: Mapping[str, Any]) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str) and value[0] in layers
        and all(isinstance(part, int) for part in value[1:])
    )  # fmt: skip


def _references(node: Any, layers: Mapping[str, Any]) -> list[Any]:
    found = [list(part[:3]) for part in _parts(node)]

    def collect(value: Any) -> None:
        if _is_reference(value, layers):
            found.append(list(value))
        elif isinstance(value, (list, tuple)):
            for part in value:
                collect(part)

    for part in _parts(node):
        for value in (part[3] if len(part) > 3 else {}).values():
            collect(value)
    return found


def _parts(node: Any) -> list[Any]:
    return [node] if node and isinstance(node[0], str) else list(node)


def _call_node(layer: Any, node: Any, made: Mapping[tuple[str, int, int], Any], layers: Mapping[str, Any]) -> Any:
    def value_of(value: Any) -> Any:
        if _is_reference(value, layers):
            return made[tuple(value)]  # type: ignore[index]
        if isinstance(value, (list, tuple)):
            return [value_of(part) for part in value]
        return value

    parts = _parts(node)
    inputs = [made[tuple(part[:3])] for part in parts]  # type: ignore[index]
    kwargs = {key: value_of(value) for part in parts[:1] if len(part) > 3 for key, value in part[3].items()}
    return layer(inputs[0] if len(inputs) == 1 else inputs, **kwargs)
