"""Keras' module `engine.base_layer`."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.layers import InputSpec, Layer
from torchkeras.layers.nodes import Node
from torchkeras.utils.generic_utils import has_arg, is_all_none, object_list_uid, to_list, unpack_singleton
from torchkeras.utils.layer_utils import count_params

__all__ = [
    "InputSpec",
    "Layer",
    "Node",
    "count_params",
    "has_arg",
    "is_all_none",
    "object_list_uid",
    "to_list",
    "unpack_singleton",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
