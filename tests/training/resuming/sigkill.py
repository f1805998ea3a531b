"""Kills runs by SIGKILL at random moments, starts them again, and compares what they end with.

    python -m tests.training.resuming.sigkill POINTS [SEED]

Each run is a child of this process, forked once everything is imported, so that a point takes a fraction of a second.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.training.resuming.killing import equal, run
from tests.training.resuming.programs import PROGRAMS
from torchkeras.callbacks import BackupAndRestore

NAMES = (
    *("arrays", "accumulated", "half_precision", "stateful_layer", "masked", "with_callbacks", "keras2", "own_step"),
    *("loader_with_a_generator", "sequence_by_a_thread", "generator_on_torch", "stateful_source"),
)


def child(function: Callable[[], Any]) -> int:
    """The process that runs a function."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        function()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def work(name: str, folder: Path, save_freq: Any) -> None:
    """A run with backups; what comes out stands in a file."""
    found = run(PROGRAMS[name], folder, [BackupAndRestore(folder / "backup", save_freq)])
    found["generators"] = []  # plain data alone
    torch.save(found, folder / "result.pt")


def finish(name: str, folder: Path, save_freq: Any) -> dict[str, Any]:
    """A run that nobody kills."""
    code = os.waitpid(child(lambda: work(name, folder, save_freq)), 0)[1]
    if code:
        raise RuntimeError(f"{name} ended with status {code}")
    found: dict[str, Any] = torch.load(folder / "result.pt", weights_only=True)
    return found


def import_all(place: Path) -> None:
    """Import what a run imports, so that children need not; this process itself starts no thread."""

    def tell() -> None:
        for name in NAMES:
            folder = place / f"first {name}"
            folder.mkdir()
            work(name, folder, 1)
        (place / "modules").write_text("\n".join(sys.modules))

    os.waitpid(child(tell), 0)
    for name in (place / "modules").read_text().split("\n"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def main(points: int, seed: int) -> int:
    """How many points were equal."""
    source = random.Random(seed)
    good = kills = backups = number = 0
    with tempfile.TemporaryDirectory() as place:
        import_all(Path(place))
        whole: dict[str, tuple[dict[str, Any], float]] = {}
        while kills < points:
            number += 1
            name, save_freq = NAMES[number % len(NAMES)], source.choice([1, 2, 3, "epoch"])
            if name not in whole:
                folder = Path(place, name)
                folder.mkdir()
                finish(name, folder, 1)
                began = time.monotonic()
                result = finish(name, folder, 1)
                whole[name] = result, time.monotonic() - began
            wanted, seconds = whole[name]
            folder = Path(place, str(number))
            folder.mkdir()
            killed = 0
            for _ in range(source.choice([1, 1, 2])):  # some are killed a second time
                process = child(lambda name=name, folder=folder, save_freq=save_freq: work(name, folder, save_freq))  # type: ignore[misc]
                end = time.monotonic() + source.random() * seconds
                if source.random() < 0.7:  # when there is a backup already, so that few are killed before they have begun
                    while not list((folder / "backup").glob("state-*.pt")) and time.monotonic() < end + seconds:
                        time.sleep(0.001)
                    end = time.monotonic() + source.random() * seconds / 2
                time.sleep(max(0.0, end - time.monotonic()))
                os.kill(process, signal.SIGKILL)
                killed += os.waitpid(process, 0)[1] == signal.SIGKILL
            if not killed:  # it had ended before
                continue
            kills += 1
            backups += any((folder / "backup").glob("state-*.pt"))
            same = equal(finish(name, folder, save_freq), wanted)
            good += same
            if not same:
                print(f"{name} with save_freq={save_freq!r} differs", flush=True)
    print(f"{good} of {points} runs that were killed ended bit for bit as others did; {backups} of them went on from a backup.")
    return good


if __name__ == "__main__":
    wanted = int(sys.argv[1])
    sys.exit(main(wanted, int(sys.argv[2]) if len(sys.argv) > 2 else 0) != wanted)
