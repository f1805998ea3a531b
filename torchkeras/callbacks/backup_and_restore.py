"""`BackupAndRestore`: a run that was killed goes on where it was."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from pathlib import Path
from typing import Any, ClassVar

from torchkeras.callbacks.base import Callback
from torchkeras.training.resuming.files import DamagedState, read_state, write_state
from torchkeras.utils.atomic import remove_leftovers

_NAME = re.compile(r"state-(\d{6,})\.pt")


class BackupAndRestore(Callback):
    """Keeps backups of a run in `fit`; a run that was killed, and is started again by the same command, goes on from the newest one.

    It then ends with the same weights, bit for bit on the same machine, and the same `History` as a run that nobody killed. A backup has the weights,
    the optimizer, schedules, running values, the states of callbacks and random generators, and the place in the data; `docs/resume.md` says
    what data must be like. The program has to seed what it draws from before `fit` only where that cannot be seen: see there.

    A backup is written whole or not at all, and its checksums are compared when it is read: a damaged one is passed over for the one
    before, with a warning. A disk that is full is one warning, and training goes on. When `fit` has ended well the backups are
    removed, as in Keras, so that the next run begins anew; after Ctrl-C or an error they stay. Under torchrun the first
    process writes for all.

    Args:
        backup_dir: Folder of the backups, made where it is missing; for this `fit` of this program alone.
        save_freq: "epoch", or the number of batches between two backups; one that falls on the last batch of an epoch is made
            when the epoch, its validation included, has ended.
        double_checkpoint: Keep at least two backups, as `keep=2` does.
        delete_checkpoint: Whether the backups are removed when `fit` has ended well.
        keep: How many backups to keep.

    Raises:
        ValueError: another `save_freq`, or `keep` below 1.
        OSError: when training begins, a folder that cannot be made.

    Source: tf.keras 2.4.0 `experimental.BackupAndRestore`, which keeps the weights of the last epoch; Keras 3 `BackupAndRestore`.
    """

    saves_state: ClassVar[bool] = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        keep: int = 2,
    ) -> None:
        super().__init__()
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"BackupAndRestore takes save_freq='epoch' or a number of batches, at least 1, but got {save_freq!r}.")
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ValueError(f"BackupAndRestore keeps at least 1 backup, but got keep={keep!r}.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.keep = max(keep, 2) if double_checkpoint else keep
        self._damaged: set[int] = set()
        self._failed = False

    def attach(self, engine: Any, model: Any = None, **options: Any) -> list[Any]:
        """Refused: a plain engine does not tell its place in the data.

        Raises:
            TypeError: always.
        """
        raise TypeError("BackupAndRestore works in fit, which knows its place in the data. For a plain Ignite engine use ignite.handlers.Checkpoint.")

    @property
    def batches_between(self) -> int | None:
        """Batches between two backups; `None`: one after each epoch."""
        return None if self.save_freq == "epoch" else int(self.save_freq)

    def newest_backup(self) -> dict[str, Any] | None:
        """The newest backup that is whole; `None` where there is none, as before the first run."""
        self._damaged, self._failed = set(), False
        os.makedirs(self.backup_dir, exist_ok=True)
        remove_leftovers(Path(self.backup_dir), re.compile(r"\.state-\d+\.pt\.[0-9a-f]{12}\.tmp"), age=0)
        problems = []
        for number in reversed(self._numbers()):
            try:
                state = read_state(self._path(number))
            except (DamagedState, OSError) as error:
                self._damaged.add(number)
                problems.append(str(error))
                continue
            if problems:
                warnings.warn(
                    f"BackupAndRestore goes on from an older backup, {self._path(number)}: {' '.join(problems)}", RuntimeWarning, stacklevel=4
                )
            return state
        if problems:
            warnings.warn(f"BackupAndRestore begins anew, since no backup can be read: {' '.join(problems)}", RuntimeWarning, stacklevel=4)
        return None

    def keep_backup(self, state: dict[str, Any]) -> None:
        """Write a backup, and remove those that are too many then."""
        numbers = self._numbers()
        new = max(numbers, default=0) + 1
        try:
            write_state(self._path(new), state)
        except OSError as error:
            if not self._failed:
                warnings.warn(f"BackupAndRestore could not write to {self.backup_dir!r}: {error}. Training goes on.", RuntimeWarning, stacklevel=2)
            self._failed = True
            return
        good = [number for number in numbers if number not in self._damaged]
        for number in [*self._damaged, *good[: max(len(good) + 1 - self.keep, 0)]]:
            self._remove(number)
        self._damaged.clear()

    def run_ended(self) -> None:
        """`fit` has ended well: nothing is to be gone on with."""
        if self.delete_checkpoint:
            for number in self._numbers():
                self._remove(number)

    def _path(self, number: int) -> str:
        return os.path.join(self.backup_dir, f"state-{number:06d}.pt")

    def _numbers(self) -> list[int]:
        """The numbers of the backups that are there, in their order."""
        with os.scandir(self.backup_dir) as entries:
            found = [_NAME.fullmatch(entry.name) for entry in entries]
        return sorted(int(match[1]) for match in found if match is not None)

    def _remove(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path(number))
