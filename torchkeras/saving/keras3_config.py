"""Architectures and compile arguments of Keras 3 in the form of Keras 2.

What only Keras 3 has is dropped where it says "nothing special" and refused where it would change what the model computes.
The gate before this one has already turned references to classes and functions into their names.

Source: Keras 3.15.1 `keras.src.models.functional`, `keras.src.saving.serialization_lib`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torchkeras.saving.errors import ConfigError
from torchkeras.saving.keras1_config import MODELS
from torchkeras.saving.keras3_masks import without_mask_operations

_ANY = object()
# Arguments that only Keras 3 has, and the values that change nothing.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "quantization_mode": (None,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
    "optional": (False,),
    "synchronized": (False,),
    "rms_scaling": (False,),
    "flash_attention": (None, False),
    "use_gate": (False,),
    "use_cudnn": (_ANY,),  # another way to the same numbers
    "input_axes": (None,),
    "output_axes": (None,),
    # of optimizers
    "weight_decay": (None, 0.0),
    "use_ema": (False,),
    "ema_momentum": (_ANY,),  # says something with use_ema only
    "ema_overwrite_frequency": (_ANY,),
    "loss_scale_factor": (None,),
    "gradient_accumulation_steps": (None, 1),
}
# The seeds that Keras 3 writes down for these are of generators that no other library has.
_SEEDED = ("SimpleRNN", "LSTM", "GRU", "ConvLSTM2D", "SimpleRNNCell", "LSTMCell", "GRUCell", "MultiHeadAttention", "GroupedQueryAttention")
# Names that Keras 3 gave to other functions.
ACTIVATIONS = {(key, "hard_sigmoid"): "hardsigmoid" for key in ("activation", "recurrent_activation")}
# Arguments that Keras 3 renamed.
RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}, "InputLayer": {"batch_shape": "batch_input_shape"}}
# What may stand by position after the first argument of a call.
_STATES = ("initial_state", "mask")
_POSITIONAL: dict[str, tuple[str, ...]] = {
    "MultiHeadAttention": ("value", "key"),
    **dict.fromkeys(("RNN", "SimpleRNN", "LSTM", "GRU", "Bidirectional"), _STATES),
}


def is_keras3(config: Any) -> bool:
    """Whether a config, as JSON gives it, is in the form of Keras 3."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            if value.get("class_name") in ("__keras_tensor__", "DTypePolicy") or ("registered_name" in value and "module" in value):
                return True
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
    return False


def keras2_form(value: Any, custom: Collection[str] = ()) -> Any:
    """A config of Keras 3 in the form of Keras 2; one that has it already comes back equal.

    Args:
        value: What the gate gave.
        custom: Names of the caller's own classes, whose arguments are left as they are.

    Raises:
        ConfigError: an argument that would change what the model computes, and that layers here do not have.
    """
    if isinstance(value, Mapping):
        if isinstance(value.get("class_name"), str) and isinstance(value.get("config"), Mapping):
            return _node(value, custom)
        return {key: keras2_form(item, custom) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(keras2_form(item, custom) for item in value)
    return value


def _node(node: Mapping[str, Any], custom: Collection[str]) -> dict[str, Any]:
    """A layer, optimizer, initializer, ...: `{"class_name", "config"}`."""
    name = node["class_name"]
    config = {key: keras2_form(item, custom) for key, item in node["config"].items()}
    if name in MODELS:
        config.pop("dtype", None)
        config = _graph(config) if "input_layers" in config else config
    elif name not in custom:
        config = _arguments(name, config)
    if name == "Nadam" and "weight_decay" in node["config"]:  # of Keras 3, where the momentum grows 250 times as fast
        config.setdefault("schedule_decay", 1.0)
    # built shapes follow from the graph
    rest = {key: keras2_form(item, custom) for key, item in node.items() if key not in ("class_name", "config", "build_config", "compile_config")}
    return {**rest, "class_name": name, "config": config}


def _arguments(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of one of Keras' own classes by their names, and with the values, of Keras 2."""
    names = RENAMED.get(class_name, {})
    found = {names.get(key, key): item for key, item in config.items() if not _says_nothing(class_name, key, item)}
    return {key: ACTIVATIONS.get((key, item), item) if isinstance(item, str) else item for key, item in found.items()}


def _says_nothing(class_name: str, argument: str, value: Any) -> bool:
    if argument == "seed" and class_name in _SEEDED:
        return True
    neutral = _ARGUMENTS.get(argument)
    if neutral is None or class_name == "TorchOptimizer":  # whose arguments are torch's
        return False
    if _ANY in neutral or any(value == one for one in neutral):
        return True
    raise ConfigError(f"{class_name} was made with {argument}={value!r:.80}, which only Keras 3 has. Make it without in Keras and save it again.")


def _graph(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a functional model: calls as Keras 2 lists them, where the first call of a nested model has the number 1."""
    config = without_mask_operations(config)
    first = {layer["name"]: int(layer.get("class_name") in MODELS) for layer in config["layers"] if isinstance(layer, Mapping) and "name" in layer}
    layers = [
        {**layer, "inbound_nodes": [_call(call, first, layer) for call in layer.get("inbound_nodes", [])]} if isinstance(layer, Mapping) else layer
        for layer in config["layers"]
    ]
    ends = {key: _ends(config.get(key), first) for key in ("input_layers", "output_layers")}
    return {**config, "layers": layers, **ends}


def _ends(ends: Any, first: Mapping[str, int]) -> Any:
    """References of inputs or outputs: one, a list, or a dict by name."""
    if isinstance(ends, Mapping):
        return {key: _end(end, first) for key, end in ends.items()}
    if isinstance(ends, (list, tuple)) and len(ends) == 3 and isinstance(ends[0], str):
        ends = [ends]
    return [_end(end, first) for end in ends or []]


def _end(end: Any, first: Mapping[str, int]) -> Any:
    return _reference(end, first) if isinstance(end, (list, tuple)) and end and isinstance(end[0], str) else _ends(end, first)


def _reference(reference: Any, first: Mapping[str, int]) -> list[Any]:
    name, call, output = reference
    return [name, call + first.get(name, 0), output]


def _call(call: Any, first: Mapping[str, int], layer: Mapping[str, Any]) -> Any:
    """One call of a layer: `{"args", "kwargs"}` of Keras 3 as the list of references of Keras 2."""
    if not isinstance(call, Mapping):
        return call
    args, kwargs = list(call.get("args", [])), dict(call.get("kwargs", {}))
    # Keras 3 writes masks that were passed on by themselves as None, and rules `training` anew at each call of the model
    kwargs.pop("training", None)
    given = {key: _plain(value, first) for key, value in kwargs.items() if not (key == "mask" and (value is None or _is_none(value)))}
    if not args:
        name = next(iter(given), "")
        args = [kwargs[name]] if name else []
        given.pop(name, None)
    inputs = _tensors(args[0], first) if args else []
    names = _POSITIONAL.get(layer["class_name"], ())
    if len(args) - 1 > len(names):
        raise ConfigError(
            f"Layer {layer.get('name')!r} ({layer['class_name']}) is called with {len(args)} arguments by position, which is not known here."
        )
    more = {name: _plain(value, first) for name, value in zip(names, args[1:], strict=False)}
    return [[*reference, {**more, **given} if number == 0 else {}] for number, reference in enumerate(inputs)]


def _is_none(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(part is None for part in value)


def _tensors(value: Any, first: Mapping[str, int]) -> list[list[Any]]:
    """The references in one argument, in order."""
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        return [_reference(value["config"]["keras_history"], first)]
    if isinstance(value, Mapping):
        return [found for part in value.values() for found in _tensors(part, first)]
    if isinstance(value, (list, tuple)):
        return [found for part in value for found in _tensors(part, first)]
    return []


def _plain(value: Any, first: Mapping[str, int]) -> Any:
    """An argument by name, with references in place of tensors."""
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        return _reference(value["config"]["keras_history"], first)
    if isinstance(value, (list, tuple)):
        return [_plain(part, first) for part in value]
    return value
