"""Keras' module `engine.topology`: what graphs are made of."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.graph.network import Network
from torchkeras.layers import Input, InputLayer, InputSpec, Layer, Merge, merge
from torchkeras.layers.nodes import Node
from torchkeras.models.sequential import sources as get_source_inputs
from torchkeras.utils.generic_utils import has_arg, object_list_uid, to_list

Container = Network  # Keras 1's name

__all__ = [
    "Container",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "Merge",
    "Network",
    "Node",
    "get_source_inputs",
    "has_arg",
    "merge",
    "object_list_uid",
    "to_list",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
