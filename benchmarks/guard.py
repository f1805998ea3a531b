"""`python -m benchmarks guard OLD NEW`: whether a commit made torchkeras slower, by interleaved ratios of two checkouts."""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import harness, programs
from benchmarks.peers import Unavailable
from benchmarks.training import ACTIONS, Worker, samples_for

ROOT = Path(__file__).parent.parent
STEPS = {"softmax": 400, "mlp": 200, "two": 200, "two_weighted": 200, "lstm": 40}  # in an epoch; 8 of the slower ones


def checkout(revision: str, folder: Path, stack: ExitStack) -> Path:
    """A worktree of a revision, removed when the stack closes."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", "--quiet", str(folder), revision], check=True)
    stack.callback(subprocess.run, [*git, "remove", "--force", str(folder)], check=True)
    return folder


def worker(tree: Path, name: str, samples: int, options: argparse.Namespace) -> Worker:
    """The torchkeras of one checkout, running one of this checkout's programs."""
    found = Worker(sys.executable, "torchkeras", name, samples, options, env={**os.environ, "PYTHONPATH": str(tree)})
    if tree not in Path(found.about["file"]).parents:
        raise RuntimeError(f"The worker for {tree} imported torchkeras from {found.about['file']}.")
    return found


def main(arguments: list[str]) -> int:
    """Print the ratio of each workload and action; 1 where the new commit is slower beyond the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks guard", description=__doc__)
    parser.add_argument("old", help="revision to compare with")
    parser.add_argument("new", help="revision that may be slower")
    parser.add_argument("--workload", action="append", choices=list(programs.PROGRAMS), help="one of the workloads (default: softmax, mlp, lstm)")
    parser.add_argument("--limit", type=float, default=1.05, help="greatest ratio that passes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=11, help="measurements of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="cpu", help="processor or wall time (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        slower = slower_in(options)
    except (Unavailable, subprocess.CalledProcessError) as error:
        print(f"Could not compare {options.old} with {options.new}: {error}", file=sys.stderr)
        return 2
    print(f"{options.new} against {options.old}: " + (f"slower than {options.limit} times in {', '.join(slower)}" if slower else "no slower"))
    return 1 if slower else 0


def slower_in(options: argparse.Namespace) -> list[str]:
    """Measure, print each ratio, and name the workloads and actions that are slower beyond the limit."""
    slower = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torchkeras-guard-"))).resolve()
        trees = {side: checkout(getattr(options, side), folder / side, stack) for side in ("old", "new")}
        for name in options.workload or ("softmax", "mlp", "lstm"):
            samples = samples_for(name, STEPS.get(name, 8))
            steps = math.ceil(samples / programs.PROGRAMS[name].batch)
            with ExitStack() as workers:
                pair = {side: workers.enter_context(worker(tree, name, samples, options)) for side, tree in trees.items()}
                for action in ACTIONS:
                    calls = {side: one.actions()[action] for side, one in pair.items()}
                    result = harness.compare(calls, baseline="old", rounds=options.rounds, warmup=2, least_seconds=0.2, clock=time.perf_counter)
                    ratio = result.ratio("new")
                    verdict = "slower" if ratio.median > options.limit else "fine"
                    step = result.time("old").median / steps * 1e6
                    print(f"{name:12} {action:8} {step:9,.0f} us a step before, ratio {ratio}: {verdict}", flush=True)
                    if ratio.median > options.limit:
                        slower.append(f"{name} {action}")
    return slower
