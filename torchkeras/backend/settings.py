"""The user's Keras settings: `keras.json` and the environment variable `KERAS_BACKEND`.

Read once, when `torchkeras.backend` is first imported; nothing is written. The file lies in the folder that `KERAS_HOME`
names, or in `~/.keras`.

Source: `keras.backend.__init__` (Keras 1.2.2 and 2.2.4), `keras.backend` (tf.keras 2.4.0).
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from torchkeras import config

BACKEND: Final = "torch"
IMAGE_DIM_ORDERINGS: Final = {"tf": "channels_last", "th": "channels_first"}


def backend() -> str:
    """Name of the engine under this Keras: "torch"."""
    return BACKEND


def config_path(environment: Mapping[str, str]) -> Path:
    """Where the user's `keras.json` is, or would be."""
    folder = environment.get("KERAS_HOME")
    return (Path(folder) if folder else Path("~") / ".keras").expanduser() / "keras.json"


def _set_epsilon(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"it takes a number, but got {value!r}.")
    config.set_epsilon(value)


def _set_dim_ordering(value: Any) -> None:
    if value not in IMAGE_DIM_ORDERINGS:
        raise ValueError(f"it takes one of {sorted(IMAGE_DIM_ORDERINGS)}, but got {value!r}.")
    config.set_image_data_format(IMAGE_DIM_ORDERINGS[value])


# the later key wins where both say where the channels are
_SETTERS: Final[dict[str, Callable[[Any], None]]] = {
    "floatx": config.set_floatx,
    "epsilon": _set_epsilon,
    "image_dim_ordering": _set_dim_ordering,
    "image_data_format": config.set_image_data_format,
}


def read_file(path: Path) -> dict[str, Any]:
    """What a `keras.json` says; nothing where there is none.

    A file that cannot be read or is no JSON object gives a warning that names it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warnings.warn(
            f"The Keras settings in {path} could not be read ({error}), so the defaults are used. Mend the file or remove it.", stacklevel=2
        )
        return {}
    if not isinstance(found, dict):
        warnings.warn(f"The Keras settings in {path} are no JSON object, so the defaults are used. Mend the file or remove it.", stacklevel=2)
        return {}
    return found


def apply_settings(environment: Mapping[str, str]) -> None:
    """Take epsilon, floatx and the image data format from the user's file; note where another backend is asked for.

    A value of the wrong kind gives a warning that names file and key, and leaves the default.
    """
    path = config_path(environment)
    found = read_file(path)
    for key, setter in _SETTERS.items():
        if key in found:
            try:
                setter(found[key])
            except (ValueError, TypeError) as error:
                warnings.warn(f"The key {key!r} in {path} is not used: {error}", stacklevel=2)
    asked, where = found.get("backend"), str(path)
    if environment.get("KERAS_BACKEND"):
        asked, where = environment["KERAS_BACKEND"], "the environment variable KERAS_BACKEND"
    if asked not in (None, BACKEND):
        sys.stderr.write(f"Using PyTorch: {where} asks for the backend {asked!r}, but torchkeras has this one only.\n")


apply_settings(os.environ)
