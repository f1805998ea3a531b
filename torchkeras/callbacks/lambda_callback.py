"""`LambdaCallback`: a callback out of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.callbacks.base import Callback

Hook = Callable[..., Any]


class LambdaCallback(Callback):
    """A callback made of functions, one for each hook that is wanted; the others cost nothing.

    Args:
        on_epoch_begin, on_epoch_end: Called with (epoch, logs).
        on_batch_begin, on_batch_end: Called with (batch, logs).
        on_train_begin, on_train_end: Called with (logs).
        **kwargs: Further hooks, such as `on_test_end`, and any other attributes.

    Raises:
        TypeError: a hook that cannot be called.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `LambdaCallback`.
    """

    def __init__(
        self,
        on_epoch_begin: Hook | None = None,
        on_epoch_end: Hook | None = None,
        on_batch_begin: Hook | None = None,
        on_batch_end: Hook | None = None,
        on_train_begin: Hook | None = None,
        on_train_end: Hook | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_batch_begin": on_batch_begin,
            "on_batch_end": on_batch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
        }
        for name, value in {**hooks, **kwargs}.items():
            if name.startswith("on_") and value is not None and not callable(value):
                raise TypeError(f"LambdaCallback takes functions, but {name} is {value!r}.")
            if value is not None or name in kwargs:
                setattr(self, name, value)
