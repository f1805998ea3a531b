"""Architectures of Keras 1 in the form of Keras 2: layers in today's words, and a `Sequential` that starts with a `Merge` as a graph.

Source: Keras 1.2.2 `keras.models.Sequential.get_config`, `keras.engine.topology.Container.get_config`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torchkeras.layers.legacy import FORMATS, keras2_layer
from torchkeras.saving.errors import ConfigError

CLASS_OF_MODE = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot", "cos": "Dot"}
MODELS = ("Sequential", "Model", "Functional", "Container")


def keras2_model(config: Any, custom: Collection[str] = ()) -> Any:
    """A model's config in Keras 2's form; one that has it already comes back equal.

    Args:
        config: `{"class_name", "config"}`, or the bare config of a model (of a `Sequential` in Keras 1: a list).
        custom: Names of the caller's own classes, which are left as they are.

    Raises:
        ValueError: a layer that no later Keras has an equal for.
    """
    translator = _Translator(_data_format(config), custom)
    if isinstance(config, Mapping) and "class_name" in config:
        return translator.node(config)
    if isinstance(config, list):
        return translator.stack(config)
    return translator.layers_of(config)


def _data_format(config: Any) -> str | None:
    """The data format that some layer of a config names in Keras 1's word: those that say nothing had the same."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            word = value.get("dim_ordering")
            if isinstance(word, str) and FORMATS.get(word) is not None:
                return FORMATS[word]
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
    return None


def merge_layer(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The layer of Keras 2 that does what a `Merge` with a named mode does; one with a function is a `Lambda` of a list.

    Raises:
        ValueError: an unknown mode, or a function for the mask.
    """
    mode, kind = config.get("mode", "sum"), config.get("mode_type", "raw")
    rest = {key: config[key] for key in ("name", "trainable") if key in config}
    if callable(mode) or kind != "raw":
        if config.get("output_mask") is not None:
            raise ConfigError("A Merge with a function for output_mask has no equal after Keras 1: write a Layer with compute_mask().")
        shape = {key: config[key] for key in ("output_shape", "output_shape_type", "arguments") if key in config}
        return "Lambda", {**rest, "function": mode, "function_type": kind, **shape}
    if mode not in CLASS_OF_MODE:
        raise ConfigError(f"Merge has no mode {mode!r}: its modes are {', '.join(CLASS_OF_MODE)} and functions.")
    if mode == "concat":
        rest["axis"] = config.get("concat_axis", -1)
    elif mode in ("dot", "cos"):
        rest |= {"axes": config.get("dot_axes", -1), "normalize": mode == "cos"}
    return CLASS_OF_MODE[mode], rest


class _Translator:
    """One walk over a config."""

    def __init__(self, data_format: str | None, custom: Collection[str]) -> None:
        self.data_format = data_format
        self.custom = custom
        self.stacks = 0  # nested models of Keras 1 without a name

    def node(self, node: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
        """A layer or model: `{"class_name", "config"}`."""
        class_name, config = node.get("class_name"), node.get("config")
        rest = {key: value for key, value in node.items() if key not in ("class_name", "config")}
        if class_name in self.custom or not isinstance(class_name, str) or not isinstance(config, (Mapping, list)):
            return dict(node)
        if isinstance(config, list):
            found = self.stack(config, name or rest.get("name"))
            return {**rest, "class_name": "Model" if "input_layers" in found else "Sequential", "config": found}
        if class_name in MODELS:
            return {**rest, "class_name": "Model" if class_name == "Container" else class_name, "config": self.layers_of(config)}
        class_name, arguments = merge_layer(config) if class_name == "Merge" else keras2_layer(class_name, config, self.data_format)
        for key in ("layer", "backward_layer"):
            if isinstance(arguments.get(key), Mapping):
                arguments[key] = self.node(arguments[key])
        return {**rest, "class_name": class_name, "config": arguments}

    def layers_of(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config of a model whose layers stand under "layers"."""
        if not isinstance(config.get("layers"), list):
            return dict(config)
        return {**config, "layers": [self.node(layer) if isinstance(layer, Mapping) else layer for layer in config["layers"]]}

    def stack(self, layers: list[Any], name: str | None = None) -> dict[str, Any]:
        """The bare list of layers of a `Sequential`."""
        if not all(isinstance(layer, Mapping) and "class_name" in layer for layer in layers):
            raise ConfigError("The config of a Sequential should be a list of layers, each with 'class_name' and 'config'.")
        named = {} if name is None else {"name": name}
        if layers and layers[0]["class_name"] == "Merge" and "Merge" not in self.custom:
            graph = _Graph(self)
            outputs = graph.grow(layers)
            return {**named, "layers": graph.layers, "input_layers": graph.inputs, "output_layers": [outputs]}
        return {**named, "layers": [self.node(layer) for layer in layers]}

    def next_name(self) -> str:
        self.stacks += 1
        return f"sequential_{self.stacks}"


class _Graph:
    """A functional config that grows layer by layer: what a `Sequential` on top of a `Merge` of others is."""

    def __init__(self, translator: _Translator) -> None:
        self.translator = translator
        self.layers: list[dict[str, Any]] = []
        self.inputs: list[list[Any]] = []

    def grow(self, stack: list[Any]) -> list[Any]:
        """Add the layers of a stack; gives the reference of its output."""
        first = stack[0]
        if first["class_name"] == "Merge":
            config = dict(first["config"])
            branches = config.pop("layers", None)
            if not isinstance(branches, list) or not branches:
                raise ConfigError("A Merge that starts a Sequential should list the models that it merges under 'layers'.")
            place = self.add({**first, "config": config}, [self.branch(branch) for branch in branches])
            rest = stack[1:]
        else:
            place = self.start(first)
            rest = stack
        for layer in rest:
            place = self.add(layer, [place])
        return place

    def branch(self, node: Mapping[str, Any]) -> list[Any]:
        """One of the merged models; a `Sequential` gives its layers to the graph, as in Keras 1."""
        if node.get("class_name") == "Sequential" and isinstance(node.get("config"), list) and node["config"]:
            return self.grow(node["config"])
        if node.get("class_name") in MODELS and isinstance(node.get("config"), Mapping):
            by_name = {layer["name"]: layer for layer in node["config"]["layers"]}
            return self.add(node, [self.start(by_name[reference[0]]) for reference in node["config"]["input_layers"]])
        return self.add(node, [self.start(node)])

    def start(self, layer: Mapping[str, Any]) -> list[Any]:
        """An input for a layer that brings its shape."""
        config = layer["config"]
        while isinstance(config, list):  # a stack inside of the stack starts with its own first layer
            config = config[0]["config"]
        shape = config.get("batch_input_shape")
        if shape is None:
            raise ConfigError(f"The first layer {config.get('name')!r} of a merged Sequential says no batch_input_shape.")
        name = f"{config.get('name')}_input"
        arguments = {"batch_input_shape": shape, "dtype": config.get("input_dtype", "float32"), "name": name}
        self.layers.append({"class_name": "InputLayer", "config": arguments, "name": name, "inbound_nodes": []})
        self.inputs.append([name, 0, 0])
        return [name, 0, 0]

    def add(self, layer: Mapping[str, Any], places: list[list[Any]]) -> list[Any]:
        """Put a layer on what others make."""
        model = layer["class_name"] in MODELS
        config = layer["config"]
        name = (config.get("name") if isinstance(config, Mapping) else None) or self.translator.next_name()
        translated = self.translator.node(layer, name)
        self.layers.append({**translated, "name": name, "inbound_nodes": [[[*place, {}] for place in places]]})
        return [name, int(model), 0]
