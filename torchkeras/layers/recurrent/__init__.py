"""Recurrent layers and cells."""

from torchkeras.layers.recurrent.cells import AbstractRNNCell, GRUCell, LSTMCell, SimpleRNNCell
from torchkeras.layers.recurrent.rnn import RNN
from torchkeras.layers.recurrent.stacked import StackedRNNCells
from torchkeras.layers.recurrent.standard import GRU, LSTM, SimpleRNN

__all__ = ["GRU", "LSTM", "RNN", "AbstractRNNCell", "GRUCell", "LSTMCell", "SimpleRNN", "SimpleRNNCell", "StackedRNNCells"]
