"""`python -m benchmarks sequences-fit`: an epoch of `fit` on masked sequences, beside a loop tuned by hand in PyTorch.

By hand means: valid steps moved to the front before training, each batch cut to its longest row, the better of the dense kernel and
`pack_padded_sequence` for that network, Adam fused, the loss summed in a tensor and read once an epoch. On the long-tailed lengths the
same Keras model also trains on rows of unequal length, padded per batch and bucketed, where by hand no row is padded in advance either.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import harness

RESULTS = Path(__file__).parent / "results"
BASELINE = "by hand"
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
    batches: int = 8


WORKLOADS = {
    "lstm": Workload("LSTM(200), 32x80, left padding, 55 % valid", "LSTM", 200, 64, 32, 80),
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


class Network(nn.Module):
    """Embedding, recurrent stack and a logit, on rows that begin with their valid steps."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, work.size)
        self.stack = MODULES[work.kind](work.size, work.units, work.depth, batch_first=True, bidirectional=work.bidirectional)
        self.dense = nn.Linear(work.units * (1 + work.bidirectional), 1)
        self.both = work.bidirectional

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(batch, steps) and the valid steps of each row -> (batch,) logits."""
        vectors = self.embedding(ids)
        if self.both:
            packed = nn.utils.rnn.pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
            hidden = self.stack(packed)[1]
            return self.dense(torch.cat((hidden[-2], hidden[-1]), 1)).squeeze(1)
        outputs, _ = self.stack(vectors)
        return self.dense(outputs[torch.arange(len(ids)), lengths - 1]).squeeze(1)


def by_hand(work: Workload, data: Data) -> Callable[[], float]:
    """An epoch of the tuned loop; its mean loss."""
    lengths = np.array([len(row) for row in data.rows])
    ids = torch.zeros(len(lengths), work.steps, dtype=torch.int64)
    for place, row in zip(ids, data.rows, strict=True):
        place[: len(row)] = torch.from_numpy(row)
    labels, network = torch.from_numpy(data.labels), Network(work)
    optimizer = torch.optim.Adam(network.parameters(), eps=1e-7, fused=True)

    def epoch() -> float:
        total = torch.zeros(())
        for rows in torch.randperm(len(labels)).split(work.batch):
            own = lengths[rows.numpy()]
            loss = F.binary_cross_entropy_with_logits(network(ids[rows, : own.max()], torch.from_numpy(own)), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())
        return total.item() / work.batches

    return epoch


def by_fit(work: Workload, data: Data, form: str) -> Callable[[], float]:
    """An epoch of `fit`: on padded rows, or on rows padded per batch, bucketed by length or not."""
    from torchkeras.layers import GRU, LSTM, Bidirectional, Dense, Embedding
    from torchkeras.models import Sequential
    from torchkeras.preprocessing.sequence import Ragged, pad_sequences

    model = Sequential([Embedding(WORDS, work.size, mask_zero=True, input_shape=(None,))])
    for number in range(work.depth):
        layer = {"LSTM": LSTM, "GRU": GRU}[work.kind](work.units, return_sequences=number < work.depth - 1)
        model.add(Bidirectional(layer) if work.bidirectional else layer)
    model.add(Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    side = "post" if work.long_tail else "pre"
    x = pad_sequences(data.rows, padding=side, dtype="int64") if form == "fit" else Ragged(data.rows, bucket="bucketed" in form)
    return lambda: model.fit(x, data.labels, batch_size=work.batch, verbose=0).history["loss"][0]


def contestants(work: Workload, data: Data) -> dict[str, Callable[[], float]]:
    """What is timed, by name; each returns the epoch's loss."""
    calls = {BASELINE: by_hand(work, data), "fit": by_fit(work, data, "fit")}
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
