"""Loads genuine files that were damaged at random into models, in worker processes with limits; run as a program.

`python -m tests.saving.fuzzing_models COUNT SEED [FIRST]` tries COUNT cases, from the number FIRST on, and prints what came of them as JSON.
`python -m tests.saving.fuzzing_models --one SEED NUMBER` makes one case again and shows its traceback.

A worker is forked from a process that has imported everything. One that dies by a signal is counted as a crash of the HDF5 library where that library
was being called, and as a failure otherwise.
"""

from __future__ import annotations

import collections
import copy
import faulthandler
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from tests.saving.fuzzing import GOLDEN, corpus, damage
from torchkeras import generations
from torchkeras.models import load_model, model_from_json
from torchkeras.saving.errors import ConfigError, FileError

HEADROOM = 2 << 30  # bytes of address space that a worker may take beyond what it starts with
GROWTH = 700 << 10  # KiB that its memory may really grow by
CASE_SECONDS = 20  # the longest a single case may take
BATCH = 40  # cases of one worker
ODD: list[Any] = [None, -1, 0, 1, 3, 2**31, 2**40, 1e308, float("nan"), True, "", "x", "relu", "Dense", [], {}, [None], [None, 2**40], "../../x"]


def target_of(path: Path) -> Path | None:
    """The file of the whole model that a file of weights belongs to."""
    name = path.name
    if name.endswith(".weights.h5"):
        return path.with_name(name.replace(".weights.h5", ".keras"))
    return path.with_name(name.replace("_weights.h5", ".h5")) if name.endswith("_weights.h5") else None


def release_of(path: Path) -> str:
    return {"keras-1.2.2": "1.2.2", "keras-2.2.4": "2.2.4"}.get(path.parent.parent.name, "2.4.0")


def case(seed: int, number: int) -> tuple[Path, bytes]:
    """The genuine file that a case starts from, and its damaged bytes."""
    generator = random.Random(f"models/{seed}/{number}")
    files = corpus()
    path = generator.choice(files)
    data = path.read_bytes()
    if generator.random() < 0.5:
        return path, change_config(path, data, generator)
    changed = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 5))):
        damage(changed, generator, files)
    return path, bytes(changed)


def change_config(path: Path, data: bytes, generator: random.Random) -> bytes:
    """The file with an architecture, compile arguments or names in which some values are others; the file itself is sound."""
    if path.suffix == ".json":
        return json.dumps(odd(json.loads(data), generator)).encode()
    if path.suffix == ".keras":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = generator.choice(("config.json", "config.json", "metadata.json", "model.weights.h5"))
        members[name] = (
            change_hdf5(members[name], generator) if name.endswith(".h5") else json.dumps(odd(json.loads(members[name]), generator)).encode()
        )
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return written.getvalue()
    return change_hdf5(data, generator)


def change_hdf5(data: bytes, generator: random.Random) -> bytes:
    """A sound HDF5 file with other attributes, or with arrays that changed their places or shapes."""
    stream = io.BytesIO(data)
    with h5py.File(stream, "a") as file:
        configs = [name for name in ("model_config", "training_config") if name in file.attrs]
        arrays: list[str] = []
        file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
        what = generator.choice(("config", "config", "config", "swap", "shape", "drop"))
        if what == "config" and configs:
            name = generator.choice(configs)
            file.attrs[name] = json.dumps(odd(json.loads(file.attrs[name]), generator)).encode()
        elif what == "swap" and len(arrays) > 1:
            one, two = generator.sample(arrays, 2)
            file.move(one, "aside")
            file.move(two, one)
            file.move("aside", two)
        elif what == "drop" or not arrays:
            places = [file, *(file[name.rpartition("/")[0] or "/"] for name in arrays)]
            place = generator.choice(places)
            names = [*place.attrs]
            if names:
                name = generator.choice(names)
                del place.attrs[name]
                if generator.random() < 0.5:
                    place.attrs[name] = generator.choice([3, "text", np.zeros(3), np.array([b"a", b"b"])])
        else:
            name = generator.choice(arrays)
            array = file[name][()]
            del file[name]
            file[name] = generator.choice([array.reshape(-1), array.astype("f8"), np.zeros((7, 5), "f4"), np.float32(1), np.array([b"text"])])
    return stream.getvalue()


def odd(config: Any, generator: random.Random) -> Any:
    """A config in which one to three values are odd ones, are gone, or stand elsewhere."""
    config = copy.deepcopy(config)
    for _ in range(generator.choice((1, 1, 2, 3))):
        places: list[tuple[Any, Any]] = []
        waiting = [config]
        while waiting:
            value = waiting.pop()
            items = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
            places += [(value, key) for key, _ in items]
            waiting += [item for _, item in items]
        if not places:
            break
        holder, key = generator.choice(places)
        what = generator.randrange(5)
        if what <= 1:
            holder[key] = copy.deepcopy(generator.choice(ODD))
        elif what == 2:
            del holder[key]
        elif what == 3 and isinstance(holder, dict):
            holder[generator.choice([place[1] for place in places if isinstance(place[1], str)] or ["x"])] = holder.pop(key)
        else:
            other, there = generator.choice(places)
            holder[key] = copy.deepcopy(other[there]) if isinstance(other, (dict, list)) and _has(other, there) else None
    return config


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def attempt(path: Path, data: bytes, folder: Path) -> str:
    """Load one damaged file in every way that its kind has; what came of it.

    Raises:
        AssertionError: the model in memory was changed by a load that failed.
        BaseException: anything but our own errors.
    """
    file = folder / f"damaged{path.suffix}"
    file.write_bytes(data)
    target = target_of(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".json":
            return _told(lambda: model_from_json(data))
        if target is None:
            told = _told(lambda: load_model(file))
            whole = load_model(path)
        else:
            told, whole = "", load_model(target)
        for by_name in (False, True):
            before = [*whole.get_weights(), *whole.optimizer.get_weights()]
            outcome = _told(lambda by_name=by_name: whole.load_weights(file, by_name=by_name))  # type: ignore[misc]
            if outcome != "read":
                after = [*whole.get_weights(), *whole.optimizer.get_weights()]
                assert all(np.array_equal(one, two, equal_nan=True) for one, two in zip(before, after, strict=True)), "the model was changed"
            told = told or outcome
    return told


def _told(call: Callable[[], Any]) -> str:
    try:
        call()
    except (FileError, ConfigError) as error:
        return type(error).__name__
    except (ValueError, TypeError) as error:  # a plain error of the library's own, such as one for by_name=True with a file that names nothing
        place = traceback.extract_tb(error.__traceback__)[-1].filename
        if "torchkeras/saving/" not in place:
            raise
        return type(error).__name__
    return "read"


def work(seed: int, numbers: range, report: int) -> None:
    """A worker: tries cases and writes a line about each."""
    faulthandler.enable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + HEADROOM, used + HEADROOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    start_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            path, data = case(seed, number)
            os.write(report, f"{number} start {path.name}\n".encode())
            begin = time.monotonic()
            signal.alarm(CASE_SECONDS)
            try:
                with generations.using_keras_version(release_of(path)):
                    told = attempt(path, data, Path(folder))
            except BaseException:
                told = "FAILED " + json.dumps(traceback.format_exc()[-3000:])
            signal.alarm(0)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start_memory
            if grown > GROWTH:
                told = f"FAILED {json.dumps(f'memory grew by {grown >> 10} MiB')}"
                start_memory += grown
            os.write(report, f"{number} {time.monotonic() - begin:.3f} {told}\n".encode())


def run(seed: int, first: int, count: int) -> dict[str, Any]:
    """Try cases in workers; gives the counts of what came of them, the failures, the crashes and the slowest."""
    outcomes: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    crashes: list[str] = []
    slowest, number, end = 0.0, first, first + count
    while number < end:
        numbers = range(number, min(number + BATCH, end))
        read, write = os.pipe()
        errors = os.memfd_create("errors")
        worker = os.fork()
        if worker == 0:
            os.close(read)
            os.dup2(errors, 2)
            try:
                work(seed, numbers, write)
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as lines:
            told = [line.rstrip("\n").split(" ", 2) for line in lines]
        _, status = os.waitpid(worker, 0)
        for line in told:
            if line[1] == "start":
                number = int(line[0])
                continue
            slowest = max(slowest, float(line[1]))
            if line[2].startswith("FAILED"):
                failures.append(f"--one {seed} {line[0]}: {json.loads(line[2][7:])}")
            else:
                outcomes[line[2]] += 1
        if status:
            trace = os.pread(errors, 1 << 20, 0).decode(errors="replace")
            what = f"--one {seed} {number}: died by signal {os.waitstatus_to_exitcode(status)}\n{trace[-1500:]}"
            (crashes if "h5py" in trace and -os.waitstatus_to_exitcode(status) != signal.SIGALRM else failures).append(what)
        elif not told:
            failures.append(f"worker of {numbers} said nothing")
        os.close(errors)
        number += 1
    return {"cases": count, "outcomes": dict(outcomes), "failures": failures, "crashes": crashes, "slowest": slowest}


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1] == "--one":
        path, data = case(int(sys.argv[2]), int(sys.argv[3]))
        print(path.relative_to(GOLDEN))
        with tempfile.TemporaryDirectory() as folder, generations.using_keras_version(release_of(path)):
            print(attempt(path, data, Path(folder)))
        return
    for path in (
        corpus()[:2] + [path for path in corpus() if path.suffix == ".keras"][:1]
    ):  # what is imported late is imported before the workers fork
        with generations.using_keras_version(release_of(path)), tempfile.TemporaryDirectory() as folder:
            attempt(path, path.read_bytes(), Path(folder))
    print(json.dumps(run(int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0, int(sys.argv[1]))))


if __name__ == "__main__":
    main()
