"""`python -m torchkeras port`: Keras programs in today's form."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from torchkeras.porting.rewrite import PACKAGES, port_source
from torchkeras.utils.atomic import atomic_write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, or folders to look for .py files in")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="change the files")
    how.add_argument("--diff", action="store_true", help="show what would change")
    parser.add_argument("--target", default="torchkeras", choices=sorted(PACKAGES), help="what the imports shall name")


def run(arguments: argparse.Namespace) -> int:
    """Report on all files, and change them where asked; gives the exit status: 1 where one could not be read."""
    status = 0
    for path in files(arguments.paths):
        try:
            source = path.read_text(encoding="utf-8")
            ported = port_source(source, arguments.target)
        except (SyntaxError, UnicodeDecodeError, OSError) as error:
            print(f"{path}: left as it is: {error}", file=sys.stderr)
            status = 1
            continue
        for note in ported.notes:
            print(f"{path}:{note.line}: {'' if note.done else 'to do: '}{note.text}")
        if arguments.diff:
            sys.stdout.writelines(difflib.unified_diff(source.splitlines(True), ported.source.splitlines(True), str(path), str(path)))
        elif arguments.write and ported.source != source:
            with atomic_write(path, "w", encoding="utf-8", newline="") as file:
                file.write(ported.source)
    return status


def files(paths: list[str]) -> Iterator[Path]:
    """The Python files among and under some paths."""
    for name in paths:
        path = Path(name)
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]
