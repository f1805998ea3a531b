"""Scopes of names, and settings in Keras 1's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torchkeras import config
from torchkeras.backend.settings import IMAGE_DIM_ORDERINGS

_scopes: list[str] = []


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Variables made inside a `with` block have `name/` before their names.

    Args:
        name: First part of the names.
    """
    _scopes.append(name)
    try:
        yield "/".join(_scopes) + "/"
    finally:
        _scopes.pop()


def scoped_name(name: str) -> str:
    """A name with those of the open scopes before it."""
    return "/".join([*_scopes, name])


def legacy_weight_ordering() -> bool:
    """Whether weights are ordered as before Keras 1.0.4; never here."""
    return False


def set_legacy_weight_ordering(value: bool) -> None:
    """Refuse the order of weights that releases before Keras 1.0.4 had.

    Raises:
        ValueError: `value` is true.
    """
    if value:
        raise ValueError("set_legacy_weight_ordering(True) is not supported: the order of weights is that of Keras 1.2.2 and later.")


def image_dim_ordering() -> str:
    """Where images have their channels, in Keras 1's words: "tf" (last) or "th" (first)."""
    return "tf" if config.image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Set where images have their channels, in Keras 1's words.

    Raises:
        ValueError: neither "tf" nor "th".
    """
    if dim_ordering not in IMAGE_DIM_ORDERINGS:
        raise ValueError(f"set_image_dim_ordering takes 'tf' (channels last) or 'th' (channels first), but got {dim_ordering!r}.")
    config.set_image_data_format(IMAGE_DIM_ORDERINGS[dim_ordering])
