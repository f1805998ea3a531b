"""`python -m benchmarks weighted`: two outputs with weights and metrics of several kinds, against a loop tuned by hand that computes the same."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import torchkeras
from benchmarks import harness
from torchkeras.layers import Dense, Input

BATCH, FEATURES, HIDDEN, CLASSES = 128, 93, 100, 9
RATIO_GOAL, EXCESS_GOAL = 1.05, 25e-6  # of the tuned loop, or seconds a step more
ACTIONS = ("train", "evaluate")
FACTOR = 0.5  # of the second output's loss


class Row(NamedTuple):
    """What is computed besides the two losses and their sum."""

    title: str
    weights: int = 0  # of how many outputs the samples have weights
    metrics: bool = False  # accuracy of the first output, absolute error of the second
    weighted_metrics: bool = False  # the same once more, weighted


ROWS = {
    "losses": Row("loss_weights"),
    "weights": Row("loss_weights, weights of one output, metrics", 1, True),
    "all": Row("loss_weights, weights of both outputs, metrics, weighted_metrics", 2, True, True),
}


def data(samples: int) -> tuple[np.ndarray, ...]:
    """Inputs, class ids, numbers to regress on, and sample weights of each output: noise, since only the time counts."""
    random = np.random.RandomState(0)
    x = random.standard_normal((samples, FEATURES)).astype("float32")
    ids, numbers = random.randint(0, CLASSES, size=samples), random.standard_normal((samples, 1)).astype("float32")
    weights = [random.random_sample(samples).astype("float32") for _ in range(2)]
    return x, ids.astype("int64"), numbers, *weights


def ours(samples: int, row: Row) -> dict[str, Callable[[], Any]]:
    """An epoch of `fit`, and `evaluate`."""
    inputs = Input((FEATURES,))
    hidden = Dense(HIDDEN, activation="relu")(inputs)
    model = torchkeras.Model(inputs, [Dense(CLASSES, activation="softmax", name="ids")(hidden), Dense(1, name="numbers")(hidden)])
    metrics = {"ids": ["accuracy"], "numbers": ["mae"]}
    options = {"metrics": metrics if row.metrics else None, "weighted_metrics": metrics if row.weighted_metrics else None}
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"], loss_weights=[1.0, FACTOR], **options)
    x, ids, numbers, *weights = data(samples)
    given = [weight if number < row.weights else None for number, weight in enumerate(weights)] if row.weights else None
    together = {"sample_weight": given, "batch_size": BATCH, "verbose": 0}
    return {"train": lambda: model.fit(x, [ids, numbers], **together), "evaluate": lambda: model.evaluate(x, [ids, numbers], **together)}


class Tuned(nn.Module):
    """The same by hand: one permutation an epoch, batches cut from gathered data, sums in tensors that are read once."""

    def __init__(self, samples: int, row: Row, flags: dict[str, Any]) -> None:
        super().__init__()
        self.row = row
        self.hidden, self.ids, self.numbers = nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, CLASSES), nn.Linear(HIDDEN, 1)
        self.data = [torch.from_numpy(part) for part in data(samples)[: 3 + row.weights]]
        self.optimizer = torch.optim.Adam(self.parameters(), 0.001, eps=1e-7, **flags)

    def epoch(self) -> list[float]:
        """Train once on all data; the sums of loss, its parts and the metrics."""
        order = torch.randperm(len(self.data[0]))
        sums = [torch.zeros(()) for _ in range(9)]
        for batch in zip(*(part.index_select(0, order).split(BATCH) for part in self.data), strict=True):
            self.optimizer.zero_grad(set_to_none=True)
            outputs, losses = self._losses(batch)
            losses[0].backward()
            self.optimizer.step()
            with torch.no_grad():
                self._add(batch, outputs, losses, sums)
        return [float(one) for one in sums]

    def evaluate(self) -> list[float]:
        """The same sums without training."""
        sums = [torch.zeros(()) for _ in range(9)]
        with torch.inference_mode():
            for batch in zip(*(part.split(BATCH) for part in self.data), strict=True):
                self._add(batch, *self._losses(batch), sums)
        return [float(one) for one in sums]

    def _losses(self, batch: tuple[Tensor, ...]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        x, ids, numbers, *weights = batch
        hidden = torch.relu(self.hidden(x))
        scores, made = self.ids(hidden), self.numbers(hidden)
        first = (F.cross_entropy(scores, ids, reduction="none") * weights[0]).mean() if weights else F.cross_entropy(scores, ids)
        second = ((made - numbers).square().squeeze(1) * weights[1]).mean() if len(weights) > 1 else F.mse_loss(made, numbers)
        return (scores, made), (first + FACTOR * second, first, second)

    def _add(self, batch: tuple[Tensor, ...], outputs: tuple[Tensor, Tensor], losses: tuple[Tensor, ...], sums: list[Tensor]) -> None:
        x, ids, numbers, *weights = batch
        for total, value in zip(sums, losses, strict=False):
            total.add_(value, alpha=len(x))
        if not self.row.metrics:
            return
        right, error = outputs[0].argmax(1) == ids, (outputs[1] - numbers).abs()
        sums[3].add_(right.sum())
        sums[4].add_(error.sum())
        if self.row.weighted_metrics:
            sums[5].add_((right * weights[0]).sum())
            sums[6].add_(weights[0].sum())
            sums[7].add_((error.squeeze(1) * weights[1]).sum())
            sums[8].add_(weights[1].sum())


def tuned(samples: int, row: Row) -> dict[str, Callable[[], Any]]:
    """The quickest of the optimizer's forms, tried for some steps each."""
    flags: list[dict[str, Any]] = [{"foreach": True}, {"foreach": False}, {"fused": True}]
    trials = [Tuned(10 * BATCH, row, one) for one in flags]
    took = [min(_seconds(trial.epoch) for _ in range(5)) for trial in trials]
    loop = Tuned(samples, row, flags[took.index(min(took))])
    return {"train": loop.epoch, "evaluate": loop.evaluate}


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(arguments: list[str]) -> int:
    """Print the ratio of each row's step, trained and evaluated, to that of the tuned loop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks weighted", description=__doc__)
    parser.add_argument("--row", action="append", choices=list(ROWS), help="one of the rows (again for more; default: all)")
    parser.add_argument("--samples", type=int, default=25600, help="in an epoch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a machine busy with other work")
    options = parser.parse_args(arguments)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    steps = -(-options.samples // BATCH)
    compare = functools.partial(harness.compare, baseline="tuned", rounds=options.rounds, warmup=2, clock=clock)
    with harness.threads(options.threads):
        for name in options.row or ROWS:
            calls = {rival: make(options.samples, ROWS[name]) for rival, make in {"tuned": tuned, "torchkeras": ours}.items()}
            for action in ACTIONS:
                _print(ROWS[name], action, steps, compare({rival: actions[action] for rival, actions in calls.items()}))
    return 0


def _print(row: Row, action: str, steps: int, result: harness.Comparison) -> None:
    excess = result.excess("torchkeras").median / steps
    met = result.ratio("torchkeras").median <= RATIO_GOAL or excess <= EXCESS_GOAL
    print(f"{row.title}, {action}: {result.time('tuned').median / steps * 1e6:,.0f} us a step of the tuned loop; torchkeras", end=" ")
    print(f"{result.ratio('torchkeras')} of it ({excess * 1e6:+,.0f} us): {'goal met' if met else 'goal missed'}", flush=True)
