"""Callbacks."""

from torchkeras.callbacks.base import Callback
from torchkeras.callbacks.history import History
from torchkeras.callbacks.progbar_logger import ProgbarLogger

__all__ = ["Callback", "History", "ProgbarLogger"]
