"""Keras' path to the convolutional recurrent layers, which live with the other recurrent ones."""

from torchkeras.layers.recurrent.conv_lstm import ConvLSTM2D, ConvLSTM2DCell, ConvRNN2D

ConvRecurrent2D = ConvRNN2D  # Keras 1's and 2's name

__all__ = ["ConvLSTM2D", "ConvLSTM2DCell", "ConvRNN2D", "ConvRecurrent2D"]
