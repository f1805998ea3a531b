"""Layers that Keras 1 had and later releases dropped."""

from torchkeras.layers.keras1.activations import ParametricSoftplus, SReLU
from torchkeras.layers.keras1.convolutional import AtrousConvolution1D, AtrousConvolution2D, Deconvolution2D
from torchkeras.layers.keras1.dense import Highway, MaxoutDense, TimeDistributedDense
from torchkeras.layers.keras1.merge import Merge, merge
from torchkeras.layers.keras1.normalization import KeptBatchNormalization

__all__ = [
    "AtrousConvolution1D",
    "AtrousConvolution2D",
    "Deconvolution2D",
    "Highway",
    "KeptBatchNormalization",
    "MaxoutDense",
    "Merge",
    "ParametricSoftplus",
    "SReLU",
    "TimeDistributedDense",
    "merge",
]
