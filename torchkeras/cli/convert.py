"""`python -m torchkeras convert`: a model or its weights from one kind of file to another."""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from torchkeras.registry import custom_object_scope, nearest

WRITTEN = (".h5", ".hdf5", ".weights.h5", ".keras", ".pt", ".pth", ".safetensors", ".onnx", ".json")
_ERRORS = (ValueError, OSError, NotImplementedError, ImportError, RuntimeError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("source", metavar="IN", help=".h5, .keras, .weights.h5, .pt or .safetensors; what it is its content says")
    parser.add_argument("target", metavar="OUT", help=f"its ending says what is written: {', '.join(WRITTEN)}")
    parser.add_argument("--config", metavar="FILE", help="the architecture, for a file of weights alone: JSON of to_json(), or another model file")
    parser.add_argument("--keras", metavar="VERSION", help="the release that a --config which does not say follows: 1.2.2, 2.2.4 or 2.4.0")
    parser.add_argument(
        "--input-shape", action="append", metavar="SIZES", help="shape of an input without the batch, such as 28,28,1 (again for each further input)"
    )
    parser.add_argument("--weights-only", action="store_true", help="write the weights without architecture and optimizer (.h5, .pt, .safetensors)")
    parser.add_argument("--by-name", action="store_true", help="match the weights of a file with the layers of --config by their names")
    parser.add_argument(
        "--custom-objects",
        action="append",
        metavar="MODULE:NAME,...",
        help="classes and functions of your own that the file names; MODULE is imported, from the working folder too (again for each further module)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")


def run(arguments: argparse.Namespace) -> int:
    """Convert; gives the exit status: 1 where it cannot be done."""
    converting = importlib.import_module("torchkeras.cli.converting")  # the other commands need none of what it brings
    try:
        with warnings.catch_warnings(record=True) as told, custom_object_scope(custom_objects(arguments.custom_objects or ())):
            warnings.simplefilter("always")
            words = converting.convert(
                arguments.source,
                arguments.target,
                config=arguments.config,
                keras=arguments.keras,
                input_shapes=[read_shape(text) for text in arguments.input_shape or ()],
                weights_only=arguments.weights_only,
                by_name=arguments.by_name,
                overwrite=arguments.overwrite,
            )
    except _ERRORS as error:
        print(f"torchkeras convert: {error}", file=sys.stderr)
        return 1
    for warning in told:
        if issubclass(warning.category, UserWarning):
            print(f"torchkeras convert: note: {warning.message}", file=sys.stderr)
    print(words)
    return 0


def custom_objects(texts: Iterable[str]) -> dict[str, Any]:
    """The user's objects, by name: only what the command line names is imported, never what a file names.

    Args:
        texts: Each `module:name` or `module:name,name`.

    Raises:
        ValueError: a text of another form, or a module without such a name.
        ImportError: there is no such module.
    """
    found: dict[str, Any] = {}
    for text in texts:
        module, _, names = text.partition(":")
        if not module or not all(names.split(",")):
            raise ValueError(f"--custom-objects takes MODULE:NAME or MODULE:NAME,NAME, such as my_layers:Attention, but got {text!r}.")
        there = importlib.import_module(module)
        for name in names.split(","):
            if not hasattr(there, name):
                raise ValueError(f"--custom-objects {text}: module {module!r} has no {name!r}. {nearest(name, vars(there))}")
            found[name] = getattr(there, name)
    return found


def read_shape(text: str) -> tuple[int | None, ...]:
    """`28,28,1` as a shape; `none` or `?` for an unknown size.

    Raises:
        ValueError: something else.
    """
    try:
        shape = tuple(None if part.strip().lower() in ("none", "?") else int(part) for part in text.replace("x", ",").strip("()[] ,").split(","))
    except ValueError:
        raise ValueError(f"--input-shape takes sizes such as 28,28,1, but got {text!r}.") from None
    if any(size is not None and size < 1 for size in shape):
        raise ValueError(f"--input-shape takes sizes of at least 1, but got {text!r}.")
    return shape
