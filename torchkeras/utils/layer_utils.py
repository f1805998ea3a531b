"""Keras' module `utils.layer_utils`: counting weights; the summary and the inputs of a graph, from the rooms that know graphs."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from typing import Any, Final

from torchkeras import absent

# name -> room and name; found when they are asked for, since those rooms stand above this one
_ABOVE: Final = {
    "get_source_inputs": ("torchkeras.models.sequential", "sources"),
    "layer_from_config": ("torchkeras.layers", "deserialize"),
    "print_summary": ("torchkeras.graph.summary", "print_summary"),
}


def count_params(weights: Iterable[Any]) -> int:
    """How many scalars some weights have altogether; a weight that comes twice counts once.

    Args:
        weights: Such as `layer.trainable_weights`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `count_params`.
    """
    shapes = {getattr(weight, "identity", id(weight)): tuple(weight.shape) for weight in weights}
    return sum(math.prod(shape) for shape in shapes.values())


def count_total_params(layers: Iterable[Any], layer_set: set[Any] | None = None) -> tuple[int, int]:
    """How many trainable and how many other scalars some layers have; what several of them share counts once.

    Args:
        layers: Layers and models.
        layer_set: Those counted already, which are passed over; it takes up the others.

    Source: Keras 1.2.2 `count_total_params`.
    """
    seen = set() if layer_set is None else layer_set
    new = [layer for layer in layers if layer not in seen]
    seen.update(new)
    trained = [weight for layer in new for weight in layer.trainable_weights]
    frozen = [weight for layer in new for weight in layer.non_trainable_weights]
    return count_params(trained), count_params(frozen)


def __getattr__(name: str) -> Any:
    if name in _ABOVE:
        room, other = _ABOVE[name]
        return getattr(importlib.import_module(room), other)
    return absent.lookup(__name__, name)
