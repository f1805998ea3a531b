"""Model files that attack whoever loads them: a sound model whose file was changed in one place, and a watch over what reading it does."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import marshal
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from torchkeras import Sequential, layers

OWNED = "torchkeras_attack_came_through"
ARCHIVE_WEIGHTS = "model.weights.h5"


def model(compiled: bool = True) -> Sequential:
    """A small sound model, trained a little, so that its optimizer has a state."""
    made = Sequential([layers.Dense(3, activation="relu", input_shape=(4,), name="first"), layers.Dense(2, name="second")], name="sound")
    if compiled:
        made.compile("adam", "mse")
        made.fit(np.ones((4, 4), np.float32), np.ones((4, 2), np.float32), verbose=0)
    return made


def code(function: Any = None) -> str:
    """The bytecode of a function, as Keras writes it; by default of one that would run a command."""
    evil = function or (lambda x: (__import__("os").environ.__setitem__("torchkeras_attack_came_through", "yes"), x)[1])
    return base64.encodebytes(marshal.dumps(evil.__code__)).decode()


def lambda_layer(name: str = "evil", keras3: bool = False) -> dict[str, Any]:
    """A layer that brings its code."""
    if keras3:
        function = {"class_name": "__lambda__", "config": {"code": code(), "defaults": None, "closure": None}}
        config = {"name": name, "function": function, "arguments": {}}
        return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}
    config = {"name": name, "function": [code(), None, None], "function_type": "lambda", "output_shape": None, "output_shape_type": "raw"}
    return {"class_name": "Lambda", "config": {**config, "arguments": {}, "trainable": True}}


def hdf5(path: Path, change: Callable[[h5py.File], None]) -> Path:
    """A sound `.h5` file, changed."""
    model().save(path)
    with h5py.File(path, "a") as file:
        change(file)
    return path


def hdf5_config(path: Path, change: Callable[[dict[str, Any]], None], attribute: str = "model_config") -> Path:
    """A sound `.h5` file with another architecture."""

    def write(file: h5py.File) -> None:
        config = json.loads(file.attrs[attribute])
        change(config)
        file.attrs[attribute] = json.dumps(config).encode()

    return hdf5(path, write)


def archive(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A sound `.keras` file with other members."""
    model().save(path)
    with zipfile.ZipFile(path) as read:
        members = {name: read.read(name) for name in read.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as written:
        for name, data in members.items():
            written.writestr(name, data)
    return path


def archive_config(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A sound `.keras` file with another architecture."""

    def write(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()

    return archive(path, write)


def archive_weights(path: Path, change: Callable[[h5py.File], None]) -> Path:
    """A sound `.keras` file with other weights."""

    def write(members: dict[str, bytes]) -> None:
        data = io.BytesIO(members[ARCHIVE_WEIGHTS])
        with h5py.File(data, "a") as file:
            change(file)
        members[ARCHIVE_WEIGHTS] = data.getvalue()

    return archive(path, write)


def layer_list(config: dict[str, Any]) -> list[Any]:
    """The layers in the config of a `Sequential`."""
    return config["config"]["layers"]


_EVENTS = ("open", "import", "exec", "marshal.loads", "os.system", "subprocess.Popen", "os.posix_spawn", "socket.connect", "pickle.find_class")
_watching: list[list[tuple[str, str]]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _EVENTS:
        what = str(arguments[0]) if arguments else ""
        if not (event == "import" and what.partition(".")[0] in sys.modules) and not (event == "open" and what.endswith((".py", ".pyc", ".so"))):
            _watching[-1].append((event, what))


sys.addaudithook(_hook)


@contextlib.contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """What Python opens, imports, runs and connects to inside the `with` block: (event, its first argument)."""
    events: list[tuple[str, str]] = []
    _watching.append(events)
    try:
        yield events
    finally:
        _watching.pop()


def harmless(events: list[tuple[str, str]], *files: Path) -> None:
    """Nothing but these files was opened, and nothing was imported, run, unpickled or connected to."""
    allowed = {str(file) for file in files}
    told = [(event, what) for event, what in events if not (event == "open" and what in allowed)]
    assert told == []
