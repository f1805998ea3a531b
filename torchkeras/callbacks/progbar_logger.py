"""`ProgbarLogger`: the progress bar of fit, evaluate and predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torchkeras.callbacks.bars import make_bar
from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.generations import choose


class ProgbarLogger(Callback):
    """Prints a bar that moves with the batches; values are read only when it is redrawn, at most some twenty times a second.

    Under torchrun the first process alone prints. `fit`, `evaluate` and `predict` bring one by themselves; one in `callbacks` takes its place.

    Args:
        count_mode: "samples" or "steps": what the bar counts.
        stateful_metrics: Names whose values are shown as they come. All values that training hands on are means over the epoch already.
        bar: "keras", "tqdm" or "rich"; `None`: the environment variable TORCHKERAS_PROGRESS says, else tqdm in a notebook that has it, else Keras'.

    Raises:
        ValueError: another `count_mode` or `bar`.
        ImportError: in training, a `bar` whose package is not installed.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `ProgbarLogger`.
    """

    def __init__(self, count_mode: str = "samples", stateful_metrics: Iterable[str] | None = None, *, bar: str | None = None) -> None:
        super().__init__()
        if count_mode not in ("steps", "samples"):
            raise ValueError(f"Unknown count_mode of ProgbarLogger: it counts 'steps' or 'samples', but got {count_mode!r}.")
        if bar not in (None, "keras", "tqdm", "rich"):
            raise ValueError(f"ProgbarLogger draws bar='keras', 'tqdm' or 'rich', but got {bar!r}.")
        self.use_steps = count_mode == "steps"
        self.stateful_metrics = set(stateful_metrics or ())
        self.bar = bar
        self.progbar: Any = None
        self.seen = 0
        self.target: int | None = None
        self.verbose: Any = 1
        self.epochs = 1
        self._in_fit = False
        self._running: Callable[[], dict[str, Any]] | None = None  # what training itself has to show; callbacks may add more to logs
        self._titles_one_epoch = choose("progbar.epoch_of_one")
        self._shows_test_values = choose("progbar.test_values")
        self._says_train_on = choose("progbar.train_on")

    def set_params(self, params: dict[str, Any]) -> None:
        """Told before a run: how much there is to do, and whether to print."""
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 0 if not is_chief() else 1 if verbose == "auto" else verbose
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps" if self.use_steps else "samples")

    def listens(self, hook: str) -> bool:
        """Batches are watched only where a bar moves with them; without one, `fit` itself counts them."""
        return "batch" not in hook or (bool(self.verbose) and not (self._in_fit and hook == "on_test_batch_end"))

    # -- fit

    def on_train_begin(self, logs: Any = None) -> None:
        self._in_fit = True
        validation = self.params.get("validation_samples")
        if self.verbose and self._says_train_on and validation is not None and self.params.get("samples") is not None:
            print(f"Train on {self.params['samples']} samples, validate on {validation} samples")

    def on_train_end(self, logs: Any = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.verbose and (self.epochs > 1 or self._titles_one_epoch):
            print(f"Epoch {epoch + 1}/{self.epochs}")
        self._start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.seen and batch:  # the epoch began in another process
            self.seen = batch if self.use_steps else batch * (self.params.get("batch_size") or 1)
        self._running = getattr(logs, "running", None) or (lambda: logs or {})
        self._move(self._running)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._finish(logs or {})

    # -- evaluate and predict

    def on_test_begin(self, logs: Any = None) -> None:
        if not self._in_fit:
            self._start()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._in_fit:
            self._move((getattr(logs, "running", None) or (lambda: logs or {})) if self._shows_test_values else None)

    def on_test_end(self, logs: Any = None) -> None:
        if not self._in_fit:
            self._finish((logs or {}) if self._shows_test_values else {})

    def on_predict_begin(self, logs: Any = None) -> None:
        self._start()

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._move(None)

    def on_predict_end(self, logs: Any = None) -> None:
        self._finish({})

    # -- the bar

    def _start(self) -> None:
        self.seen = 0
        self.progbar = self._running = None
        lines_only_in_fit = not self._shows_test_values and not self._in_fit
        if self.verbose == 1 or (self.verbose == 2 and not lines_only_in_fit):
            unit = "step" if self.use_steps or not self._shows_test_values else "sample"
            self.progbar = make_bar(self.bar, target=self.target, verbose=int(self.verbose), stateful_metrics=self.stateful_metrics, unit_name=unit)

    def _move(self, values: Callable[[], dict[str, Any]] | None) -> None:
        self.seen += 1 if self.use_steps else self._size()
        if self.progbar is not None:
            self.progbar.update(self.seen, None if values is None else lambda: list(values().items()), finalize=False)

    def _size(self) -> int:
        """Samples in the batch that has just ended."""
        size = self.params.get("batch_size") or 1
        return size if self.target is None else min(size, self.target - self.seen)

    def _finish(self, logs: dict[str, Any]) -> None:
        if self.progbar is None:
            return
        if self.target is None:
            self.target = self.progbar.target = self.seen
        self.progbar.update(self.seen, lambda: self._shown(logs), finalize=True)
        self.progbar = None

    def _shown(self, logs: dict[str, Any]) -> list[tuple[str, Any]]:
        """The values that training has, in its order; not what callbacks have added, such as `lr`."""
        if self._running is None:
            return list(logs.items())
        names = list(self._running())
        return [(name, logs[name]) for name in (*names, *(f"val_{name}" for name in names)) if name in logs]

    def close(self) -> None:
        """Leave the line of a bar that was cut short."""
        if self.progbar is not None:
            getattr(self.progbar, "close", bool)()
            self.progbar = None
        self._in_fit = False
