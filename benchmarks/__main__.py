"""`python -m benchmarks [command]`: see README.md beside this file."""

from __future__ import annotations

import sys

from benchmarks import callbacks, fresh, graph, growth, guard, imports, layers, sequences, sequences_fit, streaming, training, weighted

COMMANDS = {
    "callbacks": callbacks.main,
    "fresh": fresh.main,
    "graph": graph.main,
    "growth": growth.main,
    "guard": guard.main,
    "imports": imports.main,
    "layers": layers.main,
    "sequences": sequences.main,
    "sequences-fit": sequences_fit.main,
    "streaming": streaming.main,
    "training": training.main,
    "weighted": weighted.main,
}
OWN = {"--workload", "--rival", "--action", "--steps", "--device", "--quick"}  # of `training` alone


def main(arguments: list[str]) -> int:
    """Run a command; where none is named, the comparison of training loops, fresh processes, and growth."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    code = training.main(arguments)
    if OWN & set(arguments) or code:
        return code
    shared = _pick(arguments, {"--threads", "--output"})
    return fresh.main([*shared, *_pick(arguments, {"--keras"})]) or growth.main([*shared, *_pick(arguments, {"--clock"})])


def _pick(arguments: list[str], names: set[str]) -> list[str]:
    """Those options, each with its value."""
    places = [number for number, argument in enumerate(arguments) if argument in names]
    return [part for place in places for part in arguments[place : place + 2]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
