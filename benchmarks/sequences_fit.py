"""`python -m benchmarks sequences-fit`: an epoch of `fit` on masked sequences, beside a loop tuned by hand in PyTorch.

By hand means: valid steps moved to the front before training, each batch cut to its longest row, Adam fused, the loss summed in a tensor and
read once an epoch, and of two networks the one that turns out quicker: the dense kernel with a pick of each row's last valid step (in both
directions: two of them, one on rows reversed in advance), or `pack_padded_sequence`. Gates that no fused kernel has are stepped through, on
all rows of the batch or on those that still have a step. On the long-tailed lengths the same Keras model also trains on rows of unequal
length, padded per batch and bucketed, where by hand no row is padded in advance either.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import harness

RESULTS = Path(__file__).parent / "results"
BASELINE = "by hand"
FORMS = ("dense", "packed")
WORDS = 2000
MODULES = {"LSTM": nn.LSTM, "GRU": nn.GRU}


class Workload(NamedTuple):
    """One network on one kind of data."""

    title: str
    kind: str
    units: int
    size: int  # of the embedding
    batch: int
    steps: int  # of the longest row
    long_tail: bool = False  # lengths drawn from a log-normal distribution, else evenly around 55 %
    depth: int = 1
    bidirectional: bool = False
    hard: bool = False  # gates of hard_sigmoid, the default of Keras 2.2.4
    batches: int = 8


WORKLOADS = {
    "lstm": Workload("LSTM(200), 32x80, left padding, 55 % valid", "LSTM", 200, 64, 32, 80),
    "hard": Workload("LSTM(200) with hard_sigmoid gates, 32x80, left padding, 55 % valid", "LSTM", 200, 64, 32, 80, hard=True),
    "stacked": Workload("3 x LSTM(32), 64x16, left padding, 55 % valid", "LSTM", 32, 16, 64, 16, depth=3, batches=16),
    "bidirectional": Workload("Bidirectional GRU(64), 32x40, left padding, 55 % valid", "GRU", 64, 64, 32, 40, bidirectional=True),
    "long_tail": Workload("LSTM(64), 32 rows, long-tailed lengths up to 200", "LSTM", 64, 32, 32, 200, long_tail=True, batches=16),
}


class Data(NamedTuple):
    """Rows of ids, and labels."""

    rows: list[NDArray[np.int64]]
    labels: NDArray[np.float32]


def make_data(work: Workload) -> Data:
    """Noise of the right lengths."""
    generator = np.random.default_rng(0)
    count = work.batch * work.batches
    if work.long_tail:
        lengths = np.clip(generator.lognormal(np.log(work.steps / 8), 0.8, count).astype(int), 1, work.steps)
    else:
        lengths = generator.integers(max(1, work.steps // 10), work.steps + 1, count)
    lengths[0] = work.steps
    labels = generator.integers(0, 2, count).astype("float32")
    return Data([generator.integers(1, WORDS, length) for length in lengths], labels)


class SteppedLSTM(nn.Module):
    """An LSTM with hard_sigmoid gates: one matrix product for all inputs, then step by step."""

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.inward, self.onward = nn.Linear(size, 4 * units), nn.Linear(units, 4 * units, bias=False)

    def forward(self, vectors: Tensor) -> tuple[Tensor, None]:
        """(batch, steps, size) -> (batch, steps, units), in the place where nn.LSTM has it."""
        states = (vectors.new_zeros(len(vectors), self.onward.in_features),) * 2
        each = []
        for sums in self.inward(vectors).unbind(1):
            states = self.step(sums, *states)
            each.append(states[0])
        return torch.stack(each, 1), None

    def packed(self, vectors: Tensor, alive: list[int]) -> Tensor:
        """The same for rows in descending order of length, of which `alive` take part in each step -> (batch, units) each row's last output."""
        hidden = carry = vectors.new_zeros(len(vectors), self.onward.in_features)
        ended: list[Tensor] = []
        for sums, rows in zip(self.inward(vectors).unbind(1), alive, strict=True):
            ended.append(hidden[rows:])
            hidden, carry = self.step(sums[:rows], hidden[:rows], carry[:rows])
        return torch.cat((hidden, *reversed(ended)))

    def step(self, sums: Tensor, hidden: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
        """One step's new states."""
        write, keep, candidate, show = torch.addmm(sums, hidden, self.onward.weight.t()).chunk(4, 1)
        carry = _opened(keep) * carry + _opened(write) * torch.tanh(candidate)
        return _opened(show) * torch.tanh(carry), carry


def _opened(sums: Tensor) -> Tensor:
    return (0.2 * sums + 0.5).clamp(0, 1)


class Batch(NamedTuple):
    """Rows that begin with their valid steps, cut to the longest."""

    ids: Tensor
    reversed: Tensor  # the same, each row from its end
    lengths: NDArray[np.int64]


class Network(nn.Module):
    """Embedding, recurrent stack and a logit."""

    def __init__(self, work: Workload, form: str) -> None:
        super().__init__()
        self.form, self.both, self.hard = form, work.bidirectional, work.hard
        self.embedding = nn.Embedding(WORDS, work.size)
        apart = self.both and form == "dense"
        kind, options = MODULES[work.kind], {"batch_first": True, "bidirectional": self.both and not apart}
        self.stack = SteppedLSTM(work.size, work.units) if self.hard else kind(work.size, work.units, work.depth, **options)
        self.back = kind(work.size, work.units, work.depth, batch_first=True) if apart else None
        self.dense = nn.Linear(work.units * (1 + self.both), 1)

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits."""
        return self.dense(self.read(batch)).squeeze(1)

    def read(self, batch: Batch) -> Tensor:
        """(batch, units) the output at each row's last valid step, of both directions."""
        vectors = self.embedding(batch.ids)
        lengths = torch.from_numpy(batch.lengths)
        if self.hard and self.form == "packed":
            order = np.argsort(-batch.lengths, kind="stable")
            alive = (batch.lengths[:, None] > np.arange(vectors.shape[1])).sum(0).tolist()
            return self.stack.packed(vectors[torch.from_numpy(order)], alive)[torch.from_numpy(np.argsort(order))]
        if self.form == "packed":
            hidden = self.stack(nn.utils.rnn.pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False))[1]
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            return torch.cat((hidden[-2], hidden[-1]), 1) if self.both else hidden[-1]
        last = torch.arange(len(vectors)), lengths - 1
        if self.back is None:
            return self.stack(vectors)[0][last]
        return torch.cat((self.stack(vectors)[0][last], self.back(self.embedding(batch.reversed))[0][last]), 1)


def by_hand(work: Workload, data: Data, form: str) -> Callable[[], float]:
    """An epoch of the tuned loop; its mean loss."""
    lengths = np.array([len(row) for row in data.rows])
    ids = torch.zeros(2, len(lengths), work.steps, dtype=torch.int64)
    for place, back, row in zip(*ids, data.rows, strict=True):
        place[: len(row)] = torch.from_numpy(row)
        back[: len(row)] = place[: len(row)].flip(0)
    labels, network = torch.from_numpy(data.labels), Network(work, form)
    optimizer = torch.optim.Adam(network.parameters(), eps=1e-7, fused=True)

    def epoch() -> float:
        total = torch.zeros(())
        for rows in torch.randperm(len(labels)).split(work.batch):
            own = lengths[rows.numpy()]
            logits = network(Batch(ids[0, rows, : own.max()], ids[1, rows, : own.max()] if network.back is not None else ids[1], own))
            loss = F.binary_cross_entropy_with_logits(logits, labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())
        return total.item() / work.batches

    return epoch


def better_by_hand(work: Workload, data: Data) -> Callable[[], float]:
    """The quicker of the two networks, tried for some epochs each in turns."""
    calls = [by_hand(work, data, form) for form in FORMS]
    took = [[_seconds(call) for call in calls] for _ in range(3)]
    return calls[int(np.argmin(np.min(took, axis=0)))]


def _seconds(call: Callable[[], float]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def by_fit(work: Workload, data: Data, form: str) -> Callable[[], float]:
    """An epoch of `fit`: on padded rows, or on rows padded per batch, bucketed by length or not."""
    from torchkeras.layers import GRU, LSTM, Bidirectional, Dense, Embedding
    from torchkeras.models import Sequential
    from torchkeras.preprocessing.sequence import Ragged, pad_sequences

    model = Sequential([Embedding(WORDS, work.size, mask_zero=True, input_shape=(None,))])
    for number in range(work.depth):
        gates: dict[str, Any] = {"recurrent_activation": "hard_sigmoid"} if work.hard else {}
        layer = {"LSTM": LSTM, "GRU": GRU}[work.kind](work.units, return_sequences=number < work.depth - 1, **gates)
        model.add(Bidirectional(layer) if work.bidirectional else layer)
    model.add(Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    side = "post" if work.long_tail else "pre"
    x = pad_sequences(data.rows, padding=side, dtype="int64") if form == "fit" else Ragged(data.rows, bucket="bucketed" in form)
    return lambda: model.fit(x, data.labels, batch_size=work.batch, verbose=0).history["loss"][0]


def contestants(work: Workload, data: Data) -> dict[str, Callable[[], float]]:
    """What is timed, by name; each returns the epoch's loss."""
    calls = {BASELINE: better_by_hand(work, data), "fit": by_fit(work, data, "fit")}
    if work.long_tail:
        calls.update({form: by_fit(work, data, form) for form in ("padded per batch", "and bucketed")})
    return calls


def table(results: dict[str, harness.Comparison]) -> str:
    """Milliseconds a step by hand, and the others' time over it."""
    header = ["an epoch of training", f"{BASELINE}, ms a step", "fit", "padded per batch", "and bucketed"]
    rows = []
    for name, result in results.items():
        work = WORKLOADS[name]
        ratios = [str(result.ratio(form)) if form in result.seconds else "" for form in header[2:]]
        rows.append([work.title, f"{result.time(BASELINE).median * 1e3 / work.batches:.2f}", *ratios])
    return harness.markdown_table(header, rows)


def main(arguments: list[str]) -> int:
    """Measure, print the table and write it to `results/`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sequences-fit", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="again for more; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    results = {}
    with harness.threads(options.threads):
        for name in options.workload or WORKLOADS:
            work = WORKLOADS[name]
            calls = contestants(work, make_data(work))
            results[name] = harness.compare(calls, baseline=BASELINE, rounds=options.rounds, warmup=2, clock=clock)
            print(f"{work.title}: fit {results[name].ratio('fit')}", file=sys.stderr)
    timing = "processor" if options.clock == "cpu" else "wall"
    footer = f"{harness.machine()}; {options.threads} thread(s), {options.rounds} interleaved rounds, {timing} time."
    body = f"{table(results)}\n\nTimes over those of the loop by hand, median (least-greatest round).\n\n{footer}\n"
    print(body)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"sequences-fit-{options.threads}.md").write_text(body, encoding="utf-8")
    return 0
