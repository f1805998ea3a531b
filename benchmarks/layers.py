"""`python -m benchmarks layers`: forward and backward of each layer over the nearest layer of torch.nn, worst ratio first.

One call of a small layer takes some tens of microseconds, so other work on the machine disturbs some of the measurements and only ever makes
them longer. Each side is measured many times in short turns, and the lower quartiles are compared.
"""

from __future__ import annotations

import argparse
import functools
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import harness
from benchmarks.layer_pairs import SIZES, Pair, over_space
from benchmarks.layer_twins import Twin, on_one_layout

RATIO_GOAL = 1.05
EXCESS_GOAL = 5e-6  # seconds, where the input is tiny
NEAR = 3e-6  # seconds more than the same kernel by hand on data in Keras' layout


def pairs() -> list[Pair | Twin]:
    """All layers that are compared."""
    return [*over_space(), *on_one_layout()]


def step(layer: nn.Module, arguments: list[Any], cotangent: Tensor, wanted: list[Tensor]) -> Any:
    """One pass forward and backward."""
    return torch.autograd.grad(layer(*arguments), wanted, cotangent)


def forward(layer: nn.Module, arguments: list[Any]) -> Any:
    """One pass forward, without gradients."""
    with torch.no_grad():
        return layer(*arguments)


def calls(pair: Pair | Twin, size: str, *, backward: bool = True) -> dict[str, Callable[[], Any]]:
    """What is timed, by contestant."""
    found: dict[str, Callable[[], Any]] = {}
    for name, (layer, arguments) in pair.contestants(size).items():
        tensors = arguments[0] if isinstance(arguments[0], list) else arguments
        for one in tensors:
            one.requires_grad_(one.is_floating_point())
        output = layer(*arguments)
        wanted = [one for one in [*tensors, *layer.parameters()] if one.requires_grad]
        both = functools.partial(step, layer, arguments, torch.randn_like(output), wanted)
        found[name] = both if backward else functools.partial(forward, layer, arguments)
    return found


@dataclass(frozen=True)
class Row:
    """What was measured of one layer: seconds a call, by contestant and turn."""

    name: str
    seconds: Mapping[str, list[float]]

    def time(self, contestant: str, quarter: int = 1) -> float:
        """A quartile of the seconds a call: the lower one, 2 for the median."""
        return statistics.quantiles(self.seconds[contestant], n=4, method="inclusive")[quarter - 1]

    def ratio(self, contestant: str = "ours", quarter: int = 1) -> float:
        """Time over that of torch.nn."""
        return self.time(contestant, quarter) / self.time("theirs", quarter)

    @property
    def excess(self) -> float:
        """Seconds a call that ours takes more."""
        return self.time("ours") - self.time("theirs")

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.ratio() <= RATIO_GOAL or self.excess <= EXCESS_GOAL

    @property
    def pays_for_layout(self) -> bool:
        """Whether the goal is missed, but hardly more is paid than torch's own kernel by hand on data in Keras' layout."""
        if self.met or "by hand" not in self.seconds:
            return False
        return self.ratio() <= RATIO_GOAL * self.ratio("by hand") or self.time("ours") - self.time("by hand") <= NEAR

    def cells(self) -> list[str]:
        """The row of the table."""
        other, hand = "theirs, channels last", "by hand"
        return [
            self.name + ("" if self.met else " (layout)" if self.pays_for_layout else " (missed)"),
            f"{self.time('theirs') * 1e6:.0f}",
            f"{self.ratio():.2f} ({self.ratio(quarter=2):.2f})",
            f"{self.excess * 1e6:+.1f}",
            f"{self.ratio(other):.2f}" if other in self.seconds else "",
            f"{self.ratio(hand):.2f}" if hand in self.seconds else "",
            f"{(self.time('ours') - self.time(hand)) * 1e6:+.1f}" if hand in self.seconds else "",
        ]


def measure(name: str, contest: Mapping[str, Callable[[], Any]], turns: int, least_seconds: float, clock: Callable[[], float]) -> Row:
    """Time the contestants in turns, in an order that moves on by one place a turn."""
    names = list(contest)
    repeats, seconds = {}, {one: [0.0] * turns for one in names}
    for one in names:
        took = [_turn(contest[one], 1, clock) for _ in range(10)][-1]
        repeats[one] = max(1, math.ceil(least_seconds / max(took, 1e-9)))
    gc.collect()
    gc.disable()
    try:
        for turn in range(turns):
            first = turn % len(names)
            for one in names[first:] + names[:first]:
                seconds[one][turn] = _turn(contest[one], repeats[one], clock)
    finally:
        gc.enable()
    return Row(name, seconds)


def _turn(call: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    """Seconds a call."""
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def main(arguments: list[str]) -> int:
    """Print the table; 1 where a layer misses the goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks layers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="layers whose name has this in it")
    parser.add_argument("--size", choices=list(SIZES), action="append", help="sizes of the input (default: all)")
    parser.add_argument("--turns", type=int, default=60, help="measurements of each side (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.001, help="length of one measurement, at least (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a busy machine (default: %(default)s)")
    parser.add_argument("--forward", action="store_true", help="the forward pass alone, without gradients")
    parser.add_argument("--save", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    clock = time.perf_counter if options.clock == "wall" else time.thread_time if options.threads == 1 else time.process_time
    passes = "forward" if options.forward else "forward and backward"
    head = f"{harness.machine()}; {passes}, {options.turns} turns, {options.threads} threads, {options.clock} clock."
    print(head, flush=True)
    rows = []
    with harness.threads(options.threads):
        for pair in pairs():
            for size in options.size or SIZES:
                if options.only.lower() in pair.name.lower():
                    contest = calls(pair, size, backward=not options.forward)
                    rows.append(measure(f"{pair.name}, {size}", contest, options.turns, options.seconds, clock))
    rows.sort(key=Row.ratio, reverse=True)
    met = sum(row.met for row in rows)
    layout = sum(row.pays_for_layout for row in rows)
    header = ["layer, input", "torch.nn, us", "ours / torch.nn (medians)", "ours more, us"]
    header += ["torch.nn, channels last / torch.nn", "by hand / torch.nn", "ours more than by hand, us"]
    table = harness.markdown_table(header, [row.cells() for row in rows])
    end = (
        f"{met} of {len(rows)} are within {RATIO_GOAL} of torch.nn, or {EXCESS_GOAL * 1e6:.0f} us of it; {layout} more (layout) are within "
        f"{RATIO_GOAL} or {NEAR * 1e6:.0f} us of torch's kernel by hand on data in Keras' layout (two permutes around it)."
    )
    print(f"{table}\n{end}")
    if options.save is not None:
        options.save.write_text(f"# Layers over the nearest of torch.nn\n{head}\n\n{table}\n\n{end}\n", encoding="utf-8")
    return 0 if met == len(rows) else 1
