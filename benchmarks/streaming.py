"""`python -m benchmarks streaming`: data that is read while the model trains, beside the same by hand.

Each row is a ratio of interleaved rounds: files larger than a given memory over reading their bytes alone and over the same loop by hand, a folder of
pictures over a torch DataLoader with as many workers, and a generator that is as slow as the model over the model alone: 1 where they overlap, 2
where one waits for the other.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks import harness

RESULTS = Path(__file__).parent / "results"
FEATURES, CLASSES, BATCH = 1024, 10, 256
PICTURE, PICTURES_A_BATCH = 64, 32
Calls = dict[str, Callable[[], Any]]


def forget(path: Path) -> None:
    """Ask the system to drop a file from the page cache; on a disk that is memory itself, or elsewhere than on Linux, nothing happens."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_rows(folder: Path, megabytes: int) -> tuple[dict[str, Path], np.ndarray]:
    """Files of noise, raw and HDF5, and the class of each row."""
    import h5py

    rows = max(megabytes * 2**20 // (4 * FEATURES) // BATCH, 1) * BATCH
    random = np.random.RandomState(0)
    paths = {"np.memmap": folder / "rows.raw", "HDF5": folder / "rows.h5"}
    with open(paths["np.memmap"], "wb") as raw, h5py.File(paths["HDF5"], "w") as file:
        stored = file.create_dataset("x", (rows, FEATURES), "float32")
        for start in range(0, rows, BATCH):
            part = random.standard_normal((BATCH, FEATURES)).astype("float32")
            stored[start : start + BATCH] = part
            raw.write(part.tobytes())
    return paths, random.randint(0, CLASSES, rows)


def program(shape: tuple[int, ...]) -> Any:
    """A small model, so that the data counts."""
    from torchkeras import layers, models

    stack: list[Any] = [layers.InputLayer(shape)] + ([layers.Flatten()] if len(shape) > 1 else [])
    model = models.Sequential([*stack, layers.Dense(16, activation="relu"), layers.Dense(CLASSES, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def by_hand(batches: Callable[[], Iterator[tuple[Tensor, Tensor]]], features: int) -> Callable[[], float]:
    """An epoch of the same model as a PyTorch loop."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def epoch() -> float:
        total = torch.zeros(())
        for x, y in batches():
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())
        return total.item()

    return epoch


def rows_on_disk(kind: str, path: Path, y: np.ndarray) -> Calls:
    """Reading alone, training by hand, and `fit`, each from a cache that was asked to forget the file."""
    import h5py

    source = np.memmap(path, "float32", "r", shape=(len(y), FEATURES)) if kind == "np.memmap" else h5py.File(path, "r")["x"]
    targets = torch.from_numpy(y)
    buffer = bytearray(BATCH * FEATURES * 4)

    def read() -> None:
        forget(path)
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(y), BATCH):
            yield torch.from_numpy(np.array(source[start : start + BATCH])), targets[start : start + BATCH]

    hand, model = by_hand(batches, FEATURES), program((FEATURES,))

    def loop() -> None:
        forget(path)
        hand()

    def fit() -> None:
        forget(path)
        model.fit(source, y, batch_size=BATCH, shuffle=False, verbose=0)

    return {"by hand": loop, "torchkeras": fit, "reading alone": read}


def write_pictures(folder: Path, count: int) -> Path:
    """PNG files of noise in a folder for each class."""
    from PIL import Image

    random = np.random.RandomState(0)
    for number in range(count):
        place = folder / "pictures" / str(number % CLASSES)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (PICTURE, PICTURE, 3), dtype="uint8")).save(place / f"{number}.png")
    return folder / "pictures"


class Pictures(Dataset[Any]):
    """The folder as one reads it in PyTorch."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.rglob("*.png"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        from PIL import Image

        with Image.open(self.files[number]) as picture:
            return torch.from_numpy(np.asarray(picture.convert("RGB"), "float32") / 255), int(self.files[number].parent.name)


def pictures(folder: Path, workers: int) -> Calls:
    """`flow_from_directory` with worker processes, and a DataLoader with as many."""
    from torchkeras.preprocessing.image import ImageDataGenerator

    size = (PICTURE, PICTURE)
    flow = ImageDataGenerator(rescale=1 / 255).flow_from_directory(str(folder), size, class_mode="sparse", batch_size=PICTURES_A_BATCH)
    loader: Any = DataLoader(Pictures(folder), PICTURES_A_BATCH, shuffle=True, num_workers=workers)
    model = program((*size, 3))
    fit = functools.partial(model.fit, flow, workers=max(workers, 1), use_multiprocessing=workers > 0, verbose=0)
    return {"by hand": by_hand(lambda: iter(loader), 3 * PICTURE**2), "torchkeras": fit}


class Busy(nn.Module):
    """A layer that waits, as for a device."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        """The input, some time later."""
        time.sleep(self.seconds)
        return x


def slow_source(batches: int, seconds: float, workers: int) -> Calls:
    """A generator that takes as long for a batch as the model for a step, beside the model on data at hand: 1 is overlap, 2 is none."""
    from torchkeras import layers, models

    x, y = np.zeros((BATCH, FEATURES), "float32"), np.zeros(BATCH, "int64")

    def source() -> Iterator[tuple[Any, Any]]:
        while True:
            time.sleep(seconds)
            yield x, y

    stack: list[Any] = [layers.InputLayer((FEATURES,)), Busy(seconds), layers.Dense(CLASSES, activation="softmax")]
    model = models.Sequential(stack)
    model.compile("sgd", "sparse_categorical_crossentropy")
    at_hand = np.zeros((batches * BATCH, FEATURES), "float32"), np.zeros(batches * BATCH, "int64")
    return {
        "model alone": functools.partial(model.fit, *at_hand, batch_size=BATCH, shuffle=False, verbose=0),
        "torchkeras": lambda: model.fit(source(), steps_per_epoch=batches, workers=workers, verbose=0),
    }


def row(title: str, calls: Calls, baseline: str, options: argparse.Namespace) -> list[str]:
    """A row of the table."""
    found = harness.compare(calls, baseline=baseline, rounds=options.rounds, warmup=1, least_seconds=0.0)
    print(f"  {title}: {found.ratio('torchkeras')}", file=sys.stderr)
    return [title, baseline, f"{found.time(baseline).median:.2f}", f"{found.time('torchkeras').median:.2f}", str(found.ratio("torchkeras"))]


def table(folder: Path, options: argparse.Namespace) -> str:
    """The whole table, from files in a folder."""
    rows = []
    paths, y = write_rows(folder, options.megabytes)
    for kind, path in paths.items():
        calls = rows_on_disk(kind, path, y)
        title = f"{kind}, {path.stat().st_size / 2**20:,.0f} MB"
        rows.append(row(title, {name: calls[name] for name in ("by hand", "torchkeras")}, "by hand", options))
        rows.append(row(title, {name: calls[name] for name in ("reading alone", "torchkeras")}, "reading alone", options))
    where = write_pictures(folder, options.pictures)
    for workers in options.workers:
        rows.append(row(f"folder of {options.pictures} pictures, {workers} processes", pictures(where, workers), "by hand", options))
    for workers in (1, 2):  # one: the training loop itself reads
        title = f"generator of {options.batches} batches, {options.milliseconds} ms each beside steps as long, workers={workers}"
        rows.append(row(title, slow_source(options.batches, options.milliseconds / 1e3, workers), "model alone", options))
    return harness.markdown_table(["data", "compared with", "that, s", "torchkeras, s", "ratio"], rows)


def main(arguments: list[str]) -> int:
    """Print the table and write it to the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks streaming", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=512, help="of each file of rows (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=2000, help="in the folder (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="processes that read pictures (default: 1 2)")
    parser.add_argument("--batches", type=int, default=40, help="of the slow generator (default: %(default)s)")
    parser.add_argument("--milliseconds", type=int, default=20, help="for each of them (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the files are made for the time of the run (default: a temporary one)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    options = parser.parse_args(arguments)
    machine = harness.machine()
    with harness.threads(1), tempfile.TemporaryDirectory(dir=options.folder) as folder:
        body = table(Path(folder), options)
    text = f"{body}\n\n{machine}; 1 thread, {options.rounds} interleaved rounds, wall time.\n"
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "streaming.md").write_text(text, encoding="utf-8")
    return 0
