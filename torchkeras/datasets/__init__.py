"""Small data sets: `digits` ships with the package."""

from torchkeras.datasets import digits

__all__ = ["digits"]
