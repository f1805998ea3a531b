"""Normalization layers, under Keras' path."""

from torchkeras.layers.batch_normalization import BatchNormalization
from torchkeras.layers.layer_normalization import LayerNormalization

__all__ = ["BatchNormalization", "LayerNormalization"]
