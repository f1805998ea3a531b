"""Automatic names in state dicts: `dense_3.weight` of one model is `dense.weight` of another that was made by the same code."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from torch import nn

from torchkeras.layers.naming import snake_case


def fit_names(state: MutableMapping[str, Any], prefix: str, modules: Mapping[str, nn.Module | None]) -> None:
    """Rename, in place, the entries of a state dict whose layers got other numbers in their automatic names than a model's own.

    Names with the same words before the number belong together in their order, if there are equally many of them; names that a
    user gave stay as they are.

    Args:
        state: The state dict that is being loaded.
        prefix: What the keys of the model's entries begin with.
        modules: The model's children by name.
    """
    there = list(dict.fromkeys(key[len(prefix) :].partition(".")[0] for key in state if key.startswith(prefix) and "." in key[len(prefix) :]))
    if all(name in modules for name in there):
        return
    wanted: dict[str, list[str]] = {}
    for name, module in modules.items():
        words = _words(name)
        if module is not None and words in _automatic(module) and _has_state(module):
            wanted.setdefault(words, []).append(name)
    given: dict[str, list[str]] = {}
    for name in there:
        given.setdefault(_words(name), []).append(name)
    new_names = {
        old: new for words, olds in given.items() if len(olds) == len(wanted.get(words, ())) for old, new in zip(olds, wanted[words], strict=True)
    }
    moved = {}
    for key in [key for key in state if key.startswith(prefix)]:
        name, dot, rest = key[len(prefix) :].partition(".")
        if dot and new_names.get(name, name) != name:
            moved[f"{prefix}{new_names[name]}.{rest}"] = state.pop(key)
    state.update(moved)


def _has_state(module: nn.Module) -> bool:
    """Whether a module has entries in state dicts, or may get some once it is built."""
    return not getattr(module, "built", True) or any(True for _ in module.parameters()) or any(True for _ in module.buffers())


def _words(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _automatic(module: nn.Module) -> set[str]:
    """What automatic names of a module begin with."""
    words = {snake_case(type(module).__name__)}
    if getattr(module, "is_graph_network", False):
        words |= {"model", "functional"}
    if hasattr(module, "function"):  # a torch operation has the name of its function
        words.add(_words(module.name))  # type: ignore[arg-type]
    return words
