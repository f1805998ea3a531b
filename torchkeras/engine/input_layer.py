"""Keras' module `engine.input_layer`."""

from torchkeras.layers import Input, InputLayer

__all__ = [
    "Input",
    "InputLayer",
]
