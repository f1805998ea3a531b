"""`python -m benchmarks growth`: how a training step grows with batch size, depth and epochs, beside the tuned loop."""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import harness

RESULTS = Path(__file__).parent / "results"
BATCHES, DEPTHS = (1, 8, 64, 512, 4096), (10, 100, 1000)
FEATURES, CLASSES, UNITS = 93, 9, 16


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise."""
    random = np.random.RandomState(0)
    return random.standard_normal((samples, FEATURES)).astype("float32"), random.randint(0, CLASSES, samples)


def ours(widths: list[int], samples: int, batch: int) -> Callable[[], Any]:
    """An epoch of `fit` of a stack of Dense."""
    from torchkeras import layers, models

    stack: list[Any] = [layers.Dense(width, activation="relu") for width in widths]
    model = models.Sequential([layers.InputLayer((FEATURES,)), *stack, layers.Dense(CLASSES, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = data(samples)
    return lambda: model.fit(x, y, batch_size=batch, verbose=0)


def tuned(widths: list[int], samples: int, batch: int) -> Callable[[], Any]:
    """The same by hand."""
    sizes = [FEATURES, *widths]
    layers = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), fused=True, eps=1e-7)
    x, y = (torch.from_numpy(part) for part in data(samples))

    def epoch() -> float:
        total = torch.zeros(())
        order = torch.randperm(samples)
        for inputs, targets in zip(x[order].split(batch), y[order].split(batch), strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total.add_(loss.detach(), alpha=len(inputs))
        return total.item() / samples

    return epoch


def row(title: str, widths: list[int], batch: int, steps: int, options: argparse.Namespace) -> list[str]:
    """One row of the table."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    calls = {name: make(widths, steps * batch, batch) for name, make in {"tuned": tuned, "torchkeras": ours}.items()}
    result = harness.compare(calls, baseline="tuned", rounds=options.rounds, warmup=2, clock=clock)
    mine, base = result.time("torchkeras").median / steps, result.time("tuned").median / steps
    print(f"  {title}: {result.ratio('torchkeras')}", file=sys.stderr)
    return [title, f"{base * 1e6:,.0f}", f"{mine * 1e6:,.0f}", str(result.ratio("torchkeras"))]


def epochs(options: argparse.Namespace) -> str:
    """Whether the epochs of one long training grow."""
    from benchmarks import long_runs

    times = long_runs.epoch_times(options.epochs)
    tenth = max(len(times) // 10, 1)
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    inner = statistics.quantiles(times[-tenth:], n=10)
    return (
        f"One training of {options.epochs} epochs of 8 steps: an epoch takes {first * 1e3:.2f} ms in the first tenth, {last * 1e3:.2f} in the last "
        f"({inner[0] * 1e3:.2f}-{inner[-1] * 1e3:.2f} from the first to the ninth decile), {last / first:.2f} of it.\n"
    )


def main(arguments: list[str]) -> int:
    """Print the tables and write them to the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=1000, help="of the long training (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a machine busy with other work")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    options = parser.parse_args(arguments)
    machine = harness.machine()
    with harness.threads(options.threads):
        rows = [row(f"MLP 93->100->9, batch {batch}", [100], batch, 100 if batch < 4096 else 10, options) for batch in BATCHES]
        rows += [row(f"{depth} layers of {UNITS}, batch 32", [UNITS] * (depth - 1), 32, max(2, 200 // depth), options) for depth in DEPTHS]
        body = harness.markdown_table(["training step of", "tuned, us", "torchkeras, us", "ratio"], rows)
        text = "\n".join(
            [body, "", epochs(options), f"{machine}; {options.threads} thread(s), {options.rounds} interleaved rounds, {options.clock} time.", ""]
        )
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"growth-{options.threads}.md").write_text(text, encoding="utf-8")
    return 0
