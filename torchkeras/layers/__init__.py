"""Layers: ordinary nn.Module subclasses with Keras' interface."""

from torchkeras.layers.base import Layer
from torchkeras.layers.core import (
    Activation,
    ActivityRegularization,
    Dense,
    Dropout,
    Flatten,
    Lambda,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from torchkeras.layers.embeddings import Embedding
from torchkeras.layers.input_layer import Input, InputLayer
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.torch_ops import TorchOp

__all__ = [
    "Activation",
    "ActivityRegularization",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "Masking",
    "Permute",
    "RepeatVector",
    "Reshape",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "TorchOp",
    "deserialize",
    "serialize",
]
