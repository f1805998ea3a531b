"""Layers that tf.keras 2.4.0 counts as experimental, as far as they are here."""

from torchkeras.layers.experimental import preprocessing
from torchkeras.layers.sync_batch_normalization import SyncBatchNormalization

__all__ = ["SyncBatchNormalization", "preprocessing"]
