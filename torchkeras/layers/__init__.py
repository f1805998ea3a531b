"""Layers: ordinary nn.Module subclasses with Keras' interface."""

from torchkeras.layers.base import Layer
from torchkeras.layers.core import Activation, Dense
from torchkeras.layers.input_layer import Input, InputLayer
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.torch_ops import TorchOp

__all__ = ["Activation", "Dense", "Input", "InputLayer", "InputSpec", "Layer", "TorchOp", "deserialize", "serialize"]
