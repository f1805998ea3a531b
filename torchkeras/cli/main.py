"""`python -m torchkeras COMMAND`: one line a command, each in a module of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from torchkeras.cli import convert, demo, inspect, port, run

# name -> (one line of help, adds its arguments, runs)
COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]] = {
    "demo": ("train a small net on real handwritten digits and show what there is to see", demo.add_arguments, demo.run),
    "run": ("run a Keras program unchanged", run.add_arguments, run.run),
    "convert": ("turn a file of a model or of weights into one of another kind", convert.add_arguments, convert.run),
    "inspect": ("tell what is in a model file, without running anything of it", inspect.add_arguments, inspect.run),
    "port": ("rewrite Keras programs in today's words, or show what would change", port.add_arguments, port.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Words of the command line; `None`: those of the process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="torchkeras", description="Keras programs on PyTorch.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_arguments, _) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    parsed = parser.parse_args(arguments)
    return COMMANDS[parsed.command][2](parsed)


if __name__ == "__main__":
    sys.exit(main())
