"""`python -m benchmarks [command]`: see README.md beside this file."""

from __future__ import annotations

import sys

from benchmarks import callbacks, graph, guard, imports, layers, sequences, sequences_fit, training, weighted

COMMANDS = {
    "callbacks": callbacks.main,
    "graph": graph.main,
    "guard": guard.main,
    "imports": imports.main,
    "layers": layers.main,
    "sequences": sequences.main,
    "sequences-fit": sequences_fit.main,
    "training": training.main,
    "weighted": weighted.main,
}


def main(arguments: list[str]) -> int:
    """Run a command; the comparison of training loops where none is named."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    return training.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
