"""Automatic names of layers and models: `dense`, `dense_1`, ... as the chosen Keras release counts."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from torchkeras import generations
from torchkeras.layers.legacy_table import FORMER_CLASSES

_counts: dict[str, int] = defaultdict(int)


def snake_case(class_name: str) -> str:
    """Prefix of automatic names for a class: "MaxPooling2D" -> "max_pooling2d", in Keras 1 "maxpooling2d"."""
    if generations.choose("name.words") == "run together":
        return FORMER_CLASSES.get(class_name, class_name).lower()
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return "private" + name if name.startswith("_") else name


def get_uid(prefix: str = "") -> int:
    """Next number for a prefix, from 1."""
    _counts[prefix] += 1
    return _counts[prefix]


def reset_uids() -> None:
    """Start all automatic names anew."""
    _counts.clear()


def unique_name(prefix: str, *, first_index: int | None = None) -> str:
    """Next free automatic name.

    Args:
        prefix: Such as "dense".
        first_index: 0 leaves the first name without a number, 1 numbers it; `None`: as the release does.
    """
    start = generations.choose("name.first_index") if first_index is None else first_index
    number = get_uid(prefix) - 1 + start
    return prefix if number == 0 else f"{prefix}_{number}"


# What models assign to themselves, which nn.Module refuses where a child has the name.
_ASSIGNED = frozenset({"built", "history", "name", "optimizer", "run_eagerly", "stop_training", "trainable", "training"})


def module_key(name: str) -> str:
    """A Keras name as a key of `nn.Module` children, which may hold no dot, not be empty, and be none of a model's own attributes."""
    return f"{name}_" if name in _ASSIGNED else name.replace(".", "_") or "_"


def name_of(module: Any) -> str:
    """The name of a layer, or the one that a raw module got: `linear`, `linear_1`, ..."""
    found = module.__dict__.get("name") or module.__dict__.get("_torchkeras_name")
    if found is None:
        found = module.__dict__["_torchkeras_name"] = unique_name(snake_case(type(module).__name__))
    return found
