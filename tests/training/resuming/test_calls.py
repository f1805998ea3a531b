"""`save_state` and `restore_state`, and what BackupAndRestore refuses."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.resuming.killing import Kill, Killer, check_same, run
from tests.training.resuming.programs import PROGRAMS, Batches, batches, dense, numbers, on_arrays
from torchkeras import callbacks, layers, models, optimizers
from torchkeras.callbacks import BackupAndRestore, Callback
from torchkeras.random import set_random_seed
from torchkeras.training.resuming.files import DamagedState

OPTIMIZERS = ("sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam", "ftrl")


def steps(model: Any, count: int, first: int = 0) -> list[Any]:
    """Some batches in a loop of one's own; the losses."""
    x, y = numbers()
    return [
        model.train_on_batch(x[start : start + 4], y[start : start + 4], reset_metrics=False) for start in range(4 * first, 4 * (first + count), 4)
    ]


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, torch.optim.AdamW, torch.optim.RAdam, optimizers.SGD(0.1, momentum=0.9, nesterov=True)], ids=str)
def test_a_loop_of_ones_own_goes_on(tmp_path, optimizer):
    set_random_seed(3)
    model = dense(copy.deepcopy(optimizer), gradient_accumulation_steps=2)
    steps(model, 3)  # one gradient waits
    model.save_state(tmp_path / "state.pt")
    wanted = steps(model, 1, 3), model.get_weights()
    set_random_seed(4)
    other = dense(copy.deepcopy(optimizer), gradient_accumulation_steps=2)
    steps(other, 1)
    other.restore_state(tmp_path / "state.pt")
    found = steps(other, 1, 3), other.get_weights()
    assert found[0] == wanted[0]
    assert all(np.array_equal(one, two) for one, two in zip(found[1], wanted[1], strict=True))


class Saver(Callback):
    """Saves the run after a batch or an epoch, and then ends it."""

    saves_state = True

    def __init__(self, path: Any, batch: int | None = None, epoch: int | None = None) -> None:
        super().__init__()
        self.path, self.batch, self.epoch, self.seen = path, batch, epoch, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen += 1
        if self.seen == self.batch:
            self.model.save_state(self.path)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            self.model.save_state(self.path)


@pytest.mark.parametrize("name", ["arrays", "with_callbacks", "sequence_by_a_thread", "generator_ahead"])
@pytest.mark.parametrize("when", [{"batch": 7}, {"epoch": 1}])
def test_a_state_saved_by_a_callback_is_gone_on_with_by_fit(tmp_path, name, when):
    whole = run(PROGRAMS[name], tmp_path, [Saver(tmp_path / "state.pt", **when)])

    def going_on(folder: Any) -> Any:
        model, fit = PROGRAMS[name](folder)
        model.restore_state(tmp_path / "state.pt")
        return model, fit

    found = run(going_on, tmp_path, [Saver(tmp_path / "never.pt")])
    check_same(found, whole)
    found = run(going_on, tmp_path)  # and where nothing is saved
    check_same(found, whole, ignored=("generators",))


def test_the_last_batch_of_an_epoch_is_saved_with_the_epoch(tmp_path):
    run(PROGRAMS["arrays"], tmp_path, [Saver(tmp_path / "state.pt", batch=5)])
    assert torch.load(tmp_path / "state.pt", weights_only=True)["run"]["batch"] is None


def test_a_state_is_gone_on_with_once(tmp_path):
    run(PROGRAMS["arrays"], tmp_path, [Saver(tmp_path / "state.pt", epoch=1)])
    model, fit = PROGRAMS["arrays"](tmp_path)
    model.restore_state(tmp_path / "state.pt")
    assert model.fit(**fit, verbose=0).epoch == [0, 1, 2]
    assert model.fit(**{**fit, "epochs": 1}, verbose=0).epoch == [0]


def test_more_epochs_than_before(tmp_path):
    model, fit = PROGRAMS["arrays"](tmp_path)
    backup = BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    model.fit(**fit, verbose=0, callbacks=[backup])
    history = model.fit(**{**fit, "epochs": 5}, verbose=0, callbacks=[backup])
    assert history.epoch == [0, 1, 2, 3, 4] and len(history.history["loss"]) == 5


def test_an_interrupted_run_keeps_its_backup(tmp_path):
    with pytest.raises(Kill):
        run(PROGRAMS["arrays"], tmp_path, [BackupAndRestore(tmp_path / "backup", 1), Killer(3)])
    assert list((tmp_path / "backup").glob("*.pt"))


def test_the_experimental_path_of_tf_keras():
    assert callbacks.experimental.BackupAndRestore is BackupAndRestore


def test_the_bar_goes_on_where_it_was(tmp_path, capsys):
    x, y = numbers()
    fit = {"x": x, "y": y, "batch_size": 4, "epochs": 1, "verbose": 1}
    with pytest.raises(Kill):
        run(lambda folder: (dense(), fit), tmp_path, [BackupAndRestore(tmp_path / "backup", 1), Killer(4)])
    capsys.readouterr()
    run(lambda folder: (dense(), fit), tmp_path, [BackupAndRestore(tmp_path / "backup", 1)])
    assert "5/5" in capsys.readouterr().out


def test_rows_of_a_log_are_neither_lost_nor_repeated(tmp_path):
    log = tmp_path / "log.csv"

    def program(folder: Any) -> Any:
        return on_arrays(dense(), callbacks=[callbacks.CSVLogger(log)], epochs=4)

    run(program, tmp_path)
    wanted = log.read_text()
    for batch, save_freq in ((8, "epoch"), (12, 4), (17, 7)):
        folder = tmp_path / f"{batch}"
        with pytest.raises(Kill):
            run(program, tmp_path, [BackupAndRestore(folder, save_freq), Killer(batch)])
        run(program, tmp_path, [BackupAndRestore(folder, save_freq)])
        assert log.read_text() == wanted


def test_a_model_can_be_copied_and_pickled_while_it_is_saved(tmp_path):
    class Copies(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert "run" not in copy.deepcopy(self.model)._engines.steps
            assert len(pickle.dumps(self.model)) < 100_000

    run(PROGRAMS["arrays"], tmp_path, [BackupAndRestore(tmp_path / "backup"), Copies()])


# -- what is refused


def killed(tmp_path: Any, program: Any = PROGRAMS["arrays"], save_freq: Any = 1, batch: int = 4) -> None:
    with pytest.raises(Kill):
        run(program, tmp_path, [BackupAndRestore(tmp_path / "backup", save_freq), Killer(batch)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 5}, "batch_size was 4, and is 5 now"),
        ({"shuffle": False}, "shuffle was True, and is False now"),
        ({"steps_per_epoch": 2}, "of a run with 5 batches in an epoch, but there are 2 now"),
        ({"x": np.zeros((12, 4)), "y": np.zeros((12, 1))}, "samples was 18, and is 12 now"),
    ],
)
def test_other_data_are_refused(tmp_path, changes, message):
    killed(tmp_path)
    model, fit = PROGRAMS["arrays"](tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(**{**fit, **changes}, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", 1)])


def test_another_model_is_refused(tmp_path):
    killed(tmp_path)
    model = models.Sequential([layers.Dense(3, input_shape=(4,)), layers.Dense(1)])
    model.compile("adam", "mse")
    before = model.get_weights()
    x, y = numbers()
    with pytest.raises(ValueError, match=r"has the shape \(5, 4\) for weight .* has \(3, 4\)"):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", 1)])
    assert all(np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))
    model = models.Sequential([layers.Dense(1, input_shape=(4,))])
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"has 4 weights, but model .* has 2"):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", 1)])


def test_other_callbacks_are_refused(tmp_path):
    killed(tmp_path)
    model, fit = PROGRAMS["arrays"](tmp_path)
    with pytest.raises(ValueError, match=r"has the states of 1 callbacks, but 2 have one now: \['EarlyStopping', 'History'\]"):
        model.fit(**fit, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", 1), callbacks.EarlyStopping()])


def test_two_backups_in_one_fit_are_refused(tmp_path):
    model, fit = PROGRAMS["arrays"](tmp_path)
    with pytest.raises(ValueError, match="takes one BackupAndRestore, but callbacks has 2"):
        model.fit(**fit, verbose=0, callbacks=[BackupAndRestore(tmp_path / "a"), BackupAndRestore(tmp_path / "b")])


def test_another_kind_of_source_is_refused(tmp_path):
    def program(folder: Any) -> Any:
        return dense(), {"x": batches(np.random.rand, np.random.permutation), "steps_per_epoch": 3}

    killed(tmp_path, program, batch=3)
    with pytest.raises(ValueError, match=r"was kept by 'reads', and would be by 'passes' now"):
        dense().fit(Loader(), steps_per_epoch=3, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", 1)])


class Loader:
    """An iterable that begins anew each time."""

    def __iter__(self) -> Any:
        x, y = numbers()
        return iter([(x, y)] * 3)


def test_a_generator_in_several_processes_is_refused(tmp_path):
    source = batches(np.random.rand, np.random.permutation)
    with pytest.raises(ValueError, match="whose copies are read by processes cannot be gone on with"):
        dense().fit(source, steps_per_epoch=3, workers=2, use_multiprocessing=True, verbose=0, callbacks=[BackupAndRestore(tmp_path)])


def test_a_state_that_is_no_plain_data_is_refused(tmp_path):
    class Odd(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"kept": [object()]}

        def load_state_dict(self, state: Any) -> None:
            raise AssertionError

    model, fit = PROGRAMS["arrays"](tmp_path)
    with pytest.raises(TypeError, match=r"the state_dict of Odd\['kept'\]\[0\] is <object.*a builtins.object, which a saved state cannot hold"):
        model.fit(**fit, verbose=0, callbacks=[Odd(), BackupAndRestore(tmp_path / "backup")])


def test_save_state_in_fit_has_to_be_announced(tmp_path):
    class Sudden(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.save_state(tmp_path / "state.pt")

    model, fit = PROGRAMS["arrays"](tmp_path)
    with pytest.raises(RuntimeError, match="set the attribute saves_state = True on the callback"):
        model.fit(**fit, verbose=0, callbacks=[Sudden()])


def test_restore_state_in_fit_is_refused(tmp_path):
    class Restores(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.restore_state(tmp_path / "state.pt")

    model, fit = PROGRAMS["arrays"](tmp_path)
    with pytest.raises(RuntimeError, match="cannot be called within fit"):
        model.fit(**fit, verbose=0, callbacks=[Restores()])


def test_what_is_not_ready_is_told(tmp_path):
    model = models.Sequential([layers.Dense(1)])
    with pytest.raises(RuntimeError, match="You must compile your model"):
        model.save_state(tmp_path / "state.pt")
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"has no weights yet. Build it before restore_state\(\)"):
        model.restore_state(tmp_path / "state.pt")


def test_a_damaged_file_leaves_the_model_alone(tmp_path):
    model = dense()
    (tmp_path / "state.pt").write_bytes(b"PK nothing")
    before = model.get_weights()
    with pytest.raises(DamagedState, match=r"state\.pt is no saved state, or not a whole one"):
        model.restore_state(tmp_path / "state.pt")
    assert all(np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))


def test_a_state_of_several_processes_is_told(tmp_path):
    model = dense()
    model.save_state(tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.save({**state, "ranks": state["ranks"] * 2}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="of a run of 2 processes, but there are 1 now"):
        model.restore_state(tmp_path / "state.pt")


def test_a_sequence_of_another_length_is_refused(tmp_path):
    killed(tmp_path, lambda folder: (dense(), {"x": Batches(4), "epochs": 2}))
    with pytest.raises(ValueError, match="batches was 5, and is 4 now"):
        dense().fit(Batches(5), epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path / "backup", 1)])


def test_a_plain_engine_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"works in fit, .*ignite\.handlers\.Checkpoint"):
        BackupAndRestore(tmp_path).attach(None)


# -- others that remember


def test_an_ignite_handler_remembers(tmp_path):
    from ignite.engine import Events

    seen: list[int] = []

    class Counts:
        """A handler of Ignite's kind."""

        def __init__(self) -> None:
            self.batches = 0

        def attach(self, engine: Any) -> None:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.count)

        def count(self, engine: Any) -> None:
            self.batches += 1
            seen.append(self.batches)

        def state_dict(self) -> dict[str, Any]:
            return {"batches": self.batches}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.batches = state["batches"]

    def program(folder: Any) -> Any:
        return on_arrays(dense(), callbacks=[Counts()])

    killed(tmp_path, program, save_freq=3, batch=8)
    seen.clear()
    run(program, tmp_path, [BackupAndRestore(tmp_path / "backup", 3)])
    assert seen == list(range(7, 16))


def test_tensorboard_goes_on_with_its_steps(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def program(folder: Any) -> Any:
        return on_arrays(dense(), callbacks=[callbacks.TensorBoard(folder / "logs", update_freq="batch", write_graph=False)])

    killed(tmp_path, program, save_freq=3, batch=8)
    run(program, tmp_path, [BackupAndRestore(tmp_path / "backup", 3)])
    steps_found: set[int] = set()
    for path in (tmp_path / "logs" / "train").glob("events*"):
        events = EventAccumulator(str(path)).Reload()
        if "batch_loss" in events.Tags()["scalars"]:
            steps_found |= {event.step for event in events.Scalars("batch_loss")}
    assert steps_found == set(range(1, 16))
