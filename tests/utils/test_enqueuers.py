"""Enqueuers: order, one asking an epoch, errors, hangs, and a clean end, in threads and in processes."""

import gc
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from torchkeras.utils import crew
from torchkeras.utils.data_utils import GeneratorEnqueuer, OrderedEnqueuer, Sequence

ROOT = Path(__file__).parents[2]

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="the sources of these tests cannot be pickled")


@pytest.fixture(params=[False, pytest.param(True, marks=needs_fork)], ids=["threads", "processes"])
def processes(request):
    return request.param


@pytest.fixture(autouse=True)
def nothing_leaks():
    """Every worker of a test is gone at its end."""
    before = set(threading.enumerate())
    yield
    if set(threading.enumerate()) - before:
        gc.collect()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (set(threading.enumerate()) - before or multiprocessing.active_children()):
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before
    assert not multiprocessing.active_children()


class Numbers(Sequence):
    """Batches that are their own number, plus 100 for each epoch that has ended."""

    def __init__(self, length=5, delay=0.0):
        self.length = length
        self.delay = delay
        self.epoch = 0
        self.asked = []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.asked.append(index)
        time.sleep(random.random() * self.delay)
        return self.epoch * 100 + index

    def on_epoch_end(self):
        self.epoch += 1


class Plain(Sequence):
    """Batches made by a function of their number."""

    def __init__(self, function, length=4):
        self.function = function
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.function(index)


def test_a_sequence_iterates_over_one_epoch():
    assert list(Numbers(3)) == [0, 1, 2]


def test_an_incomplete_sequence_says_what_it_needs():
    class Incomplete(Sequence):
        pass

    with pytest.raises(NotImplementedError, match=r"Incomplete needs a method __getitem__\(index\)"):
        Incomplete()[0]
    with pytest.raises(NotImplementedError, match=r"Incomplete needs a method __len__\(\)"):
        len(Incomplete())


@pytest.mark.parametrize(("workers", "room"), [(1, 1), (3, 2), (4, 10)])
def test_batches_come_in_order_epoch_after_epoch(processes, workers, room):
    source = Numbers(5, delay=0.004)
    with OrderedEnqueuer(source, use_multiprocessing=processes) as enqueuer:
        enqueuer.start(workers=workers, max_queue_size=room)
        taken = list(itertools.islice(enqueuer.get(), 12))
    assert taken == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104, 200, 201]


def test_each_number_is_asked_once_an_epoch():
    source = Numbers(7, delay=0.002)
    with OrderedEnqueuer(source) as enqueuer:
        enqueuer.start(workers=4, max_queue_size=3)
        list(itertools.islice(enqueuer.get(), 14))
    assert sorted(source.asked[:14]) == sorted([*range(7), *range(7)])
    assert sorted(source.asked[:7]) == list(range(7))


def test_the_epoch_ends_when_its_last_batch_is_taken():
    source = Numbers(2)
    with OrderedEnqueuer(source) as enqueuer:
        enqueuer.start()
        batches = enqueuer.get()
        next(batches)
        time.sleep(0.05)
        assert source.epoch == 0
        next(batches)
        deadline = time.monotonic() + 5
        while source.epoch == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert source.epoch == 1  # without anyone asking for more


def test_no_more_is_made_ahead_than_there_is_room():
    source = Numbers(50)
    with OrderedEnqueuer(source) as enqueuer:
        enqueuer.start(workers=3, max_queue_size=4)
        time.sleep(0.1)
        assert sorted(source.asked) == [0, 1, 2, 3]


def test_shuffling_follows_pythons_seed():
    taken = []
    for _ in range(2):
        random.seed(3)
        with OrderedEnqueuer(Plain(lambda index: index, 6), shuffle=True) as enqueuer:
            enqueuer.start(workers=2)
            taken.append(list(itertools.islice(enqueuer.get(), 12)))
    random.seed(3)
    order = list(range(6))
    expected = []
    for _ in range(2):
        random.shuffle(order)
        expected += order
    assert taken == [expected, expected]


def test_a_sequence_that_grows_gives_all_its_batches():
    class Growing(Numbers):
        def on_epoch_end(self):
            self.length += 1

    with OrderedEnqueuer(Growing(1)) as enqueuer:
        enqueuer.start()
        assert list(itertools.islice(enqueuer.get(), 6)) == [0, 0, 1, 0, 1, 2]


def test_batches_that_are_none_are_left_out(processes):
    with OrderedEnqueuer(Plain(lambda index: index if index % 2 else None), use_multiprocessing=processes) as enqueuer:
        enqueuer.start(workers=2)
        assert list(itertools.islice(enqueuer.get(), 4)) == [1, 3, 1, 3]


def fail_at_two(index):
    if index == 2:
        raise KeyError("the missing key")
    return index


def test_an_error_of_a_worker_reaches_the_caller_with_its_traceback(processes):
    enqueuer = OrderedEnqueuer(Plain(fail_at_two, 1000), use_multiprocessing=processes)
    enqueuer.start(workers=3)
    batches = enqueuer.get()
    assert [next(batches), next(batches)] == [0, 1]
    began = time.monotonic()
    with pytest.raises(KeyError, match="the missing key") as caught:
        next(batches)
    assert time.monotonic() - began < 3
    assert "fail_at_two" in "".join(traceback.format_exception(caught.value))
    assert not enqueuer.is_running()
    assert list(batches) == []
    enqueuer.stop()


def test_an_error_in_on_epoch_end_reaches_the_caller():
    class Failing(Numbers):
        def on_epoch_end(self):
            raise ZeroDivisionError("at the end of the epoch")

    with OrderedEnqueuer(Failing(2)) as enqueuer:
        enqueuer.start(workers=2)
        batches = enqueuer.get()
        assert [next(batches), next(batches)] == [0, 1]
        with pytest.raises(ZeroDivisionError, match="at the end of the epoch"):
            next(batches)


class Unpicklable(Exception):
    """An error that loses its way through a pipe."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_unpicklable(index):
    raise Unpicklable("one", "two")


@needs_fork
def test_an_error_that_cannot_be_pickled_is_told_about():
    with OrderedEnqueuer(Plain(raise_unpicklable), use_multiprocessing=True) as enqueuer:
        enqueuer.start()
        with pytest.raises(RuntimeError, match="Unpicklable: one and two"):
            next(enqueuer.get())


@needs_fork
def test_a_batch_that_cannot_be_pickled_is_an_error():
    with OrderedEnqueuer(Plain(lambda index: lambda: index), use_multiprocessing=True) as enqueuer:
        enqueuer.start()
        with pytest.raises(Exception, match="pickle"):
            next(enqueuer.get())


@needs_fork
def test_a_worker_that_is_killed_is_reported():
    with OrderedEnqueuer(Plain(lambda index: os.kill(os.getpid(), signal.SIGKILL)), use_multiprocessing=True) as enqueuer:
        enqueuer.start(workers=2)
        with pytest.raises(RuntimeError, match="ended with exit code -9 while it made a batch"):
            next(enqueuer.get())


def test_a_hung_worker_is_reported_after_the_time_set(processes):
    released = threading.Event()
    enqueuer = OrderedEnqueuer(Plain(lambda index: released.wait(30) and index), use_multiprocessing=processes, hang_timeout=0.3)
    enqueuer.start(workers=2)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no batch came for 0\.3 s\. Batch \(0, 0\) is made by") as caught:
        next(enqueuer.get())
    assert time.monotonic() - began < 4
    assert ("pid" if processes else "released.wait(30)") in str(caught.value)
    released.set()
    enqueuer.stop()


def test_waiting_long_gives_a_warning_that_tells_where(monkeypatch):
    monkeypatch.setattr(crew, "PATIENCE", 0.1)
    with OrderedEnqueuer(Plain(lambda index: time.sleep(0.4) or index)) as enqueuer:
        enqueuer.start()
        with pytest.warns(RuntimeWarning, match=r"Batch \(0, 0\) is made by worker thread 0"):
            assert next(enqueuer.get()) == 0


def test_a_stop_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(crew, "GRACE", 0.1)
    released = threading.Event()
    enqueuer = OrderedEnqueuer(Plain(lambda index: released.wait(30)))
    enqueuer.start()
    with pytest.warns(RuntimeWarning, match="still busy"):
        enqueuer.stop()
    enqueuer.start()
    enqueuer.stop(timeout=0)
    released.set()


def test_processes_end_at_once_even_when_busy():
    enqueuer = OrderedEnqueuer(Plain(lambda index: time.sleep(60)), use_multiprocessing=True)
    enqueuer.start(workers=2)
    time.sleep(0.1)
    began = time.monotonic()
    enqueuer.stop()
    assert time.monotonic() - began < 5
    assert not enqueuer.is_running() and not multiprocessing.active_children()


def test_a_forgotten_enqueuer_ends_its_workers(processes):
    enqueuer = OrderedEnqueuer(Numbers(3), use_multiprocessing=processes)
    enqueuer.start(workers=2)
    batches = enqueuer.get()
    del enqueuer
    assert next(batches) == 0
    del batches  # the fixture looks whether anyone is left


def test_a_stopped_enqueuer_starts_again(processes):
    enqueuer = OrderedEnqueuer(Numbers(3), use_multiprocessing=processes)
    for _ in range(2):
        enqueuer.start()
        assert enqueuer.is_running()
        assert next(enqueuer.get()) % 100 == 0
        with pytest.raises(RuntimeError, match="runs already"):
            enqueuer.start()
        enqueuer.stop()
        enqueuer.stop()
    with pytest.raises(RuntimeError, match=r"Call start\(\) first"):
        enqueuer.get()


@needs_fork
def test_random_batches_in_processes_do_not_depend_on_the_number_of_workers():
    taken = []
    for workers in (1, 3):
        np.random.seed(4)
        with OrderedEnqueuer(Plain(lambda index: (np.random.rand(), random.random())), use_multiprocessing=True) as enqueuer:
            enqueuer.start(workers=workers)
            taken.append(list(itertools.islice(enqueuer.get(), 8)))
    assert taken[0] == taken[1]
    assert len(set(taken[0])) == 8
    np.random.seed(4)
    first = np.random.rand()
    np.random.seed(4)
    with OrderedEnqueuer(Plain(lambda index: 0), use_multiprocessing=True) as enqueuer:
        enqueuer.start()
        next(enqueuer.get())
    assert np.random.rand() == first  # nothing was drawn here


def test_a_generator_comes_in_order_and_ends():
    with GeneratorEnqueuer(iter(range(20))) as enqueuer:
        enqueuer.start(workers=4, max_queue_size=3)
        assert list(enqueuer.get()) == list(range(20))
    with GeneratorEnqueuer(itertools.count()) as enqueuer:
        enqueuer.start()
        assert list(itertools.islice(enqueuer.get(), 100)) == list(range(100))


def failing():
    yield 1
    raise OSError("the disk is gone")


def test_an_error_of_a_generator_reaches_the_caller(processes):
    with GeneratorEnqueuer(failing(), use_multiprocessing=processes) as enqueuer:
        enqueuer.start()
        batches = enqueuer.get()
        assert next(batches) == 1
        with pytest.raises(OSError, match="the disk is gone"):
            next(batches)


def draws():
    for _ in range(3):
        yield np.random.rand()


@needs_fork
def test_processes_of_a_generator_have_their_own_random_numbers():
    with GeneratorEnqueuer(draws(), use_multiprocessing=True, random_seed=7) as enqueuer:
        enqueuer.start(workers=2)
        taken = list(enqueuer.get())
    expected = [np.random.RandomState(seed).rand(3) for seed in (7, 8)]
    assert sorted(taken) == sorted(np.concatenate(expected))
    with GeneratorEnqueuer(draws(), use_multiprocessing=True) as enqueuer:
        enqueuer.start(workers=2)
        assert len(set(enqueuer.get())) == 6


def test_wait_time_is_told_to_have_no_meaning():
    with pytest.warns(DeprecationWarning, match="wait_time"):
        GeneratorEnqueuer(iter([]), wait_time=0.1)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="workers=0"):
        OrderedEnqueuer(Numbers()).start(workers=0)
    with pytest.raises(ValueError, match="max_queue_size=0"):
        OrderedEnqueuer(Numbers()).start(max_queue_size=0)
    with pytest.raises(ValueError, match=r"a Numbers without batches: its len\(\) is 0"):
        OrderedEnqueuer(Numbers(0)).start()
    with pytest.raises(ValueError, match="hang_timeout above 0 seconds, or None, but got -1"):
        OrderedEnqueuer(Numbers(), hang_timeout=-1)


ORPHANS = """
    import os, signal, time
    from torchkeras.utils import worker_process
    worker_process.ORPHAN_CHECK = 0.2
    from torchkeras.utils.data_utils import OrderedEnqueuer, Sequence

    class Pids(Sequence):
        def __len__(self):
            return 4
        def __getitem__(self, index):
            time.sleep(0.05)
            return os.getpid()

    enqueuer = OrderedEnqueuer(Pids(), use_multiprocessing=True)
    enqueuer.start(workers=2)
    batches = enqueuer.get()
    print(*{next(batches) for _ in range(8)}, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_fork
def test_workers_of_a_killed_program_do_not_stay():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(ORPHANS)], capture_output=True, text=True, timeout=60, env=environment)
    assert ran.returncode == -signal.SIGKILL
    pids = list(map(int, ran.stdout.split()))
    assert pids
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.05)
    assert not any(map(alive, pids))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # in a container nobody may collect what is dead
