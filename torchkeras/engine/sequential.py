"""Keras' module `engine.sequential`."""

from torchkeras.models import Sequential

__all__ = [
    "Sequential",
]
