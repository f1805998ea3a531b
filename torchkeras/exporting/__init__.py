"""Models as plain PyTorch: modules and text without this library."""

from torchkeras.exporting.module import to_torch
from torchkeras.exporting.writer import ExportError

__all__ = ["ExportError", "to_torch"]
