"""What one call of `fit` needs to be saved at a batch or an epoch, and to be gone on with by another process."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from torchkeras.training.arrays import InMemory
from torchkeras.training.batches import Batches
from torchkeras.training.distributed import from_chief, processes, rank
from torchkeras.training.hooks import each_callback
from torchkeras.training.resuming import weights
from torchkeras.training.resuming.files import write_state
from torchkeras.training.resuming.generators import global_states, set_global_states, set_stream_states, stream_states
from torchkeras.training.resuming.plain import from_plain, to_plain

if TYPE_CHECKING:
    from torchkeras.training.compiling import Compiling
    from torchkeras.training.loops import FitRun


def savers_of(callbacks: Any) -> list[Any]:
    """The callbacks that want the run to be saved: those with `saves_state`.

    Raises:
        ValueError: several that keep backups.
    """
    found = [callback for callback in each_callback(callbacks) if getattr(callback, "saves_state", False) is True]
    keepers = [callback for callback in found if hasattr(callback, "keep_backup")]
    if len(keepers) > 1:
        raise ValueError(f"fit takes one BackupAndRestore, but callbacks has {len(keepers)}.")
    return found


class Resuming:
    """A run that is saved now and then, and that may have begun in another process.

    Args:
        model: The model.
        savers: Callbacks that want the run to be saved. One with `keep_backup(state)` is asked for the newest backup by `newest_backup()`,
            is given one after every so many `batches_between` (`None`: after each epoch), and told by `run_ended()` that none is needed any more.
        state: A state to begin with, which `restore_state` has read.
    """

    def __init__(self, model: Compiling, savers: list[Any], state: dict[str, Any] | None) -> None:
        self.model = model
        self.keeper = next((saver for saver in savers if hasattr(saver, "keep_backup")), None)
        self.plans = all(saver is self.keeper for saver in savers)  # whether it is known when the next save comes
        backup = None if self.keeper is None else self._newest(self.keeper)
        self.state = state if backup is None else backup
        self.feeds: dict[str, Batches] = {}
        self.paths: list[Any] = []  # where `save_state` wants this moment, once all callbacks are done with it
        self.since = 0  # batches since the last backup
        if self.state is not None:
            part_of(self.state)

    @classmethod
    def of(cls, model: Compiling, callbacks: Any) -> Resuming | None:
        """What saves a run with these callbacks; `None` where nothing does, and nothing is to be gone on with."""
        savers = savers_of(callbacks)
        state, model._state_to_go_on = model._state_to_go_on, None
        if not savers and state is None:
            return None
        return cls(model, savers, state)

    @staticmethod
    def _newest(keeper: Any) -> dict[str, Any] | None:
        """The newest backup, which the first process reads for all."""
        state = keeper.newest_backup() if rank() == 0 else None
        if processes() == 1:
            return state  # type: ignore[no-any-return]
        data = from_chief(None if state is None else _packed(state))
        return None if data is None else _unpacked(data)  # type: ignore[no-any-return]

    @property
    def mine(self) -> dict[str, Any] | None:
        """This process's part of the state that the run begins with."""
        return None if self.state is None else part_of(self.state)

    def watch(self, name: str, batches: Batches) -> None:
        """Have data know their place, and begin at the one that was saved. Data at hand that always come in the same order need not."""
        if not isinstance(batches, InMemory) or batches.order.shuffle or name != "validation":
            mine = self.mine
            batches.watch(None if mine is None else mine["feeds"].get(name))
            self.feeds[name] = batches

    # -- saving

    def gather(self, run: FitRun) -> dict[str, Any] | None:
        """The state of the run as it is now, in the first process; all must ask."""
        model, state = self.model, run.engine.state
        started = run.batches_before
        mine = {
            **weights.local_state(model),
            "running": weights.running_state(model, run.compiled),
            "generators": to_plain({"shared": global_states(), "streams": stream_states()}),
            "feeds": {name: feed.position() for name, feed in self.feeds.items()},
            "callbacks": _states_of(run),
        }
        ranks, shared = gathered(mine), weights.shared_state(model)
        if ranks is None or shared is None:
            return None
        progress = {
            "epoch": state.epoch,
            "batch": None if run.epoch_done else state.iteration - started,
            "iteration": state.iteration,
            "epoch_length": state.epoch_length,
            "stopped": bool(model.stop_training),
            "logs": to_plain(run.plan.logs, "the logs of the epoch"),
            "own_names": sorted(run.own_names),
        }
        return {**shared, "ranks": ranks, "run": progress}

    def batch_done(self, run: FitRun) -> None:
        """Events.ITERATION_COMPLETED, after all others. What falls on the last batch of an epoch waits for the epoch's end."""
        self.since += 1
        engine = run.engine
        length = engine.state.epoch_length
        last = length is not None and engine.state.iteration - run.batches_before >= length
        if last or engine.should_terminate or engine.should_terminate_single_epoch:
            return
        every = None if self.keeper is None else self.keeper.batches_between
        if (every is not None and self.since >= every) or self.paths:
            self.save(run)

    def save(self, run: FitRun) -> None:
        """Save the run as it is now."""
        keeper = self.keeper
        every = None if keeper is None else keeper.batches_between
        due = run.epoch_done if every is None else self.since >= every
        paths, self.paths = self.paths, []
        if paths or (due and keeper is not None):
            state = self.gather(run)
            if due and keeper is not None:
                self.since = 0
                if state is not None:
                    keeper.keep_backup(state)
            if state is not None:
                for path in paths:
                    write_state(path, state)
        self.plan_ahead(run)

    def plan_ahead(self, run: FitRun) -> None:
        """Tell the data how many batches there are up to the next save."""
        state = run.engine.state
        if not self.plans or state.epoch_length is None:
            return
        left = state.epoch_length - (0 if run.epoch_done else state.iteration - run.batches_before)
        every = None if self.keeper is None else self.keeper.batches_between
        run.plan.batches.allow(left if every is None else min(left, max(every - self.since, 1)))

    # -- going on

    def before(self, run: FitRun) -> None:
        """Before `on_train_begin`: callbacks learn what they knew, some begin otherwise then."""
        mine = self.mine
        if mine is not None:
            _set_states(run, mine["callbacks"])

    def begun(self, run: FitRun) -> None:
        """After `on_train_begin`: the model and the run become what they were."""
        if self.state is not None:
            progress, state = self.state["run"], run.engine.state
            if run.plan.steps is not None and progress["epoch_length"] not in (None, run.plan.steps):
                raise ValueError(
                    f"The saved state is of a run with {progress['epoch_length']} batches in an epoch, but there are {run.plan.steps} now. "
                    "Start the run with the data and arguments that it had, or remove the saved state to begin anew."
                )
            within = progress["batch"] is not None
            state.epoch = progress["epoch"] - within
            state.iteration = progress["iteration"]
            state.epoch_length = progress["epoch_length"] or state.epoch_length
            run.engine._init_iter = progress["batch"] or 0  # Ignite would take a whole epoch's batches for none
            run.plan.logs = from_plain(progress["logs"])
            run.own_names.update(progress["own_names"])
            self.restore(run)
            if not within:
                if progress["stopped"]:
                    run.engine.terminate()
                self.state = None
        self.plan_ahead(run)

    def epoch_begun(self, run: FitRun) -> None:
        """After `on_epoch_begin`: of an epoch that was begun in another process, all becomes what it was at its last batch."""
        if self.state is not None:
            run.batches_before = self.state["run"]["iteration"] - self.state["run"]["batch"]
            self.restore(run)
            self.state = None
        self.plan_ahead(run)

    def restore(self, run: FitRun) -> None:
        """Put model, running values and generators back."""
        state, mine = self.state, self.mine
        assert state is not None and mine is not None
        weights.set_shared_state(self.model, state)
        weights.set_local_state(self.model, mine)
        weights.set_running_state(self.model, run.compiled, mine["running"])
        _set_states(run, mine["callbacks"])
        run.plan.hooks._settle_states(apply=False)
        self.model.stop_training = state["run"]["stopped"]
        set_generators(mine["generators"])

    def ended(self) -> None:
        """After `on_train_end`."""
        if self.keeper is not None and rank() == 0:
            self.keeper.run_ended()


def set_generators(states: Any) -> None:
    """Put back the generators that everything shares."""
    states = from_plain(states)
    set_stream_states(states["streams"])
    set_global_states(states["shared"])


def gathered(mine: Any) -> list[Any] | None:
    """The parts of all processes, in the first one."""
    if processes() == 1:
        return [mine]
    found: list[Any] | None = [None] * processes() if rank() == 0 else None
    torch.distributed.gather_object(_packed(mine), found, dst=0)
    return None if found is None else [_unpacked(data) for data in found]


def _packed(state: Any) -> bytes:
    """A state as bytes; pickled as it is, not all types of tensors arrive."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _unpacked(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def part_of(state: Mapping[str, Any]) -> Any:
    """This process's part of a state.

    Raises:
        ValueError: the state is of another number of processes.
    """
    if len(state["ranks"]) != processes():
        raise ValueError(
            f"The saved state is of a run of {len(state['ranks'])} processes, but there are {processes()} now. "
            "Start as many, or load its weights alone into a new run."
        )
    return state["ranks"][rank()]


# -- callbacks


def _remembering(run: FitRun) -> list[Any]:
    """The callbacks and Ignite handlers that have something to remember."""
    return [one for one in (*run.plan.hooks.callbacks, *run.plan.handlers) if _remembers(one)]


def _remembers(callback: Any) -> bool:
    kind = type(callback)
    if not (hasattr(kind, "state_dict") and hasattr(kind, "load_state_dict")):
        return False
    return bool(getattr(callback, "state_names", ())) or not getattr(kind.state_dict, "of_names", False)


def _states_of(run: FitRun) -> list[Any]:
    return [to_plain(one.state_dict(), f"the state_dict of {type(one).__name__}") for one in _remembering(run)]


def _set_states(run: FitRun, states: list[Any]) -> None:
    mine = _remembering(run)
    if len(mine) != len(states):
        raise ValueError(
            f"The saved state has the states of {len(states)} callbacks, but {len(mine)} have one now: {[type(one).__name__ for one in mine]}. "
            "Give fit the callbacks that it had."
        )
    for callback, state in zip(mine, states, strict=True):
        callback.load_state_dict(from_plain(state))
