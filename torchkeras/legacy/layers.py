"""Keras' module `legacy.layers`."""

from torchkeras.layers import RNN, AtrousConvolution1D, AtrousConvolution2D, ConvRNN2D, Highway, MaxoutDense, Merge, merge

Recurrent = RNN
ConvRecurrent2D = ConvRNN2D

__all__ = [
    "RNN",
    "AtrousConvolution1D",
    "AtrousConvolution2D",
    "ConvRNN2D",
    "ConvRecurrent2D",
    "Highway",
    "MaxoutDense",
    "Merge",
    "Recurrent",
    "merge",
]
