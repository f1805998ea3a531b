"""Reads genuine files that were damaged at random, for a number of seconds; run as a program, in a process with limits.

`python -m tests.saving.fuzzing SECONDS SEED NOTE` writes the number of each case to the file NOTE before it is tried,
so that after a crash `case(seed, number)` makes the same bytes again.
"""

from __future__ import annotations

import collections
import faulthandler
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from torchkeras.saving.archive import CONFIG, METADATA, WEIGHTS, open_archive
from torchkeras.saving.config import admit, find_dangers, parse_json
from torchkeras.saving.errors import ConfigError, FileError
from torchkeras.saving.hdf5 import SafeGroup, open_safely
from torchkeras.saving.hdf5_arrays import SafeArray
from torchkeras.saving.weight_groups import origin, read_arrays, read_weight_groups, weights_group

GOLDEN = Path(__file__).parent.parent / "golden"
MEMORY = 4 << 30  # bytes of address space; torch alone maps a good part of it
CASE_SECONDS = 10  # the longest a single file may take


def corpus() -> list[Path]:
    """Genuine files of every kind and release."""
    return sorted(path for path in GOLDEN.glob("*/saved/*") if path.suffix in (".h5", ".keras", ".json"))


def case(seed: int, number: int) -> tuple[str, bytes]:
    """The kind and the damaged bytes of one case."""
    generator = random.Random(f"{seed}/{number}")
    files = corpus()
    path = generator.choice(files)
    data = bytearray(path.read_bytes())
    for _ in range(generator.choice((1, 1, 1, 2, 5, 20))):
        damage(data, generator, files)
    return path.suffix, bytes(data)


def damage(data: bytearray, generator: random.Random, files: list[Path]) -> None:
    """Change the bytes in one way, more often near the places where a file describes itself."""
    if not data:
        return
    place = generator.choice((generator.randrange(len(data)), _near_a_signature(data, generator)))
    length = min(generator.choice((1, 2, 4, 8, 64, 1000)), len(data) - place)
    # cuts and shifts, which rarely get past the head of a file, are the fewest
    what = generator.choice((0, 0, 0, 1, 1, 2, 2, 2, 5, 7, 7, 3, 4, 6))
    if what == 0:
        data[place] ^= 1 << generator.randrange(8)
    elif what == 1:
        data[place : place + length] = generator.randbytes(length)
    elif what == 2:
        data[place : place + length] = bytes([generator.choice((0, 1, 0x7F, 0x80, 0xFF))]) * length
    elif what == 3:
        del data[place:]
    elif what == 4:
        del data[place : place + length]
    elif what == 5:
        there = generator.randrange(len(data) - length + 1)
        data[place : place + length], data[there : there + length] = data[there : there + length], data[place : place + length]
    elif what == 6:
        data[place:place] = data[place : place + length]
    else:
        other = generator.choice(files).read_bytes()
        there = generator.randrange(len(other))
        data[place : place + length] = other[there : there + length]


def _near_a_signature(data: bytearray, generator: random.Random) -> int:
    """A place within 128 bytes of the head of one of HDF5's or zip's structures."""
    mark = generator.choice(
        (b"\x89HDF", b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"FRHP", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"class_name")
    )
    starts = [place for place in range(0, len(data), 8) if data.startswith(mark, place)] if len(mark) == 4 and mark[:2] != b"PK" else []
    start = generator.choice(starts) if starts else max(data.find(mark, generator.randrange(len(data))), 0)
    return min(start + generator.randrange(128), len(data) - 1)


def read_all(kind: str, data: bytes, folder: Path) -> None:
    """Read everything that loading a model reads, and list everything that inspecting it lists."""
    if kind == ".json":
        read_config(data)
        return
    path = folder / f"model{kind}"
    path.write_bytes(data)
    if kind == ".keras":
        with open_archive(path) as members:
            parse_json(members.read(METADATA), METADATA)
            read_config(members.read(CONFIG))
            with open_safely(members.read(WEIGHTS), WEIGHTS) as file:
                list_members(file)
        return
    with open_safely(path) as file:
        list_members(file)
    with open_safely(path) as file:
        for name in ("model_config", "training_config"):
            if file.has_attribute(name):
                read_config(file.text(name).encode())
        if "optimizer_weights" in file:
            for _, array in read_arrays(file.group("optimizer_weights")):
                array.read(None)
        group = weights_group(file)
        origin(group)
        for _, arrays in read_weight_groups(group):
            for _, array in arrays:
                array.read(array.shape, "fiu")


def list_members(file: SafeGroup) -> None:
    for member in file.walk():
        if isinstance(member, SafeArray):
            member.read(None)


def read_config(text: bytes) -> None:
    config = parse_json(text, "the config")
    find_dangers(config)
    admit(config)


def main(seconds: float, seed: int, note: Path) -> None:
    outcomes: collections.Counter[str] = collections.Counter()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    end, number, slowest = time.monotonic() + seconds, 0, 0.0
    with tempfile.TemporaryDirectory() as folder, open(note, "w") as noted:
        while time.monotonic() < end:
            noted.seek(0)
            noted.write(f"{seed} {number}".ljust(40))
            noted.flush()
            kind, data = case(seed, number)
            start = time.monotonic()
            faulthandler.dump_traceback_later(CASE_SECONDS, exit=True)
            try:
                read_all(kind, data, Path(folder))
                outcomes["read"] += 1
            except (FileError, ConfigError) as error:
                outcomes[type(error).__name__] += 1
            except BaseException:
                print(f"case({seed}, {number}) of kind {kind}:", file=sys.stderr)
                raise
            slowest = max(slowest, time.monotonic() - start)
            number += 1
    faulthandler.cancel_dump_traceback_later()
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{number} cases, slowest {slowest:.2f} s, {usage} MiB: {dict(outcomes)}")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
