"""What `build` does beside making weights where it is called by hand, as in the `build` of a layer that holds others."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def built_by_hand(build: Callable[..., None]) -> Callable[..., None]:
    """Decorator for `build`: called by hand, not by the layer's first call, it leaves the layer built, so that the call does not build it again.

    Where a user's class overrides it, the layer counts as built once that has come here by `super().build(...)`, as in Keras.
    """

    @functools.wraps(build)
    def enter(self: Any, *args: Any, **kwargs: Any) -> None:
        if self._builds:
            build(self, *args, **kwargs)
            return
        self._builds = True
        try:
            build(self, *args, **kwargs)
        finally:
            self._builds = False
        if type(self).build is enter:
            self._now_built()
        else:  # the override may make more weights yet: initial values have to wait
            self.built = True

    return enter
