"""Keras' package `legacy`: Keras 1's layers and words."""

from torchkeras.legacy import interfaces, layers

__all__ = [
    "interfaces",
    "layers",
]
