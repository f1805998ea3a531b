"""A slow generator is read while the model trains: in order, not past an epoch's end, no batch more than is used."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import long_runs
from torchkeras import utils
from torchkeras.callbacks import Callback, LambdaCallback
from torchkeras.layers import Dense, Dropout
from torchkeras.models import Model, Sequential
from torchkeras.training import ahead, disk
from torchkeras.training.ahead import NOTHING, Ahead
from torchkeras.training.resuming.passes import Allowance

RNG = np.random.default_rng(0)
X, Y = RNG.random((8, 4)).astype("float32"), RNG.integers(0, 3, 8)
NAP = 2 * ahead.SLOW


def make() -> Model:
    utils.set_random_seed(0)
    model = Sequential([Dense(5, activation="relu", input_shape=(4,)), Dropout(0.5), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Source:
    """A generator's doings: which batches it gave, and in which thread."""

    def __init__(self, nap: float = NAP, draw: Any = None) -> None:
        self.threads: list[str] = []
        self.nap, self.draw = nap, draw

    def batches(self) -> Any:
        for number in itertools.count():
            time.sleep(self.nap)
            self.threads.append(threading.current_thread().name)
            noise = 0.0 if self.draw is None else self.draw()
            yield X + np.float32(number % 3) + np.float32(noise), Y

    @property
    def read(self) -> int:
        return len(self.threads)

    @property
    def by_thread(self) -> bool:
        return any(name.startswith("torchkeras-worker") for name in self.threads)


def workers_left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("torchkeras-worker")]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_slow_generator_is_read_by_one_thread_and_never_past_an_epoch(workers: int):
    source, read = Source(), []
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: read.append(source.read))
    generator = source.batches()
    make().fit(generator, steps_per_epoch=6, epochs=3, verbose=0, workers=workers, callbacks=[callback])
    assert read == [6, 12, 18]
    assert source.by_thread
    assert len(set(source.threads[3:6])) == 1
    make().fit(generator, steps_per_epoch=2, verbose=0, workers=workers)
    assert source.read == 20
    assert not workers_left()


def test_without_workers_the_loop_reads():
    source = Source()
    make().fit(source.batches(), steps_per_epoch=6, epochs=2, verbose=0, workers=0)
    assert source.threads == [threading.current_thread().name] * 12


def test_a_quick_generator_is_read_by_the_loop(monkeypatch):
    monkeypatch.setattr(ahead, "SLOW", 60.0)
    source = Source(nap=0.0)
    make().fit(source.batches(), steps_per_epoch=6, epochs=2, verbose=0)
    assert not source.by_thread


def test_a_batch_is_made_during_the_step_before():
    made = [threading.Event() for _ in range(6)]

    def source() -> Any:
        for number in range(6):
            time.sleep(NAP)
            made[number].set()
            yield X, Y

    waited = []

    class Waits(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if 2 <= batch < 5:
                waited.append(made[batch + 1].wait(20))

    make().fit(source(), steps_per_epoch=6, verbose=0, callbacks=[Waits()])
    assert waited == [True] * 3


@pytest.mark.parametrize("draw", [None, np.random.rand, RNG.random], ids=["nothing", "numpy's generator", "its own"])
def test_training_is_the_same_whoever_reads(draw: Any):
    histories, weights, after = [], [], []
    for workers in (0, 1):
        RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state
        model, source = make(), Source(draw=draw)
        valid = Source(draw=draw)
        found = model.fit(
            source.batches(), steps_per_epoch=5, epochs=3, verbose=0, workers=workers, validation_data=valid.batches(), validation_steps=4
        )
        assert (source.by_thread, valid.by_thread) == (bool(workers),) * 2
        assert (source.read, valid.read) == (15, 12)
        histories.append(found.history)
        weights.append(model.get_weights())
        after.append((np.random.rand(), torch.rand(()).item()))
    assert histories[0] == histories[1]
    assert after[0] == after[1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_generator_that_draws_from_torch_is_read_by_the_loop():
    source = Source(draw=lambda: torch.rand(()).item())
    make().fit(source.batches(), steps_per_epoch=8, epochs=2, verbose=0)
    assert not source.by_thread


def test_a_generator_that_draws_from_torch_at_its_beginning_is_read_by_the_loop_for_ever():
    source = Source()

    def shuffled() -> Any:
        for x, y in source.batches():
            if source.read % 7 == 1:
                rows = torch.randperm(8).numpy()
            yield x[rows], y[rows]

    model, generator = make(), shuffled()
    model.fit(generator, steps_per_epoch=5, verbose=0)
    model.fit(generator, steps_per_epoch=9, verbose=0)
    assert source.read == 14
    assert not source.by_thread


@pytest.mark.parametrize("how", ["predict", "predict_on_batch", "evaluate"])
def test_a_generator_that_uses_a_model_is_read_by_the_loop(how: str):
    model, other = make(), make()
    calls = {"predict": lambda: other.predict(X), "predict_on_batch": lambda: other.predict_on_batch(X)}
    calls["evaluate"] = lambda: other.evaluate(X, Y, verbose=0)
    source = Source(draw=lambda: 0.0 * np.sum(calls[how]()))
    model.fit(source.batches(), steps_per_epoch=8, epochs=2, verbose=0)
    assert not source.by_thread


def test_evaluate_and_predict_read_no_more_than_their_steps():
    source, model = Source(), make()
    generator = source.batches()
    model.evaluate(generator, steps=5, verbose=0)
    assert source.read == 5
    assert len(model.predict(generator, steps=4)) == 32
    assert source.read == 9
    assert source.by_thread


def test_an_error_comes_with_its_own_line_and_leaves_no_thread():
    def broken() -> Any:
        for _ in range(4):
            time.sleep(NAP)
            yield X, Y
        raise RuntimeError("after four batches")

    model = make()
    with pytest.raises(RuntimeError, match="after four batches") as caught:
        model.fit(broken(), steps_per_epoch=9, verbose=0)
    assert caught.traceback[-1].name == "broken"
    assert int(model.optimizer.iterations) == 4
    assert not workers_left()


def test_a_generator_that_ends_in_the_thread_ends_the_run():
    model = make()
    with pytest.warns(UserWarning, match=r"ran out of data; interrupting training.*in this case, 18 batches"):
        history = model.fit(itertools.islice(Source().batches(), 11), steps_per_epoch=6, epochs=3, verbose=0).history
    assert len(history["loss"]) == 2
    assert int(model.optimizer.iterations) == 11
    assert len(model.fit(itertools.islice(Source().batches(), 7), verbose=0).history["loss"]) == 1  # as long as it lasts
    assert int(model.optimizer.iterations) == 18


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_read_and_not_used_is_first_in_the_next_run(error: type[BaseException]):
    given, used = [], []

    def numbered() -> Any:
        for number in itertools.count():
            time.sleep(NAP)
            given.append(number)
            yield np.full((2, 4), number, "float32"), Y[:2]

    class Stops(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 4:
                while len(given) < 9:
                    time.sleep(0.001)
                raise error("enough")

    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = Dense(3, activation="softmax")

        def call(self, inputs: Any) -> Any:
            if self.training:
                used.append(int(inputs[0, 0]))
            return self.dense(inputs)

    model = Net()
    model.compile("sgd", "sparse_categorical_crossentropy")
    source = numbered()
    with pytest.raises(error, match="enough"):
        model.fit(source, steps_per_epoch=50, verbose=0, callbacks=[Stops()])
    assert not workers_left()
    assert used == list(range(5))
    assert len(given) > 5
    model.fit(source, steps_per_epoch=10, verbose=0, workers=0)
    assert used == list(range(15))
    model.evaluate(source, steps=1, verbose=0)
    assert given == list(range(16))


def test_a_hanging_generator_is_reported_after_the_time_set():
    release = threading.Event()

    def hangs() -> Any:
        yield X, Y
        release.wait(20)
        yield X, Y

    try:
        with pytest.raises(TimeoutError, match=r"A worker hangs: no batch came for 0.3 s.*the thread that reads ahead(.|\n)*in hangs"):
            make().fit(hangs(), steps_per_epoch=2, verbose=0, hang_timeout=0.3)
    finally:
        release.set()


# -- the parts


def test_items_are_read_as_far_as_is_allowed():
    read = []

    def one(by_thread: bool) -> Any:
        time.sleep(NAP)
        read.append(by_thread)
        return len(read) if len(read) < 12 else NOTHING

    allowance, reader = Allowance(), Ahead(one, room=2)
    items = reader.items(allowance)
    allowance.left = 5
    found = [next(items) for _ in range(5)]
    assert (found, read) == ([1, 2, 3, 4, 5], [False, False, True, True, True])
    assert next(items) == 6  # nothing is allowed any more: but it is asked for
    assert read[5:] == [False]
    allowance.left = 50
    assert list(items) == [7, 8, 9, 10, 11]
    assert read[6:] == [True] * 6
    assert not workers_left()


def test_items_that_touch_what_the_loop_uses_are_read_by_the_loop():
    state, read = [0], []

    def one(by_thread: bool) -> Any:
        time.sleep(NAP)
        state[0] += 1
        read.append(by_thread)
        return 0

    allowance = Allowance()
    allowance.left = 9
    items = Ahead(one, room=2, touches=lambda: state[0]).items(allowance)
    assert [next(items) for _ in range(9)] == [0] * 9
    assert read == [False] * 9


def test_what_is_left_is_told():
    numbers = itertools.count()

    def one(by_thread: bool) -> Any:
        time.sleep(NAP)
        return next(numbers)

    allowance, reader = Allowance(), Ahead(one, room=3)
    allowance.left = 50
    items = reader.items(allowance)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    assert reader.promised == 46
    reader.close()
    assert reader.left == list(range(4, next(numbers)))
    assert len(reader.left) in (0, 1, 2, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="files and memory are read from /proc")
def test_short_runs_leave_nothing_behind(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(ahead, "SLOW", -1.0)
    monkeypatch.setattr(disk, "LARGE", 1)
    monkeypatch.setattr(disk, "SHORT", 1)
    X.tofile(tmp_path / "x.raw")
    model = make()

    def runs() -> None:
        for number in range(8):
            model.fit(Source(nap=0.0).batches(), steps_per_epoch=4, epochs=2, verbose=0)
            rows = np.memmap(tmp_path / "x.raw", "float32", "r", shape=X.shape)
            model.fit(rows, Y, batch_size=2, verbose=0, shuffle=bool(number % 2))
            with pytest.raises(RuntimeError, match="enough"):
                model.fit(Source(nap=0.0).batches(), steps_per_epoch=20, verbose=0, callbacks=[Fails()])

    class Fails(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                raise RuntimeError("enough")

    runs()
    before = long_runs.held()
    runs()
    after = long_runs.held()
    assert all(now <= then for now, then in zip(after[1:], before[1:], strict=True)), (before, after)
