"""`python -m torchkeras run`: a Keras program, unchanged."""

from __future__ import annotations

import argparse
import os
import sys

from torchkeras.porting import run_module, run_script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--keras", default="auto", metavar="VERSION", help="auto (told by the script), 1.2.2, 2.2.4 or 2.4.0 (tf.keras)")
    parser.add_argument("-m", action="store_true", dest="module", help="PROGRAM is a module's name, as for python -m")
    parser.add_argument("program", metavar="PROGRAM", help="the script to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="its command line")


def run(arguments: argparse.Namespace) -> int:
    """Run the program; gives the exit status."""
    if not arguments.module and not os.path.isfile(arguments.program):
        print(f"torchkeras run: there is no script {arguments.program!r}.", file=sys.stderr)
        return 2
    (run_module if arguments.module else run_script)(arguments.program, arguments.arguments, arguments.keras)
    return 0
