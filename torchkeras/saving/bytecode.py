"""Functions out of the bytecode that a Lambda's config holds: only ever reached with `safe_mode=False`."""

from __future__ import annotations

import base64
import binascii
import marshal
import types
from collections.abc import Mapping
from typing import Any

from torchkeras.saving.errors import ConfigError


def function_from_code(code: Any, scope: Mapping[str, Any], where: str) -> Any:
    """The function whose bytecode a config holds. It can do anything when it is called, and bytecode of another Python can crash.

    Args:
        code: `[text, defaults, closure]` of Keras 1 and 2, or Keras 3's dict with `code`, `defaults`, `closure`.
        scope: The function's global names.
        where: The place in the config, for messages.

    Raises:
        ConfigError: the bytecode is of another Python release, or no function.
    """
    if isinstance(code, Mapping):
        text, defaults, closure = code.get("code"), code.get("defaults"), code.get("closure")
    elif isinstance(code, (list, tuple)) and len(code) == 3:
        text, defaults, closure = code
    else:
        text, defaults, closure = code, None, None
    if not isinstance(text, str):
        raise ConfigError(f"The config is wrong at {where}: a function's bytecode should be a text, but is {type(text).__name__}.")
    try:
        inner = marshal.loads(_bytes_of(text))
    except (EOFError, ValueError, TypeError, MemoryError) as error:
        raise _other_python(where, str(error)) from None
    if not isinstance(inner, types.CodeType):
        raise ConfigError(f"The config is wrong at {where}: the bytecode holds {type(inner).__name__}, not a function.")
    cells = tuple(types.CellType(value) for value in closure) if closure else None
    if len(cells or ()) != len(inner.co_freevars):
        raise _other_python(where, f"it needs {len(inner.co_freevars)} variables of the program around it")
    # JSON turned the tuple of defaults into a list, and inner tuples too
    given = tuple(tuple(item) if isinstance(item, list) else item for item in defaults) if defaults else None
    return types.FunctionType(inner, {"__builtins__": __builtins__, **scope}, inner.co_name, given, cells)


def _bytes_of(text: str) -> bytes:
    """Keras 2 writes base64 with line breaks, Keras 1 the bytes themselves as text."""
    try:
        return base64.b64decode(text.replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return text.encode("raw_unicode_escape")


def _other_python(where: str, reason: str) -> ConfigError:
    return ConfigError(
        f"The function at {where} cannot be made from its bytecode ({reason}): it was probably written by another Python release. "
        "Write the function in your program and pass it: custom_objects={'name of the layer': function}."
    )
