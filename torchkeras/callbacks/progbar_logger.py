"""`ProgbarLogger`: the progress bar of fit, evaluate and predict."""

from __future__ import annotations

from typing import Any

from torchkeras.callbacks.base import Callback
from torchkeras.utils.generic_utils import Progbar


class ProgbarLogger(Callback):
    """Prints a bar that moves with the batches; values are fetched only when it is redrawn.

    Args:
        count_mode: "steps" or "samples": what the bar counts.
        stateful_metrics: Names whose values are shown as they come.
        verbose: 1 the bar, 2 one line an epoch.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `ProgbarLogger`.
    """

    def __init__(self, count_mode: str = "steps", stateful_metrics: Any = None, *, verbose: int = 1) -> None:
        super().__init__()
        if count_mode not in ("steps", "samples"):
            raise ValueError(f"ProgbarLogger counts 'steps' or 'samples', but got count_mode={count_mode!r}.")
        self.use_steps = count_mode == "steps"
        self.stateful_metrics = set(stateful_metrics or ())
        self.verbose = verbose
        self.progbar: Progbar | None = None
        self._seen = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        print(f"Epoch {epoch + 1}/{self.params['epochs']}")
        self._start()

    def _start(self) -> None:
        target = self.params["steps"] if self.use_steps else self.params["samples"]
        self.progbar = Progbar(target, verbose=self.verbose, stateful_metrics=self.stateful_metrics, unit_name="step" if self.use_steps else "sample")
        self._seen = 0

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        assert self.progbar is not None
        self._seen += 1 if self.use_steps else min(self.params["batch_size"], self.params["samples"] - self._seen)
        running = getattr(logs, "running", None) or (lambda: logs or {})
        self.progbar.update(self._seen, lambda: list(running().items()), finalize=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        assert self.progbar is not None
        order = {name: number for number, name in enumerate(self.params.get("metrics", ()))}
        values = sorted((logs or {}).items(), key=lambda item: order.get(item[0], len(order)))
        self.progbar.update(self._seen, lambda: values, finalize=True)
