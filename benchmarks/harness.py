"""Timing by ratio: contestants take turns in one run, so that what disturbs the machine disturbs them all."""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


class Seconds(float):
    """Returned by a contestant that measured itself, in another process say: taken in place of the harness's own time."""


@dataclass(frozen=True)
class Spread:
    """Median of some rounds, with the least and the greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of one value a round."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


@dataclass(frozen=True)
class Comparison:
    """What one interleaved run measured: seconds a call, by contestant and round."""

    seconds: dict[str, list[float]]
    baseline: str

    def time(self, name: str) -> Spread:
        """Seconds a call of one contestant."""
        return Spread.of(self.seconds[name])

    def ratio(self, name: str) -> Spread:
        """Time over the baseline's time in the same round."""
        return Spread.of([mine / base for mine, base in zip(self.seconds[name], self.seconds[self.baseline], strict=True)])

    def excess(self, name: str) -> Spread:
        """Seconds a call over the baseline's in the same round."""
        return Spread.of([mine - base for mine, base in zip(self.seconds[name], self.seconds[self.baseline], strict=True)])


def compare(
    contestants: Mapping[str, Callable[[], Any]],
    *,
    baseline: str,
    rounds: int = 7,
    warmup: int = 1,
    least_seconds: float = 0.1,
    clock: Callable[[], float] = time.perf_counter,
    on_round: Callable[[int], None] | None = None,
) -> Comparison:
    """Time contestants in turns.

    Each round calls every one of them, in an order that moves on by one place a round. One that is quicker than `least_seconds` is called
    several times in a row. Objects made before the first round are kept from the garbage collector's sight, since one contestant's would
    slow down the others; it collects before each measurement and stays on during it, as in a user's program.

    Args:
        contestants: What to call, by name. It should end with its work done (on a GPU: synchronized). Where it returns `Seconds`, those count.
        baseline: Name of the contestant that the others are compared with.
        rounds: How many times each is measured.
        warmup: Calls of each before the first round, one at least: the last also tells how often to call it.
        least_seconds: Length of one measurement, at least.
        clock: `time.perf_counter`, or `time.process_time` on a machine that is busy with other work.
        on_round: Called with the number of each round when it ends.

    Raises:
        ValueError: the baseline is none of the contestants, or there is no round or no warm-up.
    """
    if baseline not in contestants:
        raise ValueError(f"The baseline {baseline!r} is none of the contestants {list(contestants)}.")
    if rounds < 1 or warmup < 1:
        raise ValueError(f"compare needs a round and a warm-up at least, but got rounds={rounds}, warmup={warmup}.")
    repeats = {}
    for name, call in contestants.items():
        took = [_measure(call, 1, clock) for _ in range(warmup)][-1]
        repeats[name] = max(1, math.ceil(least_seconds / max(took, 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                seconds[name].append(_measure(contestants[name], repeats[name], clock))
            if on_round is not None:
                on_round(number)
    finally:
        gc.unfreeze()
    return Comparison(seconds, baseline)


def _measure(call: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    """Seconds a call, over some calls in a row."""
    gc.collect()
    own = 0.0
    measured_itself = False
    start = clock()
    for _ in range(repeats):
        result = call()
        if isinstance(result, Seconds):
            own += result
            measured_itself = True
    took = clock() - start
    return (own if measured_itself else took) / repeats


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Hold torch to some threads inside a `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine(device: str = "cpu") -> str:
    """One line on the processor, the versions and how busy the machine is."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), processor)
    if device.startswith("cuda"):
        processor += f" with {torch.cuda.get_device_name(device)}"
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{processor}, {os.cpu_count()} cores{load}; {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
