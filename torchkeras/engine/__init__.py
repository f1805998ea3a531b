"""Keras' package `engine`: layers, graphs and models by the paths that Keras 1 and 2 kept them at."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.engine import base_layer, input_layer, network, saving, sequential, topology, training
from torchkeras.engine.topology import Container, Input, InputLayer, InputSpec, Layer, Merge, Network, Node, get_source_inputs, merge
from torchkeras.engine.training import Model
from torchkeras.utils.generic_utils import object_list_uid, to_list

__all__ = [
    "Container",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "Merge",
    "Model",
    "Network",
    "Node",
    "base_layer",
    "get_source_inputs",
    "input_layer",
    "merge",
    "network",
    "object_list_uid",
    "saving",
    "sequential",
    "to_list",
    "topology",
    "training",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
