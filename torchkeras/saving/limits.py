"""How much a file that is read may ask for, and how a caller raises that.

The limits stop a small file from asking for a huge piece of memory. Arrays whose shape the model itself
dictates need no limit: there the file must agree with the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one reading; the defaults leave room for every genuine model file known.

    Args:
        array_bytes: One array whose shape is not known beforehand.
        total_bytes: All such arrays of one file together.
        free_bytes: Up to here an array may be larger than what the file stores for it.
        expansion: Above that, how many times larger than what the file stores.
        chunks: Chunks of one array.
        attribute_bytes: One attribute, such as the model's architecture as JSON.
        names: Names in one list of layers or weights, or members of one group.
        depth: Parts of one path inside a file, or levels of a nested config.
        json_bytes: One JSON text.
        json_items: Values in one JSON text.
        member_bytes: One member of a `.keras` archive, unpacked.
        member_expansion: How many times larger than its packed form a member may be, above 1 MiB.
    """

    array_bytes: int = 16 * GIB
    total_bytes: int = 64 * GIB
    free_bytes: int = 16 * MIB
    expansion: int = 1000
    chunks: int = 65536
    attribute_bytes: int = 64 * MIB
    names: int = 100_000
    depth: int = 100
    json_bytes: int = 64 * MIB
    json_items: int = 2_000_000
    member_bytes: int = 64 * GIB
    member_expansion: int = 100


_current: ContextVar[Limits] = ContextVar("torchkeras_file_limits", default=Limits())  # noqa: B039 - frozen


def limits() -> Limits:
    """The limits in force."""
    return _current.get()


@contextmanager
def using_limits(**changes: int) -> Iterator[Limits]:
    """Read files with other limits inside a `with` block: `with using_limits(attribute_bytes=2**30): ...`.

    Args:
        **changes: Fields of `Limits`, whole numbers above 0.

    Raises:
        ValueError: there is no such limit, or the number is below 1.
    """
    known = [field.name for field in dataclasses.fields(Limits)]
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"using_limits knows no limit {name!r}. Known are: {', '.join(known)}.")
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"using_limits takes whole numbers above 0, but got {name}={value!r}.")
    token = _current.set(dataclasses.replace(_current.get(), **changes))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def readable(size: int) -> str:
    """A number of bytes for people: 1536 -> "1.5 KiB"."""
    number = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"
