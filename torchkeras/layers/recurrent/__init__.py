"""Recurrent layers and cells."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from torchkeras.layers.recurrent.conv_lstm import ConvLSTM2D, ConvLSTM2DCell, ConvRNN2D
from torchkeras.layers.recurrent.cudnn import CuDNNGRU, CuDNNLSTM
from torchkeras.layers.recurrent.gated_cell import AbstractRNNCell
from torchkeras.layers.recurrent.rnn import RNN
from torchkeras.layers.recurrent.stacked import StackedRNNCells
from torchkeras.layers.recurrent.standard import GRU, LSTM, SimpleRNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AbstractRNNCell",
    "ConvLSTM2D",
    "ConvLSTM2DCell",
    "ConvRNN2D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "GRUCell",
    "LSTMCell",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
