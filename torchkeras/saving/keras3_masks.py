"""Masks in the graphs of Keras 3: it writes down the operations that compute them, such as the comparison that an `Embedding` makes.

Here layers find masks themselves, so that a graph has no need of these operations.

Source: Keras 3.15.1 `keras.src.layers.core.embedding`, `keras.src.models.functional`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What Keras 3's layers compute masks with.
_OPERATIONS = frozenset({"NotEqual", "Any", "All", "LogicalAnd", "LogicalOr", "LogicalNot", "ExpandDims", "Squeeze", "BroadcastTo", "Cast"})


def without_mask_operations(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a functional model without operations of which nothing but masks is made, and without those masks.

    Args:
        config: Of a functional model of Keras 3.
    """
    layers = [layer for layer in config["layers"] if isinstance(layer, Mapping)]
    found = {layer.get("name") for layer in layers if layer.get("class_name") in _OPERATIONS}
    if not found:
        return config
    found -= set(_names(config.get("output_layers")))
    while True:
        used = {name for layer in layers if layer.get("name") not in found for call in layer.get("inbound_nodes", []) for name in _used(call)}
        if not found & used:
            break
        found -= used
    return {
        **config,
        "layers": [
            {**layer, "inbound_nodes": [_unmasked(call, found) for call in layer.get("inbound_nodes", [])]} if isinstance(layer, Mapping) else layer
            for layer in config["layers"]
            if not (isinstance(layer, Mapping) and layer.get("name") in found)
        ],
    }


def _used(call: Any) -> Iterator[str]:
    """Names of the layers whose outputs a call takes otherwise than as its mask."""
    if isinstance(call, Mapping):
        yield from _names(call.get("args"))
        yield from _names({key: value for key, value in (call.get("kwargs") or {}).items() if key != "mask"})


def _unmasked(call: Any, made: set[Any]) -> Any:
    """A call without a mask that is made by operations which are left out."""
    kwargs = call.get("kwargs") if isinstance(call, Mapping) else None
    if not isinstance(kwargs, Mapping) or not set(_names(kwargs.get("mask"))) & made:
        return call
    return {**call, "kwargs": {key: value for key, value in kwargs.items() if key != "mask"}}


def _names(value: Any) -> Iterator[str]:
    """Names of the layers that tensors somewhere in a value come from."""
    if isinstance(value, Mapping):
        history = value.get("config", {}).get("keras_history") if value.get("class_name") == "__keras_tensor__" else None
        if history:
            yield history[0]
        else:
            for part in value.values():
                yield from _names(part)
    elif isinstance(value, (list, tuple)):
        if len(value) == 3 and isinstance(value[0], str):
            yield value[0]
        for part in value:
            yield from _names(part)
