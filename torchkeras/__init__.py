"""torchkeras: Keras programs on PyTorch."""

__version__ = "0.1.0"
