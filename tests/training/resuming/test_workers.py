"""Data that worker processes read, and parts of what knows the place in data."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.training.resuming.killing import check_same, kill_and_go_on, run
from tests.training.resuming.programs import Batches, Noisy, dense
from torchkeras.training import arrays
from torchkeras.training.resuming.generators import KINDS, get_state, global_states, kept, own_generators, own_states, set_own_states, set_state
from torchkeras.training.resuming.journal import Journal
from torchkeras.training.resuming.passes import Allowance
from torchkeras.training.resuming.plain import from_plain, same, to_plain


class Alone(Batches):
    """A Sequence whose batches do not depend on who makes them."""

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows] + np.random.rand(len(rows), 1).astype("float32"), self.y[rows]


def by_processes(folder: Any) -> Any:
    return dense(), {"x": Alone(), "epochs": 3, "workers": 2, "use_multiprocessing": True}


class Torchy(Noisy):
    """Samples with noise that workers draw from torch's generator."""

    def __getitem__(self, index: int) -> Any:
        return self.x[index] + torch.rand(4).numpy(), self.y[index]


def by_loaders(folder: Any) -> Any:
    return dense(), {"x": DataLoader(Torchy(), 4, shuffle=True, num_workers=2), "epochs": 3}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("program", [by_processes, by_loaders])
def test_worker_processes_go_on(tmp_path, monkeypatch, program):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    torch.set_num_threads(1)
    whole = run(program, tmp_path)
    for number, (batch, save_freq) in enumerate([(3, 1), (8, 3), (12, "epoch")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        check_same(kill_and_go_on(program, folder, batch, "end", save_freq), whole, ignored=("generators",))


def test_plain_data_and_back():
    value = {
        "array": np.arange(3, dtype=">i2"),
        "scalar": np.float32(1.5),
        "tuple": (1, None, [True, "x", b"y"]),
        3: {"set": {1, 2}},
        "view": torch.arange(1000)[:2],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": np.zeros((0, 2)),
    }
    plain = to_plain(value)
    back = from_plain(plain)
    assert back["array"].dtype == np.int16 and same(back["array"], value["array"])
    assert back["scalar"] == 1.5 and type(back["scalar"]) is float
    assert back["tuple"] == value["tuple"] and back[3] == value[3]
    assert plain["view"].untyped_storage().nbytes() == 16
    assert type(back["parameter"]) is torch.Tensor and back["empty"].shape == (0, 2)


def test_sparse_gradients_and_back():
    gradient = torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.ones(2, 3), (4, 3), check_invariants=True)
    back = from_plain(to_plain(gradient))
    assert not back.is_coalesced() and torch.equal(back.to_dense(), gradient.to_dense())


def test_what_is_no_data_is_named():
    with pytest.raises(TypeError, match=r"x\['a'\]\[1\] is .*lambda.*, a builtins.function, which a saved state cannot hold"):
        to_plain({"a": [1, lambda: None]}, "x")


class Owner:
    def __init__(self) -> None:
        self.one, self.two = random.Random(1), np.random.default_rng(2)
        self.several = [np.random.RandomState(3), torch.Generator()]
        self.named = {"a": torch.Generator().manual_seed(4)}


def draw(generator: Any) -> float:
    return float(torch.rand((), generator=generator)) if isinstance(generator, torch.Generator) else float(generator.random())


def test_generators_of_objects():
    owner = Owner()
    found = own_generators(owner)
    assert list(found) == ["one", "two", "several/0", "several/1", "named/a"]
    assert all(isinstance(generator, KINDS) for generator in found.values())
    states = to_plain(own_states(owner))
    wanted = [draw(generator) for generator in found.values()]
    other = Owner()
    set_own_states(other, from_plain(states))
    assert [draw(generator) for generator in own_generators(other).values()] == wanted


@pytest.mark.parametrize(
    "generator", [random.Random(1), np.random.default_rng(1), np.random.RandomState(1), torch.Generator()], ids=lambda one: type(one).__name__
)
def test_a_generator_is_put_back(generator):
    state = from_plain(to_plain(get_state(generator)))
    wanted = draw(generator)
    set_state(generator, state)
    assert draw(generator) == wanted


def test_kept_generators_are_as_before():
    owner = Owner()
    before = global_states()
    with kept(owner):
        random.random(), np.random.rand(), torch.rand(()), owner.one.random()
    assert same(global_states(), before)
    assert owner.one.random() == random.Random(1).random()


@pytest.mark.parametrize("draws_between", [False, True])
def test_a_journal_makes_calls_again(draws_between):
    def calls(noise: random.Random) -> Any:
        return lambda: (np.random.rand(), float(torch.rand(())), noise.random())

    journal, function = Journal(Owner()), calls(random.Random(5))
    made = []
    for _ in range(6):
        made.append(journal.call(function))
        if draws_between:
            torch.rand(2)
    state = journal.state()
    assert len(state["entries"]) == (6 if draws_between else 1)  # nothing but the first where nobody else draws
    next_call = journal.call(function)
    np.random.seed(0)
    torch.manual_seed(0)
    other, again = Journal(Owner()), calls(random.Random(5))
    before = global_states()
    assert other.replay(state, again) == made[-1]
    assert same(global_states(), before)
    assert same(other.state()["entries"], state["entries"])
    assert again()[2] == next_call[2]  # its own generator is where it was


def test_an_allowance_is_used_up():
    allowance = Allowance()
    allowance.left = 5
    assert [allowance.take(3), allowance.take(3), allowance.take(3)] == [3, 2, 1]  # one is always given


def test_pieces_are_those_of_the_whole_epoch(monkeypatch):
    monkeypatch.setattr(arrays, "PIECE_BYTES", 40)  # two batches of a row of 20 bytes each
    packing = arrays.Packing(torch.arange(35.0).reshape(7, 5), None, None)
    whole = arrays.ArrayBatches(packing, 1, True, torch.device("cpu"))
    whole.watch()
    torch.manual_seed(0)
    wanted = [(batch[0].clone(), batch[0].storage_offset()) for batch in whole]
    torch.manual_seed(0)
    for taken in range(1, 8):
        first = arrays.ArrayBatches(packing, 1, True, torch.device("cpu"))
        first.watch()
        torch.manual_seed(0)
        for _ in zip(range(taken), first, strict=False):
            pass
        other = arrays.ArrayBatches(packing, 1, True, torch.device("cpu"))
        other.watch({**first.position(), "taken": taken})
        found = [(batch[0], batch[0].storage_offset()) for batch in other]
        assert len(found) == 7 - taken
        for (batch, offset), (expected, place) in zip(found, wanted[taken:], strict=True):
            assert torch.equal(batch, expected) and offset == place
