"""`python -m benchmarks sequences`: masked recurrent layers, form by form, beside the same by hand in PyTorch.

The layer is called on a batch of padded rows with its mask, forward and backward or without gradients. By hand means what one writes with
`torch.nn`: the valid steps of each row moved to the front by one index, cut to the longest row, then the dense kernel and a pick of each row's
last valid step, or `pack_padded_sequence`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import harness

RESULTS = Path(__file__).parent / "results"
BASELINE = "torch dense"
FORMS = ("auto", "dense", "packed", "scan")
MODULES = {"LSTM": nn.LSTM, "GRU": nn.GRU, "SimpleRNN": nn.RNN}


class Workload(NamedTuple):
    """One kind of layer on one kind of batch."""

    title: str
    kind: str
    units: int
    size: int
    batch: int
    steps: int
    valid: float  # share of the steps, on average
    depth: int = 1
    bidirectional: bool = False


WORKLOADS = {
    "lstm": Workload("LSTM(200), 32x80, 55 % valid", "LSTM", 200, 64, 32, 80, 0.55),
    "lstm_full": Workload("LSTM(200), 32x80, all valid", "LSTM", 200, 64, 32, 80, 1.0),
    "lstm_sparse": Workload("LSTM(200), 32x80, 20 % valid", "LSTM", 200, 64, 32, 80, 0.2),
    "gru": Workload("GRU(200), 32x80, 55 % valid", "GRU", 200, 64, 32, 80, 0.55),
    "rnn": Workload("SimpleRNN(200), 32x80, 55 % valid", "SimpleRNN", 200, 64, 32, 80, 0.55),
    "stacked": Workload("3 x LSTM(32), 64x16, 55 % valid", "LSTM", 32, 16, 64, 16, 0.55, depth=3),
    "bidirectional": Workload("Bidirectional GRU(64), 32x40, 55 % valid", "GRU", 64, 64, 32, 40, 0.55, bidirectional=True),
}


class Batch(NamedTuple):
    """Rows padded on the left, and what a tuned loop works out before it starts."""

    inputs: Tensor
    mask: Tensor
    lengths: Tensor


def make_batch(work: Workload) -> Batch:
    """Noise, with lengths spread evenly around the share of valid steps."""
    generator = torch.Generator().manual_seed(0)
    spread = int(min(work.valid, 1 - work.valid) * work.steps)
    middle = round(work.valid * work.steps)
    lengths = torch.randint(middle - spread, middle + spread + 1, (work.batch,), generator=generator).clamp(1, work.steps)
    mask = torch.arange(work.steps) >= work.steps - lengths.unsqueeze(1)
    return Batch(torch.randn(work.batch, work.steps, work.size, generator=generator, requires_grad=True), mask, lengths)


def by_hand(work: Workload, form: str) -> tuple[nn.Module, Callable[[Batch], Tensor]]:
    """The module of torch, and the last valid step's output (of both directions) for a batch."""
    module = MODULES[work.kind](work.size, work.units, work.depth, batch_first=True, bidirectional=work.bidirectional)

    def front(batch: Batch) -> Tensor:
        order = torch.argsort(~batch.mask, dim=1, stable=True)[:, : int(batch.lengths.max())]
        flat = order + work.steps * torch.arange(work.batch).unsqueeze(1)
        return batch.inputs.flatten(0, 1).index_select(0, flat.view(-1)).view(work.batch, -1, work.size)

    def packed(batch: Batch) -> Tensor:
        rows = nn.utils.rnn.pack_padded_sequence(front(batch), batch.lengths, batch_first=True, enforce_sorted=False)
        _, last = module(rows)
        hidden = last[0] if isinstance(last, tuple) else last
        return torch.cat((hidden[-2], hidden[-1]), 1) if work.bidirectional else hidden[-1]

    def dense(batch: Batch) -> Tensor:
        outputs, _ = module(front(batch))
        return outputs[torch.arange(work.batch), batch.lengths - 1]

    return module, packed if form == "packed" or work.bidirectional else dense


def by_layer(work: Workload, form: str) -> nn.Module:
    """The Keras layers."""
    from torchkeras import layers

    made = []
    for number in range(work.depth):
        layer = getattr(layers, work.kind)(work.units, return_sequences=number < work.depth - 1, masked=form)
        made.append(layers.Bidirectional(layer) if work.bidirectional else layer)
    return nn.Sequential(*made)


def run_layers(stack: nn.Sequential, batch: Batch) -> Tensor:
    """The output of the last layer; every one gets the mask."""
    hidden = batch.inputs
    for layer in stack:
        hidden = layer(hidden, mask=batch.mask)
    return hidden


def contestants(work: Workload, batch: Batch, action: str) -> dict[str, Callable[[], Tensor]]:
    """What is timed, by name; each returns the output."""
    calls: dict[str, Callable[[], Tensor]] = {}
    for form in ("dense", "packed"):
        _, call = by_hand(work, form)
        calls[f"torch {form}"] = lambda call=call: call(batch)  # type: ignore[misc]
    for form in FORMS:
        stack = by_layer(work, form)
        calls[form] = lambda stack=stack: run_layers(stack, batch)  # type: ignore[misc]
    wrap = trained if action == "train" else inferred
    return {name: wrap(call, batch) for name, call in calls.items()}


def trained(call: Callable[[], Tensor], batch: Batch) -> Callable[[], Tensor]:
    """Forward and backward."""

    def step() -> Tensor:
        batch.inputs.grad = None
        output = call()
        output.sum().backward()
        return output

    return step


def inferred(call: Callable[[], Tensor], batch: Batch) -> Callable[[], Tensor]:
    """Forward alone."""

    def step() -> Tensor:
        with torch.inference_mode():
            return call()

    return step


def measure(name: str, action: str, rounds: int, clock: Callable[[], float]) -> harness.Comparison:
    """All forms of one workload in one interleaved run."""
    work = WORKLOADS[name]
    return harness.compare(contestants(work, make_batch(work), action), baseline=BASELINE, rounds=rounds, warmup=2, clock=clock)


def table(results: dict[tuple[str, str], harness.Comparison]) -> str:
    """Milliseconds of the hand-written dense form, and each other's time over it."""
    header = ["layer", "", f"{BASELINE}, ms", "torch packed", *FORMS]
    rows = [
        [WORKLOADS[name].title, action, f"{result.time(BASELINE).median * 1e3:.2f}", *(str(result.ratio(other)) for other in header[3:])]
        for (name, action), result in results.items()
    ]
    return harness.markdown_table(header, rows)


def main(arguments: list[str]) -> int:
    """Measure, print the table and write it to `results/`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sequences", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="again for more; default: all")
    parser.add_argument("--action", action="append", choices=["train", "predict"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    results = {}
    with harness.threads(options.threads):
        for name in options.workload or WORKLOADS:
            for action in options.action or ["train", "predict"]:
                results[name, action] = measure(name, action, options.rounds, clock)
                print(f"{WORKLOADS[name].title}, {action}: auto {results[name, action].ratio('auto')}", file=sys.stderr)
    timing = "processor" if options.clock == "cpu" else "wall"
    footer = f"{harness.machine()}; {options.threads} thread(s), {options.rounds} interleaved rounds, {timing} time."
    body = f"{table(results)}\n\nTimes over those of the dense form by hand, median (least-greatest round).\n\n{footer}\n"
    print(body)
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / f"sequences-{options.threads}"
    stem.with_suffix(".md").write_text(body, encoding="utf-8")
    raw = [{"workload": name, "action": action, "seconds": result.seconds} for (name, action), result in results.items()]
    stem.with_suffix(".json").write_text(json.dumps({"about": footer, "rows": raw}, indent=1), encoding="utf-8")
    return 0
