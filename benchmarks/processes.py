"""A training step in one process and in several: `python -m benchmarks.processes`.

Every process computes its part of the same whole batch. Beside the wall time stands the processor time of each process: on a machine
busy with other work it is the one to look at.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import programs

NAMES = ("mlp", "cnn")
BATCH = 256  # samples of the whole batch


def serve(rounds: int) -> None:
    """Train in this process, one of several or alone; the first one prints milliseconds a step."""
    import torch

    from torchkeras.callbacks.base import is_chief

    torch.set_num_threads(1)
    keras, _ = programs.load_keras("torchkeras", 1)
    found = {}
    for name in NAMES:
        steps = 100 if name == "mlp" else 4
        x, y, _ = programs.PROGRAMS[name].data(steps * BATCH)
        model = programs.compiled(name, keras)
        wall, processor = [], []
        for _ in range(rounds + 1):
            clocks = time.perf_counter(), time.process_time()
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
            wall.append((time.perf_counter() - clocks[0]) / steps)
            processor.append((time.process_time() - clocks[1]) / steps)
        found[name] = [1e3 * statistics.median(times[1:]) for times in (wall, processor)]
    if is_chief():
        print(json.dumps(found))


def run(processes: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a step, wall and processor time, of each workload."""
    starter = [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *starter, "-m", "benchmarks.processes", "--serve", "--rounds", str(rounds)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True, check=True
    )
    answer: dict[str, list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=main.__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="how many (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each (default: %(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.rounds)
        return
    print(f"whole batch of {BATCH}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| workload | processes | wall ms a step | processor ms a step, each |\n| --- | --- | --- | --- |")
    for processes in options.processes:
        for name, (wall, processor) in run(processes, options.rounds).items():
            print(f"| {name} | {processes} | {wall:.2f} | {processor:.2f} |")


if __name__ == "__main__":
    main()
