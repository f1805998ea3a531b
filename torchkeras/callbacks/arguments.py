"""Arguments of callbacks whose positional order differs between releases of Keras."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from torchkeras.generations import choose

Init = TypeVar("Init", bound=Callable[..., None])


def positional(*keras2: str) -> Callable[[Init], Init]:
    """Decorator of `__init__`: the positional order of the chosen release.

    Args:
        *keras2: The order in Keras 1 and 2; the decorated signature has that of tf.keras.
    """

    def decorate(init: Init) -> Init:
        @functools.wraps(init)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
            if args and choose("callbacks.positional") == "keras2":
                who = type(self).__name__
                if len(args) > len(keras2):
                    raise TypeError(f"{who} takes at most {len(keras2)} positional arguments {keras2}, but got {len(args)}.")
                named = dict(zip(keras2, args, strict=False))
                twice = sorted(set(named) & set(kwargs))
                if twice:
                    raise TypeError(f"{who} got the arguments {twice} both by position and by name.")
                args, kwargs = (), {**named, **kwargs}
            init(self, *args, **kwargs)

        return cast(Init, wrapper)

    return decorate
