"""What the processes of `test_processes` run: one program, killed in its first life where FOLDER has a file `kill`.

Usage: together.py FOLDER KIND SAVE_FREQ: trains, and the first process writes what came out to FOLDER/result.pt.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.training.resuming.killing import run
from tests.training.resuming.programs import Batches, Noisy, dense, numbers
from tests.training.threads import tell_at_exit
from torchkeras.callbacks import BackupAndRestore, Callback, CSVLogger, EarlyStopping
from torchkeras.callbacks.base import is_chief

RANK = int(os.environ.get("RANK", 0))


class Die(Callback):
    """The second process is killed at a batch of the first life."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.left = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0 and RANK == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)


def program(kind: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Arrays with accumulation, weights in shards, a loader whose samples are shared out, or a Sequence that the first process reads."""
    if kind == "arrays":
        x, y = numbers()
        model = dense("adam", gradient_accumulation_steps=3)
        log = CSVLogger(folder / "log.csv")
        return model, {"x": x, "y": y, "batch_size": 4, "epochs": 3, "validation_data": numbers(7, seed=1), "callbacks": [log, EarlyStopping("loss")]}
    if kind == "sampled":
        data = Noisy()
        sampler: Any = torch.utils.data.DistributedSampler(data, 2, RANK)
        return dense(), {"x": torch.utils.data.DataLoader(data, 2, sampler=sampler), "epochs": 3}
    if kind == "shards":
        x, y = numbers()
        data = {"x": x, "y": y, "batch_size": 4, "epochs": 3, "validation_data": numbers(7, seed=1)}
        return dense("adam", distribute="fsdp"), {**data, "callbacks": [EarlyStopping("loss", restore_best_weights=True)]}
    return dense(), {"x": Batches(), "epochs": 3, "workers": 1}


def main(folder: Path, kind: str, save_freq: str) -> None:
    """Run it."""
    tell_at_exit(folder / f"threads-{RANK}")
    killed = [Die(int((folder / "kill").read_text()))] if (folder / "kill").exists() else []
    backup = BackupAndRestore(folder / "backup", save_freq if save_freq == "epoch" else int(save_freq))
    found = run(lambda place: program(kind, place), folder, [backup, *killed])
    everybody: list[Any] = [None, None]
    torch.distributed.all_gather_object(everybody, [np.asarray(found["generators"][1]["state"]["key"]), found["generators"][2]])
    if is_chief():
        found["generators"] = [
            torch.as_tensor(state.astype("int64") if isinstance(state, np.ndarray) else state) for own in everybody for state in own
        ]
        torch.save(found, folder / "result.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
