"""Keras' module `engine.network`."""

from torchkeras.graph.network import Network
from torchkeras.models.sequential import sources as get_source_inputs

__all__ = [
    "Network",
    "get_source_inputs",
]
