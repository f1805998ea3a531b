"""`python -m benchmarks`: training and predicting, torchkeras and its rivals in one interleaved run."""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.metadata
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import harness, peers, programs, report, torch_loops
from benchmarks.peers import Unavailable

RESULTS = Path(__file__).parent / "results"
BASELINE = "tuned"
ACTIONS = ("train", "predict", "evaluate")
QUICK_STEPS = 4

Actions = dict[str, Callable[[], Any]]


def in_process(api: str, name: str, samples: int, options: argparse.Namespace, **compiling: Any) -> Actions:
    """torchkeras, or Keras 3 on torch, in this process; `compiling` goes to `compile`.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        keras, _ = programs.load_keras(api, options.threads)
    except ImportError as error:
        raise Unavailable(f"{api} is not installed ({error})") from error
    return programs.actions(name, keras, samples, **compiling)


def in_torch(kind: Callable[..., Any], name: str, samples: int, options: argparse.Namespace) -> Actions:
    """A loop written by hand, or by another library.

    Raises:
        Unavailable: the library is not installed.
    """
    try:
        loop = kind(name, samples, options.device)
    except ImportError as error:
        raise Unavailable(f"not installed ({error})") from error
    return {action: getattr(loop, action) for action in ACTIONS}


RIVALS: dict[str, Callable[[str, int, argparse.Namespace], Actions]] = {
    BASELINE: lambda *where: in_torch(torch_loops.tuned, *where),
    "torchkeras": lambda *where: in_process("torchkeras", *where),
    "tutorial": lambda *where: in_torch(torch_loops.Tutorial, *where),
    "ignite": lambda *where: in_torch(torch_loops.PlainIgnite, *where),
    "keras 3": lambda *where: in_process("keras", *where),
    "skorch": lambda *where: in_torch(peers.Skorch, *where),
    "poutyne": lambda *where: in_torch(peers.Poutyne, *where),
    "lightning": lambda *where: in_torch(peers.lightning, *where),
    "jit": lambda *where: in_process("torchkeras", *where, jit_compile=True),
}
ON_REQUEST = ("jit",)  # compiles for minutes


class Worker:
    """A Keras that runs a program in another interpreter and measures itself."""

    def __init__(self, python: str, api: str, name: str, samples: int, options: argparse.Namespace, env: dict[str, str] | None = None) -> None:
        clock = "process_time" if options.clock == "cpu" else "perf_counter"
        settings = ["--samples", str(samples), "--threads", str(options.threads), "--clock", clock]
        command = [python, str(Path(programs.__file__)), api, name, *settings]
        env = {key: value for key, value in (os.environ if env is None else env).items() if key != "KERAS_BACKEND"}  # it is this process's
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - no pipe: nobody reads it, and a full one would block
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=env)
        self.about: dict[str, str] = json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise Unavailable(f"its process ended: {self.errors.read().strip()[-600:]}")
        return line

    def run(self, action: str) -> harness.Seconds:
        """Seconds of one action."""
        assert self.process.stdin is not None
        print(action, file=self.process.stdin, flush=True)
        return harness.Seconds(float(self._answer()))

    def actions(self) -> Actions:
        """What the harness calls."""
        return {action: functools.partial(self.run, action) for action in ACTIONS}

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()
        self.errors.close()


def api_of(python: str) -> str:
    """Which Keras an interpreter has: "keras", or "tensorflow" for tf.keras."""
    code = "import importlib.util as u; print('keras' if u.find_spec('keras') else 'tensorflow')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def contestants(name: str, samples: int, options: argparse.Namespace, stack: ExitStack) -> dict[str, Actions]:
    """The rivals of one workload that can take part; the others are named with the reason."""
    found: dict[str, Actions] = {}
    for rival in options.rival:
        try:
            found[rival] = RIVALS[rival](name, samples, options)
        except Unavailable as reason:
            print(f"  without {rival}: {reason}", file=sys.stderr)
    for python in options.keras:
        try:
            worker = stack.enter_context(Worker(python, api_of(python), name, samples, options))
            actions = worker.actions()
            for action in options.action:  # what a release cannot do is told before anything is measured
                actions[action]()
            found[worker.about["version"]] = actions
        except Unavailable as reason:
            print(f"  without {python}: {reason}", file=sys.stderr)
    return found


def samples_for(name: str, most_steps: int | None) -> int:
    """Samples in an epoch of a workload, of so many steps at most."""
    program = programs.PROGRAMS[name]
    return program.samples if most_steps is None else min(program.samples, most_steps * program.batch)


def measure(name: str, options: argparse.Namespace) -> list[report.Row]:
    """All rivals on one workload."""
    program = programs.PROGRAMS[name]
    samples = samples_for(name, QUICK_STEPS if options.quick else options.steps)
    steps = math.ceil(samples / program.batch)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    print(f"{program.title}: {steps} steps", file=sys.stderr)
    rows = []
    with ExitStack() as stack, harness.threads(options.threads):
        rivals = contestants(name, samples, options, stack)
        for action in options.action:
            calls = {rival: actions[action] for rival, actions in rivals.items()}
            result = harness.compare(calls, baseline=BASELINE, rounds=options.rounds, warmup=2, clock=clock)
            rows.append(report.Row(program.title, name, action, steps, result))
            print(f"  {action}: {report.one_line(rows[-1])}", file=sys.stderr)
    return rows


def versions() -> str:
    """The commit that is measured, and the versions of the rivals that are installed."""
    names = ("pytorch-ignite", "keras", "skorch", "poutyne", "lightning", "numpy")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=RESULTS.parent, capture_output=True, text=True)
    found = [f"torchkeras at {commit.stdout.strip() or 'an unknown commit'}"]
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main(arguments: list[str]) -> int:
    """Run the comparison, print its table and write it to the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks training", description="Compare torchkeras with its rivals, by ratio to the tuned loop."
    )
    parser.add_argument("--workload", action="append", choices=list(programs.PROGRAMS), help="one of the workloads (again for more; default: all)")
    parser.add_argument(
        "--rival", action="append", choices=[name for name in RIVALS if name != BASELINE], help="one of the rivals (default: all but jit)"
    )
    parser.add_argument("--action", action="append", choices=ACTIONS, help="train, predict or evaluate (default: all)")
    parser.add_argument("--keras", action="append", default=[], metavar="PYTHON", help="interpreter with a genuine Keras, as one more rival")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="steps in an epoch, at most (default: all samples of the workload)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="device of the torch loops: cpu or cuda (torchkeras and Keras take CUDA where it is)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a machine busy with other work")
    parser.add_argument("--quick", action="store_true", help="few steps: to see that it runs, not to quote")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.rival = [BASELINE, *(options.rival or [name for name in RIVALS if name not in (BASELINE, *ON_REQUEST)])]
    options.action = options.action or list(ACTIONS)
    machine = harness.machine(options.device)  # before the run itself loads the machine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3 on `input_shape`, which the older releases need
        rows = [row for name in options.workload or programs.PROGRAMS for row in measure(name, options)]
    how = f"{options.threads} thread(s), {options.rounds} interleaved rounds, {'processor' if options.clock == 'cpu' else 'wall'} time"
    text = report.text(rows, f"{machine}, {versions()}; {how}.")
    print(text)
    if options.quick:
        print("Not written: --quick measures too little to quote.", file=sys.stderr)
    else:
        for path in report.write(rows, text, options.output, f"training-{options.device}-{options.threads}"):
            print(f"Wrote {path}", file=sys.stderr)
    return 0
