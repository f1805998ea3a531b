"""`ModelCheckpoint`: save the model, or its weights, as training goes on."""

from __future__ import annotations

import errno
import os
import re
import warnings
from pathlib import Path
from typing import Any, ClassVar

from torchkeras.callbacks.arguments import positional
from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.callbacks.monitoring import Names, better, find, settle_mode, worst
from torchkeras.generations import choose

# What comes and goes with the disk while a program runs, and is no mistake in it.
_DISK = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EIO", "EFBIG", "ESTALE", "ETIMEDOUT") if hasattr(errno, name))


class ModelCheckpoint(Callback):
    """Saves the model or its weights every epoch, every few epochs, every few batches, or whenever a monitored value becomes better.

    A file is written whole or not at all. Under torchrun the first process alone writes. Ignite's Checkpoint is not used: it names files its
    own way, keeps a number of them and deletes the rest. It can be passed in `callbacks=[...]` itself.

    Args:
        filepath: The file, with `{epoch:02d}`, `{val_loss:.2f}` and other names of the logs filled in; at saves within an epoch also `{batch}`.
        monitor: Name in the logs; `val_acc` and `val_accuracy` find each other.
        verbose: 1 prints each save.
        save_best_only: Save only where the monitored value is better than at any save before.
        save_weights_only: `save_weights(filepath)` instead of `save(filepath)`; always so for subclassed models, as in tf.keras.
        mode: "min", "max", or "auto": by the name.
        save_freq: "epoch", or the number of batches between two saves.
        options: TensorFlow's options for its own file formats; only `None` is possible.
        period: Epochs between two saves.
        load_weights_on_restart: Load the newest file that matches `filepath` when training begins.

    Attributes:
        best: The best value saved so far.

    Raises:
        ValueError: another `save_freq`, or `options`.
        KeyError: in training, a name in `filepath` that the logs lack.
        OSError: in training, a file that cannot be written. Where the disk is full or fails, that is a warning, told once.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `ModelCheckpoint`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("best", "epochs_since_last_save", "_batches_since", "_last_batch")

    @positional("filepath", "monitor", "verbose", "save_best_only", "save_weights_only", "mode", "period")
    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        options: Any = None,
        *,
        period: int = 1,
        load_weights_on_restart: bool = False,
    ) -> None:
        super().__init__()
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"ModelCheckpoint takes save_freq='epoch' or a number of batches, at least 1, but got {save_freq!r}.")
        if options is not None:
            raise ValueError(f"ModelCheckpoint got options={options!r}, which are of TensorFlow's own file formats. Leave them out.")
        self.filepath = os.fspath(filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.period = period
        self.load_weights_on_restart = load_weights_on_restart
        self.mode = settle_mode(mode, monitor, "ModelCheckpoint", also=("fmeasure",))
        self.monitor_op = better(self.mode)
        self.best = worst(self.mode)
        self.epochs_since_last_save = 0
        self._first = choose("callbacks.first_epoch")
        self._break = choose("checkpoint.line_break")
        self._epoch = 0
        self._batches_since = 0
        self._last_batch = 0
        self._failing = False  # the last save did not work

    def set_model(self, model: Any) -> None:
        """Told before training: the model. The code of a subclassed one cannot be saved, so of it the weights are."""
        super().set_model(model)
        if not getattr(model, "is_graph_network", True) and type(model).__name__ != "Sequential":
            self.save_weights_only = True

    def listens(self, hook: str) -> bool:
        """Batches matter only where `save_freq` counts them."""
        return hook != "on_train_batch_end" or self.save_freq != "epoch"

    def on_train_begin(self, logs: Any = None) -> None:
        if self.load_weights_on_restart:
            found = newest(self.filepath)
            if found is not None:
                self.model.load_weights(str(found))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches_since += batch + 1 if batch <= self._last_batch else batch - self._last_batch
        self._last_batch = batch
        if self._batches_since >= int(self.save_freq):
            self._batches_since = 0
            self._save(self._epoch, logs, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs_since_last_save += 1
        if self.save_freq == "epoch" and self.epochs_since_last_save >= self.period:
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Any, **more: Any) -> None:
        self.epochs_since_last_save = 0
        path = self._path(epoch, logs, **more)
        title = f"{self._break}Epoch {epoch + self._first:05d}:"
        if not self.save_best_only:
            self._say(f"{title} saving model to {path}")
            self._write(path)
            return
        current = find(logs, self.monitor)
        if current is None:
            available = ", ".join(logs or ()) or "none"
            warnings.warn(
                f"Can save best model only with {self.monitor} available, skipping. Available metrics are: {available}.", RuntimeWarning, stacklevel=3
            )
        elif self.monitor_op(current, self.best):
            self._say(f"{title} {self.monitor} improved from {self.best:0.5f} to {current:0.5f}, saving model to {path}")
            if self._write(path):  # a save that failed is tried again at the next value that is better than the one in the file
                self.best = current
        else:
            self._say(f"{title} {self.monitor} did not improve" + (f" from {self.best:0.5f}" if self._break else ""))

    def _say(self, text: str) -> None:
        if self.verbose > 0 and is_chief():
            print(text)

    def _path(self, epoch: int, logs: Any, **more: Any) -> str:
        names = Names(logs, epoch=epoch + self._first, **more)
        try:
            return self.filepath.format_map(names)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint cannot fill in its filepath {self.filepath!r}: the logs have no {error}. They have {', '.join(names)}."
            ) from None

    def _write(self, path: str) -> bool:
        """Save to a file; whether that worked. A disk that is full or fails does not end the training: the older file stays."""
        if not is_chief() and not getattr(self.model, "weights_are_sharded", False):
            return True  # of a sharded model all gather, and the first writes
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint needs the name of a file, but filepath {path!r} is a directory. Give a file name in it.")
        try:
            (self.model.save_weights if self.save_weights_only else self.model.save)(path, overwrite=True)
        except OSError as error:
            if error.errno not in _DISK:
                raise
            if not self._failing:
                warnings.warn(
                    f"ModelCheckpoint could not save to {path!r}: {error}. Training goes on; the last file that was saved stays.", stacklevel=4
                )
            self._failing = True
            return False
        self._failing = False
        return True


def newest(template: str) -> Path | None:
    """The file written last among those that a template can name; of equally old ones, the last by name.

    Args:
        template: A path whose last part may have `{...}` in it.
    """
    folder, name = os.path.split(template)
    parts = re.split(r"\{[^{}]*\}", name)
    pattern = re.compile(".*".join(re.escape(part) for part in parts))
    try:
        found = [entry for entry in Path(folder or ".").iterdir() if pattern.fullmatch(entry.name)]
    except OSError:
        return None
    return max(found, key=lambda path: (path.stat().st_mtime, str(path)), default=None)
