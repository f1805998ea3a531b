"""`CallbackList`: callbacks as one, for loops of one's own."""

from __future__ import annotations

import statistics
import time
import warnings
from collections import deque
from typing import Any

from torchkeras.callbacks.attaching import attach
from torchkeras.callbacks.history import History
from torchkeras.callbacks.progbar_logger import ProgbarLogger
from torchkeras.training import hooks

_SLOW = 0.1  # seconds that a hook may always take


class CallbackList(hooks.CallbackList):
    """Callbacks as one: `callbacks.on_epoch_end(epoch, logs)` runs that hook of each. Hooks that nobody wrote cost nothing.

    Args:
        callbacks: A list, which may have lists in it.
        add_history: Add a `History` where there is none.
        add_progbar: Add a `ProgbarLogger` where there is none.
        model: The model they see as `self.model`.
        queue_length: Over how many batches the median time of a hook is taken, to warn when it is slow beside the batch itself.
        **params: What they see as `self.params`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `CallbackList`.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        *,
        queue_length: int = 10,
        **params: Any,
    ) -> None:
        given = list(hooks.each_callback(callbacks))
        if add_progbar and not any(isinstance(callback, ProgbarLogger) for callback in given):
            given.append(ProgbarLogger("steps"))
        if add_history and not any(isinstance(callback, History) for callback in given):
            given.append(History())
        self.queue_length = queue_length
        self._times: dict[str, deque[float]] = {}
        self._batch_started: float | None = None
        super().__init__(given, model, params or None)

    def set_model(self, model: Any) -> None:
        """Tell all callbacks the model, and the model its history."""
        super().set_model(model)
        history = next((callback for callback in self.callbacks if isinstance(callback, History)), None)
        if history is not None:
            model.history = history

    def attach(
        self, engine: Any, model: Any = None, *, optimizer: Any = None, evaluator: Any = None, params: dict[str, Any] | None = None
    ) -> list[Any]:
        """Run the hooks at the events of a plain Ignite engine, all with the same logs; the arguments are those of `Callback.attach`."""
        return attach(self, engine, model, optimizer=optimizer, evaluator=evaluator, params=params)

    def call(self, hook: str, *args: Any) -> None:
        """Run a hook of all callbacks; `logs` may be left out."""
        newer = hooks.NEWER.get(hook, hook)
        wanted = 2 if "batch" in hook or "epoch" in hook else 1
        args = (*args, {}) if len(args) < wanted else tuple({} if arg is None else arg for arg in args)
        if "batch" not in hook:
            super().call(hook, *args)
            return
        started = time.perf_counter()
        batch_time = started - self._batch_started if newer.endswith("_end") and self._batch_started is not None else None
        super().call(hook, *args)
        now = time.perf_counter()
        self._times.setdefault(newer, deque(maxlen=self.queue_length)).append(now - started)
        if newer.endswith("_begin"):
            self._batch_started = now
        elif batch_time is not None:
            self._warn_if_slow(newer, batch_time)

    def _warn_if_slow(self, end: str, batch_time: float) -> None:
        """Warn once of a hook whose median time is both long and as long as the batch itself."""
        for name in (end, end.removesuffix("_end") + "_begin"):
            times = self._times.get(name)
            usual = statistics.median(times) if times else 0.0
            if usual > _SLOW and usual > 0.95 * batch_time:
                warnings.warn(f"Method {name}() is slow compared to the batch update ({usual:.3f} s). Check your callbacks.", stacklevel=4)
                times.clear()  # type: ignore[union-attr]
