"""A run that is killed at any batch goes on to the same weights and the same history, bit for bit."""

from __future__ import annotations

import os

import pytest
import torch

from tests.training.resuming.killing import check_same, kill_and_go_on, run
from tests.training.resuming.programs import PROGRAMS

# a run that is not to be saved reads ahead also beyond its last batch
AHEAD = ("sequence_by_a_thread", "sequence_in_order", "sequence_that_remembers")
FREQUENCIES = (1, 2, 3, "epoch")
HOOKS = ("end", "begin", "epoch")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread; and files that need not survive a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", PROGRAMS)
def test_killed_at_every_batch(name, tmp_path):
    program = PROGRAMS[name]
    folder = tmp_path / "whole"
    folder.mkdir()
    whole = run(program, folder)
    batches, number = 0, 0
    while True:
        number += 1
        folder = tmp_path / f"killed{number}"
        folder.mkdir()
        # each batch with another hook and another frequency
        save_freq, hook = FREQUENCIES[number % len(FREQUENCIES)], HOOKS[number % len(HOOKS)]
        try:
            found = kill_and_go_on(program, folder, number, hook, save_freq)
        except AssertionError as error:
            if "before it was killed" not in str(error):
                raise
            break
        batches = number
        check_same(found, whole, ignored=("generators",) if name in AHEAD else ())
        assert not any((folder / "backup").glob("state-*.pt")), "a run that ended well needs no backup"
    assert batches >= 8
