"""Layers that tf.keras 2.4.0 counts as experimental, as far as they are here."""

from torchkeras.layers.experimental import preprocessing

__all__ = ["preprocessing"]
