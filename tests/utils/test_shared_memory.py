"""What goes from process to process arrives as it was, in memory of its own."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from torchkeras.utils.shared_memory import LARGE, Inbox, Outbox
from torchkeras.utils.worker_process import WorkerProcess

RNG = np.random.default_rng(0)


@pytest.fixture(params=[True, False], ids=["shared", "by the pipe"])
def ends(request: Any, monkeypatch: Any) -> Any:
    if not request.param:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("the system has no memory without a name")
    one, other = multiprocessing.Pipe()
    yield Outbox(one), Inbox(other)
    one.close()
    other.close()


def large(rows: int = 8) -> Any:
    return RNG.random((rows, LARGE // 32)).astype("float32")


def test_values_arrive_as_they_were(ends: Any):
    outbox, inbox = ends
    values = [
        {"x": large(), "y": [np.arange(4), None, "text"]},
        large(300),
        (large(3), np.zeros((0, 3)), large(9)),
        np.asfortranarray(large()),
        large()[:, ::2],
        torch.arange(5.0),
        7,
    ]
    with ThreadPoolExecutor(1) as other_end:  # a pipe holds no large array: somebody has to read meanwhile
        arrived = []
        for value in values * 2:
            arriving = other_end.submit(inbox.receive)
            outbox.send(value)
            arrived.append(arriving.result(60))
    for found, value in zip(arrived, values * 2, strict=True):
        torch.testing.assert_close(found, value, rtol=0, atol=0) if not isinstance(value, dict) else None
        if isinstance(value, dict):
            assert list(found) == ["x", "y"] and found["y"][1:] == [None, "text"]
            np.testing.assert_array_equal(found["x"], value["x"])


def test_small_values_arrive_by_the_pipe(ends: Any):
    outbox, inbox = ends
    outbox.send([np.arange(3), "a"])
    numbers, text = inbox.receive()
    assert numbers.tolist() == [0, 1, 2] and text == "a"
    numbers += 1  # one may write to it


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no memory without a name")
def test_what_came_stays_when_more_comes():
    one, other = multiprocessing.Pipe()
    outbox, inbox = Outbox(one), Inbox(other)
    handles = len(os.listdir("/proc/self/fd"))
    first, second = large(), large(100)
    outbox.send(first)
    found = inbox.receive()
    outbox.send(second)
    assert np.array_equal(inbox.receive(), second)
    outbox.send(-first)
    assert np.array_equal(inbox.receive(), -first)
    assert np.array_equal(found, first)
    found += 1
    assert len(os.listdir("/proc/self/fd")) <= handles + 2  # the memory of the last growth, seen from both ends
    inbox.close()
    outbox.send(first)
    with pytest.raises(EOFError, match="The connection was closed"):
        inbox.receive()
    one.close()
    other.close()


def test_nothing_is_sent_of_what_cannot_be_pickled(ends: Any):
    outbox, inbox = ends
    with pytest.raises(Exception, match="pickle"):
        outbox.send([large(), lambda: 0])
    outbox.send("next")
    assert inbox.receive() == "next"


def test_processes_answer_with_large_arrays():
    process = WorkerProcess(lambda source, rows: source[:rows] + 1, large(64))
    try:
        for rows in (2, 64, 0, 33):
            assert process.ask(rows).shape == (rows, LARGE // 32)
        handles = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        for _ in range(20):
            found = process.ask(64)
        assert found.min() >= 1
        assert not handles or len(os.listdir("/proc/self/fd")) == handles
    finally:
        process.stop()
