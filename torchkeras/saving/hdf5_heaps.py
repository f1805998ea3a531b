"""Names of a group's members lie in a local heap. Its free list is looked through first: the HDF5 library follows one that is a circle for ever."""

from __future__ import annotations

import mmap
import struct
from typing import Final

from torchkeras.saving.errors import DamagedFileError

SIGNATURE: Final = b"HEAP"
END: Final = 1  # of a free list
_HEAD: Final = struct.Struct("<4sB3xQQQ")  # signature, version, size of the heap, first free block, address
_NEXT: Final = struct.Struct("<Q")


def check_heaps(content: str | bytes, base: int, name: str) -> None:
    """Refuse a file in which the free list of a local heap never ends.

    Args:
        content: Its path or its bytes.
        base: Where in it addresses begin.
        name: What the message calls it.

    Raises:
        DamagedFileError: there is such a list.
    """
    if isinstance(content, bytes):
        _check(content, base, name)
        return
    with open(content, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _check(data, base, name)


def _check(data: bytes | mmap.mmap, base: int, name: str) -> None:
    left = len(data) // 16  # blocks take 16 bytes at least, and heaps do not overlap
    place = data.find(SIGNATURE)
    while place >= 0:
        left -= _blocks(data, place, base, left)
        if left < 0:
            raise DamagedFileError(f"{name} is damaged: the free list of the heap of names at byte {place:,} never ends.")
        place = data.find(SIGNATURE, place + len(SIGNATURE))


def _blocks(data: bytes | mmap.mmap, place: int, base: int, most: int) -> int:
    """Free blocks of a heap, `most` + 1 where there are more; what the library itself refuses ends the count."""
    if place + _HEAD.size > len(data):
        return 0
    _, version, size, free, address = _HEAD.unpack_from(data, place)
    count, start = 0, base + address
    while version == 0 and free != END and free + 16 <= size and start + free + 16 <= len(data) and count <= most:
        (free,) = _NEXT.unpack_from(data, start + free)
        count += 1
    return count
