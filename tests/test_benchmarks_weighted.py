"""The benchmark of weights and several outputs runs, and a step of `fit` asks for no more kernels than the loop it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import weighted

SHORT, LONG = 4, 12  # batches
MORE = {"train": 3, "evaluate": 0}  # kernels of a step: the softmax that is handed on, laid out anew, and a loss that the logs keep
VIEWS = {"aten.t.default", "aten.view.default", "aten.detach.default"}  # which compute nothing


def test_it_prints_a_line_for_each_row_and_action(capsys):
    assert weighted.main(["--samples", "256", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{row.title}, {action}" for row in weighted.ROWS.values() for action in weighted.ACTIONS]


class Counting(TorchDispatchMode):
    """Counts the kernels that torch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) not in VIEWS and not str(func).startswith("profiler"):
            self.count += 1
        return func(*args, **(kwargs or {}))


def kernels(make: Callable[[int], Callable[[], Any]]) -> float:
    """Kernels of one step: what a long epoch has more than a short one."""
    counts = []
    for batches in (SHORT, LONG):
        call = make(batches * weighted.BATCH)
        call()
        with Counting() as counting:
            call()
        counts.append(counting.count)
    return (counts[1] - counts[0]) / (LONG - SHORT)


@pytest.mark.parametrize("action", weighted.ACTIONS)
@pytest.mark.parametrize("row", weighted.ROWS)
def test_a_step_asks_for_as_few_kernels_as_the_tuned_loop(row, action):
    def by_hand(samples: int) -> Callable[[], Any]:
        loop = weighted.Tuned(samples, weighted.ROWS[row], {"fused": True})
        return loop.epoch if action == "train" else loop.evaluate

    mine = kernels(lambda samples: weighted.ours(samples, weighted.ROWS[row])[action])
    assert 0 <= mine <= kernels(by_hand) + MORE[action]
