"""Architectures and compile arguments as Keras 3 reads them: what `.keras` archives hold.

Source: Keras 3.15.1 `keras.src.saving.serialization_lib`, its layers' signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchkeras import generations, losses, metrics
from torchkeras.constraints import CONSTRAINTS
from torchkeras.graph.config import _local_nodes, first_node
from torchkeras.initializers import INITIALIZERS
from torchkeras.layers.naming import name_of
from torchkeras.layers.serialization import serialize
from torchkeras.optimizers.schedules import serialize as serialize_schedule
from torchkeras.regularizers import REGULARIZERS
from torchkeras.saving.errors import ContentError
from torchkeras.saving.keras1_config import MODELS
from torchkeras.saving.keras3_config import ACTIVATIONS, RENAMED
from torchkeras.saving.keras3_optimizer import keras3_config
from torchkeras.saving.training_config import plain_structure

VERSION = "3.15.1"  # the release whose form this is

# Layers that Keras 3 dropped.
_DROPPED = frozenset(
    {"LocallyConnected1D", "LocallyConnected2D", "ThresholdedReLU", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM2DCell", "ConvRNN2D"}
    | {"Highway", "MaxoutDense", "SReLU", "ParametricSoftplus", "Merge", "TimeDistributedDense", "AtrousConvolution1D", "AtrousConvolution2D"}
)
_NOT_USED = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
# Arguments that Keras 3 has not: the values which may be left out (`None`: any).
_LEFT_OUT: dict[str, dict[str, Any]] = {
    **{key: {"implementation": None, "time_major": False} for key in ("SimpleRNN", "LSTM", "GRU", "RNN")},
    **{key: {"implementation": None} for key in ("SimpleRNNCell", "LSTMCell", "GRUCell")},
    **{key: {**dict.fromkeys(_NOT_USED), "filters": None} for key in ("DepthwiseConv2D", "DepthwiseConv1D")},
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), dict.fromkeys(_NOT_USED)),
    **{key: {"groups": 1} for key in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")},
    "Embedding": {"input_length": None},
    "InputLayer": {"type_spec": None},
}
_RENAMED = {kind: {old: new for new, old in names.items()} for kind, names in RENAMED.items()}


def keras3_architecture(model: Any) -> dict[str, Any]:
    """A model's architecture in Keras 3's form.

    Raises:
        ContentError: a layer that Keras 3 has not.
        NotImplementedError: a subclassed model, or a layer that does not keep what it was made of.
    """
    with generations.using_keras_version("2.4.0"):
        node = _layer(serialize(model), model)
    shape = model.input_shape if model.is_graph_network else None
    return {**node, "build_config": {"input_shape": None if isinstance(shape, list) else shape}}


def _layer(node: Mapping[str, Any], layer: Any) -> dict[str, Any]:
    """A layer or model, given by its config in tf.keras' form and by itself."""
    name, config = node["class_name"], dict(node["config"])
    if name in MODELS and "layers" in config:
        found = _functional(config, layer) if "input_layers" in config else _sequential(config, layer)
        return _reference("keras" if name == "Sequential" else "keras.src.models.functional", "Functional" if name == "Model" else name, found)
    own = type(layer).__module__.partition(".")[0] == __name__.partition(".")[0]
    if own and name in _DROPPED:
        raise ContentError(f"Layer '{config.get('name')}' is a {name}, which Keras 3 does not have. Save the model as .h5.")
    found = {key: item for key, item in config.items() if key != "batch_input_shape" or name == "InputLayer"}
    if own:
        found = {_RENAMED.get(name, {}).get(key, key): _part(item) for key, item in found.items() if not _left_out(name, key, item)}
        _check_activations(found)
    if name == "BatchNormalization" and isinstance(found.get("axis"), (list, tuple)):
        found["axis"] = found["axis"][0]
    for key, inner in (("layer", "layer"), ("backward_layer", "backward_layer"), ("cell", "cell")):
        if isinstance(config.get(key), Mapping) and own:
            found[key] = _layer(config[key], getattr(layer, inner))
    if name == "StackedRNNCells" and own:
        found["cells"] = [_layer(cell, one) for cell, one in zip(config["cells"], layer.cells, strict=True)]
    return _reference("keras.layers" if own else type(layer).__module__, name, found)


def _left_out(class_name: str, argument: str, value: Any) -> bool:
    known = _LEFT_OUT.get(class_name, {})
    if argument not in known:
        return False
    if known[argument] is not None and value != known[argument]:
        raise ContentError(f"A {class_name} with {argument}={value!r} is not in Keras 3. Save the model as .h5.")
    return True


def _check_activations(config: dict[str, Any]) -> None:
    """Give activations the names that Keras 3 has for them.

    Raises:
        ContentError: one that Keras 3 has not.
    """
    for key, theirs in ACTIVATIONS:
        if config.get(key) == theirs:
            raise ContentError(f"Layer '{config.get('name')}' has {key}='hard_sigmoid', which has another slope in Keras 3. Save the model as .h5.")
        if config.get(key) == ACTIVATIONS[key, theirs]:
            config[key] = theirs


def _reference(module: str, name: str, config: Any) -> dict[str, Any]:
    """`{"module", "class_name", "config", "registered_name"}` of an object."""
    own = module.partition(".")[0] == "keras"
    return {"module": module, "class_name": name.rpartition(">")[2], "config": config, "registered_name": None if own else name}


def _part(value: Any) -> Any:
    """An argument: initializers, regularizers and constraints with the module they are of."""
    if isinstance(value, Mapping) and isinstance(value.get("class_name"), str) and "module" not in value:
        name = value["class_name"]
        for module, registry in (("initializers", INITIALIZERS), ("regularizers", REGULARIZERS), ("constraints", CONSTRAINTS)):
            if name in registry:
                return _reference(f"keras.{module}", name, dict(value["config"]))
    return value


def _sequential(config: dict[str, Any], model: Any) -> dict[str, Any]:
    objects = {name_of(layer): layer for layer in (model._modules[model._input_key], *model.layers)}
    return {"name": config["name"], "layers": [_layer(node, objects[node["config"]["name"]]) for node in config["layers"]]}


def _functional(config: dict[str, Any], model: Any) -> dict[str, Any]:
    record = model._graph()
    local = _local_nodes(record)
    tensors: dict[tuple[str, int, int], dict[str, Any]] = {}
    for info in record.infos:
        layer = model._modules[info.key]
        number = local.get((info.key, info.node_index), 0)
        history = [name_of(layer), number, info.tensor_index]  # Keras 3 counts the calls of nested models from 0
        tensor = {"shape": list(info.shape), "dtype": str(info.dtype).removeprefix("torch."), "keras_history": history}
        tensors[name_of(layer), number + first_node(layer), info.tensor_index] = {"class_name": "__keras_tensor__", "config": tensor}
    layers = []
    for node in config["layers"]:
        made = _layer(node, model.get_layer(node["name"]))
        layers.append({**made, "name": node["name"], "inbound_nodes": [_call(call, tensors) for call in node["inbound_nodes"]]})
    ends = {key: _ends(config[key], tensors) for key in ("input_layers", "output_layers")}
    return {"name": config["name"], "trainable": model.trainable, "layers": layers, **ends}


def _ends(end: Any, tensors: Mapping[tuple[str, int, int], Any]) -> Any:
    """The inputs or outputs: one, or a list or dict of them; a list of one would be given as a list."""
    if isinstance(end, Mapping):
        return {key: _ends(part, tensors) for key, part in end.items()}
    if isinstance(end[0], str):
        return tensors[tuple(end)]["config"]["keras_history"]  # type: ignore[index]
    return _ends(end[0], tensors) if len(end) == 1 else [_ends(part, tensors) for part in end]


def _call(call: Any, tensors: Mapping[tuple[str, int, int], Any]) -> dict[str, Any]:
    inputs = [tensors[tuple(part[:3])] for part in call]  # type: ignore[index]
    kwargs = {key: _argument(value, tensors) for key, value in (call[0][3] if call and len(call[0]) > 3 else {}).items()}
    return {"args": [inputs[0] if len(inputs) == 1 else inputs], "kwargs": kwargs}


def _argument(value: Any, tensors: Mapping[tuple[str, int, int], Any]) -> Any:
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and tuple(value) in tensors:
        return tensors[tuple(value)]  # type: ignore[index]
    if isinstance(value, (list, tuple)):
        return [_argument(part, tensors) for part in value]
    return value


def keras3_compile(model: Any) -> dict[str, Any] | None:
    """The compile arguments of a model as Keras 3 reads them; `None` where it was not compiled.

    Raises:
        ContentError: an optimizer that Keras 3 has not.
        ValueError: a loss or metric that has neither a config nor a name.
    """
    given = model._compile_arguments
    if given is None:
        return None
    with generations.using_keras_version("2.4.0"):
        optimizer = _reference("keras.optimizers", type(model.optimizer).__name__, keras3_config(model.optimizer, _schedule))
        found = {
            "loss": _objects(plain_structure(given["loss"], losses.serialize), "losses"),
            **{key: _objects(plain_structure(given[key], metrics.serialize), "metrics") for key in ("metrics", "weighted_metrics")},
        }
    rest = {"loss_weights": given["loss_weights"], "run_eagerly": False, "steps_per_execution": 1, "jit_compile": False}
    return {"optimizer": optimizer, **found, **rest}


def _schedule(schedule: Any) -> dict[str, Any]:
    config = serialize_schedule(schedule)
    named = {key: value for key, value in config["config"].items() if key != "name" or value is not None}
    return _reference("keras.optimizers.schedules", config["class_name"], named)


def _objects(structure: Any, module: str) -> Any:
    """Losses or metrics with the module they are of; Keras 3 has no reduction "auto"."""
    if isinstance(structure, Mapping) and "class_name" in structure:
        config = {key: "sum_over_batch_size" if key == "reduction" and value == "auto" else value for key, value in structure["config"].items()}
        return _reference(f"keras.{module}", structure["class_name"], config)
    if isinstance(structure, Mapping):
        return {name: _objects(part, module) for name, part in structure.items()}
    if isinstance(structure, list):
        return [_objects(part, module) for part in structure]
    return structure
