"""Layers that tf.keras 2.4.0 counts as experimental, as far as they are here."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.layers.experimental import preprocessing
from torchkeras.layers.experimental.einsum_dense import EinsumDense
from torchkeras.layers.experimental.random_fourier_features import RandomFourierFeatures
from torchkeras.layers.sync_batch_normalization import SyncBatchNormalization

__all__ = ["EinsumDense", "RandomFourierFeatures", "SyncBatchNormalization", "preprocessing"]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
