"""`TensorBoard`: write what happens in training for TensorBoard to show."""

from __future__ import annotations

import os
from typing import Any

from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.generations import choose


class TensorBoard(Callback):
    """Writes losses and metrics for TensorBoard: `tensorboard --logdir logs` shows them.

    Args:
        log_dir: Folder of the runs `train` and `validation`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `TensorBoard`.
    """

    def __init__(self, log_dir: str | os.PathLike[str] = "logs") -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self._one_run = choose("tensorboard.runs") == "one"
        self._writers: dict[str, Any] = {}

    def _writer(self, run: str) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if run not in self._writers:
            self._writers[run] = SummaryWriter(self.log_dir if self._one_run else os.path.join(self.log_dir, run))
        return self._writers[run]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not is_chief():
            return
        for name, value in (logs or {}).items():
            if self._one_run:
                self._writer("train").add_scalar(name, value, epoch)
            elif name.startswith("val_"):
                self._writer("validation").add_scalar(f"epoch_{name[4:]}", value, epoch)
            else:
                self._writer("train").add_scalar(f"epoch_{name}", value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
