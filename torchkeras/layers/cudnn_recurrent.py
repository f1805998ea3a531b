"""Keras' path to the CuDNN layers, which live with the other recurrent ones."""

from torchkeras.layers.recurrent.cudnn import CuDNNGRU, CuDNNLSTM

__all__ = ["CuDNNGRU", "CuDNNLSTM"]
