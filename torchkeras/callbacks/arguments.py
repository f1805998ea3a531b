"""Arguments of callbacks whose positional order differs between releases of Keras."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from torchkeras.generations import choose

Init = TypeVar("Init", bound=Callable[..., None])


def positional(*keras2: str, keras1: Sequence[str] | None = None) -> Callable[[Init], Init]:
    """Decorator of `__init__`: the positional order of the chosen release.

    Args:
        *keras2: The order in Keras 2; the decorated signature has that of tf.keras.
        keras1: That in Keras 1; `None`: as in Keras 2.
    """

    def decorate(init: Init) -> Init:
        @functools.wraps(init)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
            release = choose("callbacks.positional") if args else "tf.keras"
            if release != "tf.keras":
                who = type(self).__name__
                order = keras2 if keras1 is None or release == "keras2" else tuple(keras1)
                if len(args) > len(order):
                    raise TypeError(f"{who} takes at most {len(order)} positional arguments {order}, but got {len(args)}.")
                named = dict(zip(order, args, strict=False))
                twice = sorted(set(named) & set(kwargs))
                if twice:
                    raise TypeError(f"{who} got the arguments {twice} both by position and by name.")
                args, kwargs = (), {**named, **kwargs}
            init(self, *args, **kwargs)

        return cast(Init, wrapper)

    return decorate
