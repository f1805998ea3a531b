"""`python -m benchmarks streaming`: data that is read while the model trains, beside the same by hand.

Each row is a ratio of interleaved rounds: files that the system's cache was made to forget before each round over reading their bytes alone, from
beginning to end past the cache, and over the same loop by hand; a folder of pictures over a torch DataLoader with as many workers; and a generator
that is as slow as the model over the model alone: 1 where they overlap, 2 where one waits for the other.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import gc
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
PIECE = 8 << 20
Calls = dict[str, Callable[[], Any]]


def forget(path: Path) -> None:
    """Have the system drop a file from its cache of files. A disk that is memory itself keeps it, as may a host below; elsewhere than on Linux
    nothing happens.

    Raises:
        RuntimeError: pages of it stay, since some program has them mapped.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for written in (False, True):
        if written:
            gc.collect()  # maps that nobody uses any more
        with open(path, "rb") as file:
            if written:
                os.fsync(file.fileno())  # what waits to be written is not dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        share = share_cached(path)
        if share is None or share < 0.02:
            return
    raise RuntimeError(f"{share:.0%} of {path} are still in the system's cache: some program has it mapped. Close it first.")


def share_cached(path: Path) -> float | None:
    """How much of a file is in the system's cache of files, 0-1; `None` where that is not told, or the disk is memory itself."""
    if sys.platform != "linux" or _is_memory(path):
        return None
    size = path.stat().st_size
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    with open(path, "rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as mapped:
        address = np.frombuffer(mapped, dtype="u1").__array_interface__["data"][0]
        failed = ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages)
    return None if failed else float((np.frombuffer(bytes(pages), "u1") & 1).mean())


def _is_memory(path: Path) -> bool:
    """Whether a file lies on a disk that is memory itself."""
    device = os.stat(path).st_dev
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if before.split()[2] == f"{os.major(device)}:{os.minor(device)}":
                return after.split()[0] in ("tmpfs", "ramfs")
    return False


def read_plainly(path: Path) -> None:
    """A file's bytes from beginning to end in pieces of 8 MB, past the cache (O_DIRECT) where the disk allows it."""
    buffer = mmap.mmap(-1, PIECE)  # aligned, as O_DIRECT wants it
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECT", 0))
    except OSError:
        file = os.open(path, os.O_RDONLY)
    try:
        for start in range(0, os.fstat(file).st_size, PIECE):
            os.preadv(file, [buffer], start)
    finally:
        os.close(file)


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


def rows_on_disk(kind: str, path: Path, y: np.ndarray, shuffle: bool | str) -> Calls:
    """Reading alone, our batches alone, training by hand, `fit`, and `fit` on a file that the cache holds; before all others it forgets the file."""
    from torchkeras.training.arrays import Packing
    from torchkeras.training.disk import DiskBatches, Rows

    targets, model = torch.from_numpy(y), program((FEATURES,))
    random = np.random.RandomState(0)

    def order() -> np.ndarray:
        if shuffle == "batch":
            return (random.permutation(len(y) // BATCH)[:, None] * BATCH + np.arange(BATCH)).ravel()
        return random.permutation(len(y)) if shuffle else np.arange(len(y))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        with source_of(kind, path, len(y)) as source:
            for rows in order().reshape(-1, BATCH):
                if shuffle is True:
                    rows = np.sort(rows)  # as HDF5 wants it
                    yield torch.from_numpy(np.asarray(source[rows])), targets[rows]
                else:
                    yield torch.from_numpy(np.array(source[rows[0] : rows[0] + BATCH])), targets[rows[0] : rows[0] + BATCH]

    hand = by_hand(batches, FEATURES)

    def fit() -> None:
        with source_of(kind, path, len(y)) as source:
            model.fit(source, y, batch_size=BATCH, shuffle=shuffle, verbose=0)

    def alone() -> None:
        with source_of(kind, path, len(y)) as source:
            batches = DiskBatches(Packing(Rows(source, "x"), targets, None), BATCH, shuffle, torch.device("cpu"))
            for _ in batches:
                pass
            batches.close()

    return {
        "reading alone": functools.partial(behind, forget, path, functools.partial(read_plainly, path)),
        "by hand": functools.partial(behind, forget, path, hand),
        "batches alone": functools.partial(behind, forget, path, alone),
        "torchkeras": functools.partial(behind, forget, path, fit),
        "file cached": functools.partial(behind, Path.read_bytes, path, fit),
    }


def behind(first: Callable[[Path], Any], path: Path, call: Callable[[], Any]) -> harness.Seconds:
    """Seconds of a call, behind what is not counted."""
    first(path)
    start = time.perf_counter()
    call()
    return harness.Seconds(time.perf_counter() - start)


@contextmanager
def source_of(kind: str, path: Path, rows: int) -> Iterator[Any]:
    """The rows of a file, which is closed in the end."""
    import h5py

    if kind == "np.memmap":
        yield np.memmap(path, "float32", "r", shape=(rows, FEATURES))
    else:
        with h5py.File(path, "r") as file:
            yield file["x"]


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


def several_rows(title: str, calls: Calls, options: argparse.Namespace) -> list[list[str]]:
    """Rows of the table for one file: our batches over its bytes alone, and `fit` over each of the others."""
    found = harness.compare(calls, baseline="torchkeras", rounds=options.rounds, warmup=1, least_seconds=0.0)
    rows = []
    for mine, other in (("batches alone", "reading alone"), *(("torchkeras", name) for name in ("reading alone", "by hand", "file cached"))):
        if other in calls:
            pairs = zip(found.seconds[mine], found.seconds[other], strict=True)
            ratio = harness.Spread.of([first / second for first, second in pairs])
            label = title if mine == "torchkeras" else f"{title}, batches alone"
            rows.append([label, other, f"{found.time(other).median:.2f}", f"{found.time(mine).median:.2f}", str(ratio)])
            print(f"  {label}, over {other}: {ratio}", file=sys.stderr)
    return rows


def table(folder: Path, options: argparse.Namespace) -> str:
    """The whole table, from files in a folder."""
    rows = []
    paths, y = write_rows(folder, options.megabytes)
    for kind, path in paths.items():
        for shuffle in (False, "batch", True):
            calls = rows_on_disk(kind, path, y, shuffle)
            title = f"{kind}, {path.stat().st_size / 2**20:,.0f} MB, shuffle={shuffle!r}"
            if shuffle:  # a plain map, or HDF5, takes minutes for rows here and there
                del calls["by hand"]
            rows += several_rows(title, calls, options)
    where = write_pictures(folder, options.pictures)
    for workers in options.workers:
        rows.append(row(f"folder of {options.pictures} pictures, {workers} processes", pictures(where, workers), "by hand", options))
    for workers in (0, 1):  # none: the training loop itself reads
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
