"""Configs of functional models: layers, and for each the calls that were made of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from torchkeras import generations
from torchkeras.graph.record import Record, Step, Value, fill, flat_values
from torchkeras.layers.input_layer import InputLayer
from torchkeras.layers.naming import name_of
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.symbolic import KerasTensor, symbolic_leaves

if TYPE_CHECKING:
    from torchkeras.graph.network import Network


def graph_config(model: Network) -> dict[str, Any]:
    """The graph of a model as plain data, in the form of the chosen Keras release.

    Raises:
        ValueError: a raw nn.Module, or a call with arguments that no config can hold.
    """
    record = model._graph()
    local = _local_nodes(record)
    steps: dict[str, list[Step]] = {key: [] for key in record.layer_keys}
    for step in sorted(_shown(record), key=lambda step: step.node_index):
        steps[step.key].append(step)
    layers = []
    for key, own_steps in steps.items():
        layer: Any = model._modules[key]
        nodes = [_node_config(model, record, step, local) for step in own_steps]
        layers.append({**serialize(layer), "name": name_of(layer), "inbound_nodes": nodes})
    inputs: Any = [[name_of(model._modules[key]), 0, 0] for key in record.input_keys]
    outputs: Any = [_reference(model, record, number, local) for number in record.output_numbers()]
    if generations.choose("config.nested"):
        if model._input_names_in is not None:
            inputs = dict(zip(model._input_names_in, inputs, strict=True))
        if not isinstance(record.outputs, Value):
            outputs = fill(record.outputs, lambda number: _reference(model, record, number, local))
    return {"name": model.name, "layers": layers, "input_layers": inputs, "output_layers": outputs}


def _shown(record: Record) -> list[Step]:
    """The steps that are in configs: in Keras 1 and 2 without those that `add_loss` brought."""
    if generations.choose("graph.added_layers"):
        return record.steps
    needed, found = set(record.output_numbers()), []
    for step in reversed(record.steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            found.append(step)
    return found[::-1]


def _local_nodes(record: Record) -> dict[tuple[str, int], int]:
    """(key, index among all calls of the layer) -> index among those that belong to this graph."""
    local: dict[tuple[str, int], int] = {}
    counts: dict[str, int] = {}
    for step in sorted(_shown(record), key=lambda step: step.node_index):
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


def _node_config(model: Network, record: Record, step: Step, local: Mapping[tuple[str, int], int]) -> Any:
    layer = model._modules[step.key]
    who = f"Layer '{name_of(layer)}' ({type(layer).__name__})"
    names = _argument_names(layer)
    if len(step.args) > max(len(names), 1):
        raise ValueError(
            f"{who} was called with {len(step.args)} arguments by position, but its call() has no names for them, as configs need. "
            "Write call(self, inputs), and call the layer on a list."
        )
    kwargs = {**dict(zip(names[1:], step.args[1:], strict=False)), **step.kwargs}
    first = step.args[0] if step.args else kwargs.pop(names[0], None) if names else None
    by_name = first if isinstance(first, Mapping) and generations.choose("config.nested") else None
    parts = list(by_name.values()) if by_name is not None else list(first) if isinstance(first, (list, tuple)) else [first]
    if any(not isinstance(part, Value) for part in parts):
        raise ValueError(f"{who} was called on {type(first).__name__} of other things than tensors, or on no tensor, which configs cannot say.")
    inputs = flat_values(parts)
    if not generations.choose("config.tensors_in_kwargs"):  # Keras 2.2.4 lists initial states among the inputs
        for key in [key for key, value in kwargs.items() if flat_values(value)]:
            inputs += flat_values(kwargs.pop(key))
    plain = {key: _plain_kwarg(model, record, value, local, f"{who} was called with {key}=") for key, value in kwargs.items()}
    everywhere = not generations.choose("config.tensors_in_kwargs")
    found = [[*_reference(model, record, number, local), plain if position == 0 or everywhere else {}] for position, number in enumerate(inputs)]
    return found if by_name is None else dict(zip(by_name, found, strict=True))


def _plain_kwarg(model: Network, record: Record, value: Any, local: Mapping[tuple[str, int], int], who: str) -> Any:
    if isinstance(value, Value):
        return _reference(model, record, value.number, local)
    if isinstance(value, (list, tuple)):
        return [_plain_kwarg(model, record, part, local, who) for part in value]
    if isinstance(value, (Tensor, np.ndarray)):
        raise ValueError(f"{who} a tensor that has values, which no config can hold. Make it a weight of the layer, or an input.")
    return value


def _argument_names(layer: nn.Module | None) -> list[str]:
    function = getattr(type(layer), "call", None) or getattr(type(layer), "forward", None)
    parameters = list(inspect.signature(function).parameters.values())[1:] if function is not None else []
    return [parameter.name for parameter in parameters if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)]


def build_graph(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> tuple[Any, Any, list[KerasTensor]]:
    """Make the layers of a config and call them as it says.

    Returns:
        The symbolic inputs and outputs: one, or a list. Then what calls made that no output needs: losses and metrics.

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
    loose: dict[tuple[str, int], list[KerasTensor]] = {}  # what no call has taken so far
    while waiting:
        later = []
        for name, index, node in waiting:
            sources = _references(node, layers) if index == called[name] else []
            if sources and all(tuple(source) in made for source in sources):
                loose[name, index] = outputs = symbolic_leaves(_call_node(layers[name], node, made, layers))
                made.update({(name, index, number): tensor for number, tensor in enumerate(outputs)})
                for source in sources:
                    loose.pop((source[0], source[1]), None)
                called[name] = index + 1
            else:
                later.append((name, index, node))
        if len(later) == len(waiting):
            stuck = sorted({name for name, *_ in later})
            raise ValueError(f"The config of model {config.get('name')!r} cannot be built: layers {stuck} wait for inputs that nothing makes.")
        waiting = later
    outputs = _ends(config["output_layers"], made, layers)
    given = {id(tensor) for tensor in symbolic_leaves(outputs)}
    beside = [parts[0] for parts in loose.values() if not given.intersection(map(id, parts))]
    return _ends(config["input_layers"], made, layers), outputs, beside


def _ends(references: Any, made: Mapping[Any, Any], layers: Mapping[str, Any]) -> Any:
    """The tensors that a reference, or a list or dict of references, stands for; one in a list stands alone."""
    if _is_reference(references, layers):
        return made[tuple(references)]
    if isinstance(references, Mapping):
        return {key: _ends(value, made, layers) for key, value in references.items()}
    found = [_ends(part, made, layers) for part in references]
    return found[0] if len(found) == 1 else found


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
    if isinstance(node, Mapping):
        return list(node.values())
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
    if isinstance(node, Mapping):
        return layer(dict(zip(node, inputs, strict=True)), **kwargs)
    return layer(inputs[0] if len(inputs) == 1 else inputs, **kwargs)
