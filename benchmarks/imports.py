"""`python -m benchmarks imports`: what `import torchkeras` costs over `import torch`."""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import harness

GOAL = 0.15  # seconds
ROOT = Path(__file__).parent.parent


def run(*modules: str) -> harness.Seconds:
    """Seconds that the last of some modules takes to import after the others, in a fresh interpreter that ends without tearing torch down."""
    lines = [*(f"import {module}" for module in modules[:-1]), "start = time.perf_counter()", f"import {modules[-1]}"]
    code = "\n".join(["import os, time", *lines, "print(time.perf_counter() - start, flush=True)", "os._exit(0)"])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return harness.Seconds(done.stdout)


def slowest(count: int) -> list[str]:
    """The modules that take longest for themselves after torch is there."""
    command = [sys.executable, "-X", "importtime", "-c", "import torch; import sys; print('import time: own', file=sys.stderr); import torchkeras"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stderr.partition("import time: own")[2].splitlines()
    entries = [line.removeprefix("import time:").split("|") for line in lines if line.count("|") == 2]
    ranked = sorted(((int(own), name.strip()) for own, _, name in entries if own.strip().isdigit()), reverse=True)
    return [f"{own / 1e6:.3f} s {name}" for own, name in ranked[:count]]


def main(arguments: list[str]) -> int:
    """Print the difference, and the modules that cost most; 1 where the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks imports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="fresh interpreters of each kind (default: %(default)s)")
    parser.add_argument("--slowest", type=int, default=8, help="how many modules to list (default: %(default)s)")
    options = parser.parse_args(arguments)
    calls = {"torch": functools.partial(run, "torch"), "torchkeras": functools.partial(run, "torch", "torchkeras")}
    result = harness.compare(calls, baseline="torch", rounds=options.rounds, warmup=1, least_seconds=0)
    extra = result.time("torchkeras")
    met = extra.median <= GOAL
    print(f"{harness.machine()}; {options.rounds} interleaved rounds of fresh interpreters.")
    print(f"import torch             {result.time('torch')} s")
    print(f"import torchkeras after  {extra.median:.3f} ({extra.low:.3f}-{extra.high:.3f}) s; the goal of {GOAL} s is {'met' if met else 'missed'}.")
    print("Slowest for themselves, torch apart:")
    for line in slowest(options.slowest):
        print(f"  {line}")
    return 0 if met else 1
