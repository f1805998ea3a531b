"""`python -m benchmarks fresh`: import time, time to the first step, and peak memory, each in processes of their own."""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import harness, report
from benchmarks.programs import PROGRAMS

ROOT = Path(__file__).parent.parent
RIVALS = ("tuned", "torchkeras", "tutorial", "ignite", "keras 3", "skorch", "poutyne", "lightning")
STEPS = 40  # whose peak is told
MEMORY_GOAL = 1.05, 20.0  # of the tuned loop, and megabytes more


def run(python: str, rival: str, name: str, steps: int, threads: int) -> dict[str, float]:
    """What a fresh process of a rival measured.

    Args:
        python: The interpreter.
        rival: One of `RIVALS`, or "keras" or "tensorflow" for a genuine Keras of another interpreter.
        name: The workload; "": import alone.
        steps: Steps to train for; an epoch of them, and a pass of prediction over the same data.
        threads: Of torch or TensorFlow.

    Returns:
        Seconds for "import" and until the first step has ended ("first"), megabytes at the "peak".

    Raises:
        RuntimeError: the process failed; its last words.
    """
    code = str(Path(__file__).with_name("one_process.py"))
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    env.pop("KERAS_BACKEND", None)
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run([python, code, rival, name or "-", str(steps)], stdout=subprocess.PIPE, stderr=errors, text=True, env=env)
        if done.returncode:
            errors.seek(0)
            raise RuntimeError((errors.read().strip().splitlines() or ["no reason given"])[-1])
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def contestants(options: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """The rivals that can be imported: interpreter and name by the name in the table."""
    from benchmarks.training import api_of

    wanted = {rival: (sys.executable, rival) for rival in RIVALS}
    wanted.update({f"{api_of(python)} of {Path(python).parents[1].name}": (python, api_of(python)) for python in options.keras})
    found = {}
    for title, (python, rival) in wanted.items():
        try:
            run(python, rival, "", 0, options.threads)
            found[title] = (python, rival)
        except RuntimeError as reason:
            print(f"  without {title}: {reason}", file=sys.stderr)
    return found


def measured(options: argparse.Namespace, rivals: dict[str, tuple[str, str]], name: str, steps: int) -> dict[str, dict[str, list[float]]]:
    """What fresh processes of all rivals measured, in turns: by rival and quantity, one value a round."""
    seen: dict[str, dict[str, list[float]]] = {}

    def once(title: str, python: str, rival: str) -> None:
        for key, value in run(python, rival, name, steps, options.threads).items():
            seen.setdefault(title, {}).setdefault(key, []).append(value)

    calls: dict[str, Callable[[], None]] = {title: functools.partial(once, title, *which) for title, which in rivals.items()}
    for number in range(options.rounds):
        names = list(calls)
        for title in names[number % len(names) :] + names[: number % len(names)]:
            if title not in seen and number:
                continue
            try:
                calls[title]()
            except RuntimeError as reason:
                print(f"  {name}: without {title}: {reason}", file=sys.stderr)
    return seen


def startup(options: argparse.Namespace, rivals: dict[str, tuple[str, str]]) -> str:
    """The table of import times and of times to the first step."""
    seen = measured(options, rivals, "mlp", 1)
    rows = [
        [
            title,
            *(
                f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"
                for spread in (harness.Spread.of(of["import"]), harness.Spread.of(of["first"]))
            ),
        ]
        for title, of in seen.items()
    ]
    title = "Processor seconds of a fresh interpreter until everything is imported, and until the first training step of the MLP has ended."
    return f"{title}\n\n{harness.markdown_table(['rival', 'imported', 'first step done'], rows)}\n"


def memory(options: argparse.Namespace, rivals: dict[str, tuple[str, str]]) -> str:
    """The table of peak memory, in megabytes over the tuned loop's."""
    header = ["workload", "tuned, MB", *(title for title in rivals if title != "tuned"), "goal"]
    rows = []
    for name in options.workload or PROGRAMS:
        print(f"  memory: {name}", file=sys.stderr)
        seen = {title: harness.Spread.of(of["peak"]) for title, of in measured(options, rivals, name, STEPS).items()}
        base = seen["tuned"].median
        cells = [
            f"{seen[title].median:,.0f} ({seen[title].low:,.0f}-{seen[title].high:,.0f})" if title in seen else "-"
            for title in rivals
            if title != "tuned"
        ]
        most = base * MEMORY_GOAL[0] + MEMORY_GOAL[1]
        met = (
            ""
            if report.OURS not in seen
            else "met"
            if seen[report.OURS].median <= most
            else f"missed: {seen[report.OURS].median - most:,.0f} MB more"
        )
        rows.append([PROGRAMS[name].title, f"{base:,.0f} ({seen['tuned'].low:,.0f}-{seen['tuned'].high:,.0f})", *cells, met])
    title = f"Peak resident megabytes of a fresh process that trains for {STEPS} steps and predicts as many (goal: 5 % + 20 MB over tuned)."
    return f"{title}\n\n{harness.markdown_table(header, rows)}\n"


def main(arguments: list[str]) -> int:
    """Print both tables and write them to the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fresh", description=__doc__)
    parser.add_argument("--workload", action="append", choices=list(PROGRAMS), help="whose memory (again for more; default: all)")
    parser.add_argument("--keras", action="append", default=[], metavar="PYTHON", help="interpreter with a genuine Keras, as one more rival")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the results (default: %(default)s)")
    options = parser.parse_args(arguments)
    machine = harness.machine()
    rivals = contestants(options)
    from benchmarks.training import versions

    text = "\n".join(
        [startup(options, rivals), memory(options, rivals), f"{machine}, {versions()}; {options.rounds} interleaved rounds of fresh processes.", ""]
    )
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "fresh.md").write_text(text, encoding="utf-8")
    return 0
