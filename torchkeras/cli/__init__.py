"""The command line: `python -m torchkeras COMMAND`."""

from torchkeras.cli.main import main

__all__ = ["main"]
