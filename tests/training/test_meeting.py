"""Restarted processes find those of their own life in a store that remembers earlier ones."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from torchkeras.training.meeting import meet

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")


def life(store, processes, late=()):
    """The stores that the processes of one life get; those in `late` come a moment after the others."""

    def process(rank):
        if rank in late:
            time.sleep(0.05)
        return meet(store, rank, processes)

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(process, range(processes)))


def addresses(stores):
    """What each process finds of each other one, after all have left their address, as a process group does."""
    for rank, store in enumerate(stores):
        store.set(f"address/{rank}", f"{id(store)}")
    return [[store.get(f"address/{rank}") for rank in range(len(stores))] for store in stores]


@pytest.mark.parametrize("late", [(), (0,), (1,), (2,), (0, 2), (1, 2)])
def test_lives_do_not_see_each_others_keys(late):
    store = torch.distributed.HashStore()
    store.set_timeout(datetime.timedelta(seconds=20))
    first, second = life(store, 3), life(store, 3, late)
    seen = addresses(first)
    assert seen[0] == seen[1] == seen[2]
    assert not any(part.check([f"address/{rank}"]) for part in second for rank in range(3))
    again = addresses(second)
    assert again[0] == again[1] == again[2] != seen[0]


@pytest.mark.parametrize("died", [0, 1, 2])
def test_a_life_that_ended_before_all_had_met_is_forgotten(died):
    """Those that wait are killed with it; here they give up, or go on without the dead one."""
    store = torch.distributed.HashStore()
    store.set_timeout(datetime.timedelta(seconds=0.2))

    def alone(rank):
        with contextlib.suppress(torch.distributed.DistError):
            meet(store, rank, 3)

    threads = [threading.Thread(target=alone, args=(rank,)) for rank in range(3) if rank != died]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.set_timeout(datetime.timedelta(seconds=20))
    seen = addresses(life(store, 3))
    assert seen[0] == seen[1] == seen[2]


def test_fewer_processes_come_back():
    store = torch.distributed.HashStore()
    store.set_timeout(datetime.timedelta(seconds=20))
    life(store, 3)
    seen = addresses(life(store, 2))
    assert seen[0] == seen[1]
