"""Models: `Sequential` and `Model`."""

from torchkeras.models.model import Model
from torchkeras.models.sequential import Sequential
from torchkeras.models.wrapped import WrappedModel

__all__ = ["Model", "Sequential", "WrappedModel"]
