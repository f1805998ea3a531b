"""Run a Keras program unchanged on torchkeras."""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchkeras import generations
from torchkeras.porting.detect import Found, detect
from torchkeras.porting.finder import install_as_keras, uninstall_as_keras


def choose_release(source: str, keras: str) -> Found:
    """The release to follow: the one asked for, or the one that the program's text tells.

    Args:
        source: The program's text.
        keras: "auto", or a release.

    Raises:
        ValueError: an unknown release.
    """
    if keras != "auto":
        return Found(generations.normalize_version(keras), "asked for")
    found = detect(source)
    return found if found.version else Found(generations.keras_version(), found.why)


def _prepare(path: str, keras: str, arguments: Sequence[str]) -> None:
    source = Path(path).read_text(encoding="utf-8")
    found = choose_release(source, keras)
    print(f"torchkeras: {os.path.basename(path)} as Keras {found.version} ({found.why})", file=sys.stderr)
    install_as_keras(found.version)
    sys.argv = [path, *arguments]


def run_script(path: str, arguments: Sequence[str] = (), keras: str = "auto") -> dict[str, Any]:
    """Run a script as `python script.py arguments...` would, with torchkeras as Keras.

    Args:
        path: The script.
        arguments: Its command line.
        keras: The release to follow; "auto": told by the script.

    Returns:
        The script's global names.

    Raises:
        FileNotFoundError: no such script.
        SyntaxError: it is no Python.
    """
    _prepare(path, keras, arguments)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    try:
        return runpy.run_path(path, run_name="__main__")
    finally:
        sys.path.pop(0)


def run_module(name: str, arguments: Sequence[str] = (), keras: str = "auto") -> dict[str, Any]:
    """Run a module as `python -m name arguments...` would, with torchkeras as Keras.

    Args:
        name: The module, or a package with a `__main__`.
        arguments: Its command line.
        keras: The release to follow; "auto": told by the module's text.

    Raises:
        ModuleNotFoundError: no such module.
    """
    sys.path.insert(0, os.getcwd())
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{name}.__main__")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {name!r} that can be run.", name=name)
        _prepare(spec.origin, keras, arguments)
        return runpy.run_module(name, run_name="__main__", alter_sys=True)
    finally:
        sys.path.pop(0)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext torchkeras`: from here on, `import keras` and `tensorflow.keras` mean torchkeras in a notebook."""
    install_as_keras()


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext torchkeras`."""
    uninstall_as_keras()
