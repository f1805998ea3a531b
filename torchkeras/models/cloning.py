"""`clone_model`: the same layers with new weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from torchkeras import generations
from torchkeras.graph import record as records
from torchkeras.graph.network import Network
from torchkeras.layers.base import Layer
from torchkeras.layers.input_layer import InputLayer
from torchkeras.layers.lambda_layer import Lambda
from torchkeras.layers.symbolic import KerasTensor, symbolic_leaves
from torchkeras.layers.torch_ops import TorchOp
from torchkeras.models.model import Model
from torchkeras.models.sequential import Sequential
from torchkeras.registry import custom_object_scope, get_registered_name
from torchkeras.saving.releases import release_of_model


def clone_model(model: Any, input_tensors: Any = None, clone_function: Callable[[Any], Any] | None = None) -> Any:
    """A model of new layers like those of another, with new initial weights.

    Args:
        model: A `Sequential` or functional model.
        input_tensors: Symbolic tensors to build the new model on; `None`: new inputs.
        clone_function: Makes the new layer of a layer (not of inputs); `None`: by its config. Functions of `Lambda` layers are
            taken as they are, never through code in a config.

    Returns:
        The new model, not compiled.

    Raises:
        TypeError: no model.
        ValueError: a subclassed model, or another number of inputs.

    Source: tf.keras 2.4.0 `clone_model`.
    """
    if not isinstance(model, Network):
        raise TypeError(f"clone_model takes a model, but got {type(model).__name__}.")
    given = None if input_tensors is None else symbolic_leaves(input_tensors)
    with generations.using_keras_version(release_of_model(model)):
        if isinstance(model, Sequential):
            return _clone_stack(model, given, clone_function or clone_layer)
        if not model.is_graph_network:
            raise ValueError(
                f"clone_model copies graphs of layers, but model '{model.name}' is subclassed: its call() is code. Make a new instance of its class."
            )
        return _clone_graph(model, given, clone_function or clone_layer)


def clone_layer(layer: nn.Module) -> Any:
    """A new layer with the arguments of another, and new initial weights."""
    if isinstance(layer, Network) and (layer.is_graph_network or isinstance(layer, Sequential)):
        return clone_model(layer)
    if isinstance(layer, TorchOp) or not isinstance(layer, Layer):
        return _copy(layer)
    config = _lambda_config(layer) if isinstance(layer, Lambda) else layer.get_config()
    with custom_object_scope(_own_objects(layer)):
        return type(layer).from_config(config)


def _lambda_config(layer: Lambda) -> dict[str, Any]:
    """The config of a `Lambda` with the functions themselves in place of their names."""
    own = {key: getattr(layer, key) for key in ("name", "trainable")}
    shape = {} if layer._batch_input_shape is None else {"batch_input_shape": layer._batch_input_shape, "dtype": layer.dtype}
    parts = {"function": layer.function, "output_shape": layer._output_shape, "mask": layer.mask, "arguments": layer.arguments}
    return {**own, **shape, **parts}


def _copy(module: nn.Module) -> nn.Module:
    """A copy of a raw module; its parameters start anew where torch says how."""
    found = copy.deepcopy(module)
    for part in found.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset) and not isinstance(part, Layer):
            reset()
    return found


def _own_objects(layer: Layer) -> dict[str, Any]:
    """The user's classes and functions that a layer's config names."""
    found: dict[str, Any] = {}
    for part in layer.modules():
        for thing in (type(part), *vars(part).values()):
            kind = thing if inspect.isclass(thing) or inspect.isfunction(thing) else type(thing)
            if getattr(kind, "__module__", "torch").partition(".")[0] not in ("torch", "torchkeras", "builtins", "collections"):
                found[get_registered_name(kind)] = kind
    return found


def _clone_stack(model: Sequential, given: list[KerasTensor] | None, clone: Callable[[Any], Any]) -> Sequential:
    first = model._modules[model._input_key] if model._first is not None or model._made_record is not None else None
    cloned = type(model)(name=model.name) if type(model) is Sequential else Sequential(name=model.name)
    if given is not None:
        _check_count(model, given, 1)
        cloned.add(given[0].keras_history[0] if _is_input(given[0]) else _input_like(given[0]))  # type: ignore[index]
    elif isinstance(first, InputLayer) and not model._inferred:
        cloned.add(_clone_input(first))
    for layer in model.layers:
        cloned.add(clone(layer))
    if model.built and not cloned.built:
        cloned.build(model.input_shape)
    return cloned


def _clone_graph(model: Network, given: list[KerasTensor] | None, clone: Callable[[Any], Any]) -> Model:
    record = model._graph()
    if given is None:
        starts = [_clone_input(model._modules[key]).inbound_nodes[0].outputs[0] for key in record.input_keys]
    else:
        _check_count(model, given, len(record.inputs))
        starts = list(given)
    made: dict[int, KerasTensor] = dict(zip(record.inputs, starts, strict=True))
    layers: dict[str, Any] = {}
    for step in record.steps:
        if step.key not in layers:
            layers[step.key] = clone(model._modules[step.key])
        args, kwargs = records.fill((step.args, step.kwargs), made.__getitem__)
        made.update(zip(step.outputs, symbolic_leaves(layers[step.key](*args, **kwargs)), strict=True))
    inputs: Any = starts[0] if len(starts) == 1 else starts
    if model._input_names_in is not None:
        inputs = dict(zip(model._input_names_in, starts, strict=True))
    cloned = Model(inputs, records.fill(record.outputs, made.__getitem__), name=model.name)
    if generations.choose("graph.added_layers"):
        cloned.compute_also([made[number] for number in record.added])
    return cloned


def _clone_input(layer: Any) -> InputLayer:
    return InputLayer.from_config(layer.get_config())  # type: ignore[return-value]


def _is_input(tensor: KerasTensor) -> bool:
    return tensor.keras_history is not None and isinstance(tensor.keras_history[0], InputLayer)


def _input_like(tensor: KerasTensor) -> InputLayer:
    return InputLayer(batch_input_shape=tuple(tensor.shape), dtype=tensor.dtype)


def _check_count(model: Network, given: list[KerasTensor], count: int) -> None:
    if len(given) != count:
        raise ValueError(f"clone_model got {len(given)} input_tensors for model '{model.name}', which has {count} inputs.")
