"""`python -m benchmarks weighted`: a step with sample weights, metrics and two outputs, against a loop tuned by hand that computes the same."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import torchkeras
from benchmarks import harness
from torchkeras.layers import Dense, Input

BATCH, FEATURES, HIDDEN, CLASSES = 128, 93, 100, 9
RATIO_GOAL, EXCESS_GOAL = 1.05, 25e-6  # of the tuned loop, or seconds a step more


def data(samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, class ids, numbers to regress on, and sample weights of the first output: noise, since only the time counts."""
    random = np.random.RandomState(0)
    x = random.standard_normal((samples, FEATURES)).astype("float32")
    ids, numbers = random.randint(0, CLASSES, size=samples), random.standard_normal((samples, 1)).astype("float32")
    return x, ids.astype("int64"), numbers, random.random_sample(samples).astype("float32")


def ours(samples: int) -> Callable[[], Any]:
    """An epoch of `fit`."""
    inputs = Input((FEATURES,))
    hidden = Dense(HIDDEN, activation="relu")(inputs)
    model = torchkeras.Model(inputs, [Dense(CLASSES, activation="softmax", name="ids")(hidden), Dense(1, name="numbers")(hidden)])
    metrics = {"ids": ["accuracy"], "numbers": ["mae"]}
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], metrics=metrics, loss_weights=[1.0, 0.5])
    x, ids, numbers, weights = data(samples)
    return lambda: model.fit(x, [ids, numbers], sample_weight=[weights, None], batch_size=BATCH, verbose=0)


class Tuned(nn.Module):
    """The same by hand: one permutation an epoch, batches cut from gathered data, sums in tensors that are read once."""

    def __init__(self, samples: int, flags: dict[str, Any]) -> None:
        super().__init__()
        self.hidden, self.ids, self.numbers = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES), nn.Linear(HIDDEN, 1)
        self.data = [torch.from_numpy(part) for part in data(samples)]
        self.optimizer = torch.optim.Adam(self.parameters(), 0.001, eps=1e-7, **flags)

    def epoch(self) -> list[float]:
        """Train once on all data; the sums of loss, its parts, right answers and absolute errors."""
        order = torch.randperm(len(self.data[0]))
        sums = [torch.zeros(()) for _ in range(5)]
        gathered = [part.index_select(0, order) for part in self.data]
        for x, ids, numbers, weights in zip(*(part.split(BATCH) for part in gathered), strict=True):
            self._step(x, ids, numbers, weights, sums)
        return [float(one) for one in sums]

    def _step(self, x: Tensor, ids: Tensor, numbers: Tensor, weights: Tensor, sums: list[Tensor]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        hidden = torch.relu(self.hidden(x))
        scores, made = self.ids(hidden), self.numbers(hidden)
        first = (F.cross_entropy(scores, ids, reduction="none") * weights).mean()
        second = F.mse_loss(made, numbers)
        loss = first + 0.5 * second
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            size = len(x)
            for total, value in zip(sums, (loss, first, second), strict=False):
                total.add_(value, alpha=size)
            sums[3].add_((scores.argmax(1) == ids).sum())
            sums[4].add_((made - numbers).abs().sum())


def tuned(samples: int) -> Callable[[], Any]:
    """The quickest of the optimizer's forms, tried for some steps each."""
    flags: list[dict[str, Any]] = [{"foreach": True}, {"foreach": False}, {"fused": True}]
    trials = [Tuned(10 * BATCH, one) for one in flags]
    took = [min(_seconds(trial.epoch) for _ in range(5)) for trial in trials]
    return Tuned(samples, flags[took.index(min(took))]).epoch


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(arguments: list[str]) -> int:
    """Print the ratio of a step of `fit` to one of the tuned loop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks weighted", description=__doc__)
    parser.add_argument("--samples", type=int, default=25600, help="in an epoch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a machine busy with other work")
    options = parser.parse_args(arguments)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    with harness.threads(options.threads):
        calls = {name: make(options.samples) for name, make in {"tuned": tuned, "torchkeras": ours}.items()}
        compare = functools.partial(harness.compare, baseline="tuned", rounds=options.rounds, warmup=2, clock=clock)
        result = compare(calls)
    steps = -(-options.samples // BATCH)
    excess = result.excess("torchkeras").median / steps
    met = result.ratio("torchkeras").median <= RATIO_GOAL or excess <= EXCESS_GOAL
    print(f"{result.time('tuned').median / steps * 1e6:,.0f} us a step of the tuned loop; torchkeras {result.ratio('torchkeras')} of it", end=" ")
    print(f"({excess * 1e6:+,.0f} us): {'goal met' if met else 'goal missed'}")
    return 0
