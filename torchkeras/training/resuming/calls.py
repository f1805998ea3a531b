"""`save_state` and `restore_state`: a training as it is now, to a file and back."""

from __future__ import annotations

from typing import Any

from torchkeras.training.compiling import Compiling
from torchkeras.training.distributed import start, wait_for_all
from torchkeras.training.fully_sharded import shard_weights
from torchkeras.training.resuming import weights
from torchkeras.training.resuming.files import read_state, write_state
from torchkeras.training.resuming.generators import global_states, stream_states
from torchkeras.training.resuming.plain import to_plain
from torchkeras.training.resuming.run import gathered, part_of, set_generators
from torchkeras.training.trainable import Trainable


class StateCalls(Compiling):
    """Saving a training so that it can be gone on with exactly."""

    _state_to_go_on: dict[str, Any] | None = None

    def save_state(self, filepath: Any) -> None:
        """Write all that training goes on from, whole or not at all: weights, optimizer and schedules, gradients that wait, loss scale, random
        generators. Within `fit` also the epoch and batch, the place in the data, running values, `History` and the callbacks' own states.

        Within `fit`, in a hook of a callback, the file is written when all callbacks are done with the batch or epoch. The callback must say
        beforehand that it does so, by the attribute `saves_state = True`, since the place in the data has to be known. Under torchrun every process
        has to call it; the first one writes.

        Args:
            filepath: Where to. The file holds plain data: `torch.load(filepath, weights_only=True)` reads it.

        Raises:
            RuntimeError: not compiled; or within `fit` by a callback that has not said so.
            ValueError: the model is not built.
            OSError: it cannot be written.
        """
        self._need_compile("save_state")
        run = self._engines.steps.get("run")
        if run is not None:
            resuming = run.plan.resuming
            if resuming is None:
                raise RuntimeError(
                    "save_state within fit needs to know of it when training begins: set the attribute saves_state = True on the callback that "
                    "calls it, or use BackupAndRestore."
                )
            resuming.paths.append(filepath)
            return
        self._ready_for_state("save_state")
        mine: dict[str, Any] = {**weights.local_state(self), "generators": to_plain({"shared": global_states(), "streams": stream_states()})}
        if self._compiled is not None:
            mine["running"] = weights.running_state(self, self._compiled)
        ranks, shared = gathered(mine), weights.shared_state(self)
        try:
            if ranks is not None and shared is not None:
                write_state(filepath, {**shared, "ranks": ranks, "run": None})
        finally:
            wait_for_all()  # they may want to read it

    def restore_state(self, filepath: Any) -> None:
        """Go on from what `save_state` or `BackupAndRestore` wrote: now, and where it was written within `fit`, in the next `fit`, which goes on
        with the batch after the saved one. Give it the data and arguments that the saved run had.

        Running values come back where the metrics are known: within `fit`, and where the model has seen data.

        Args:
            filepath: The file.

        Raises:
            RuntimeError: not compiled, or within `fit`.
            ValueError: the model is not built, the file is damaged (`DamagedState`), or it is of another model. The model is then unchanged.
            OSError: it cannot be read.
        """
        self._need_compile("restore_state")
        if "run" in self._engines.steps:
            raise RuntimeError("restore_state cannot be called within fit: call it before.")
        self._ready_for_state("restore_state")
        state = read_state(filepath)
        mine = part_of(state)
        weights.set_shared_state(self, state)
        weights.set_local_state(self, mine)
        compiled, running = self._compiled, mine.get("running")
        if running is not None and compiled is not None and compiled.metrics is not None and weights.fits(self, compiled, running):
            weights.set_running_state(self, compiled, running)
        set_generators(mine["generators"])
        self._state_to_go_on = state if state["run"] is not None else None

    def _ready_for_state(self, who: str) -> None:
        """Join the other processes, and bind the optimizer of a built model."""
        start()
        if not self._is_built_deep():
            raise ValueError(
                f"Model '{self.name}' has no weights yet. Build it before {who}(): call it once, or give its first layer an input_shape."
            )
        self._place()
        if shard_weights(self) or self._trained is None:
            self._trained = Trainable(self)
        self._bind()
