"""Texts of any length in HDF5, looked at before HDF5 reads them: its own reader trusts what it finds.

An attribute holds references (length, place, number) to texts that lie in collections elsewhere in the file. A wrong
length makes HDF5 take up to 4 GiB of memory for each reference, a wrong length in a collection makes it loop without end,
and many references to one long text copy that text for each of them.

Source: HDF5 file format specification, sections III.E (global heap), IV.A.1 (object headers), IV.A.2.m (attributes).
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torchkeras.saving import h5
from torchkeras.saving.errors import DamagedFileError, LimitError, UnsafeFileError
from torchkeras.saving.limits import readable

if TYPE_CHECKING:
    from torchkeras.saving.hdf5 import Source

Bytes = bytes | mmap.mmap
Texts = dict[tuple[int, int], int]  # (place of the collection, number in it) -> length

_COLLECTION = b"GCOL\x01"
_REFERENCE = struct.Struct("<IQI")
_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10


def check_texts(source: Source, owner: Any, name: str, count: int, who: str) -> None:
    """Check the references of an attribute.

    Args:
        source: The open file.
        owner: The group or array that has the attribute.
        name: The attribute's name.
        count: Its number of texts.
        who: The attribute, for messages.

    Raises:
        DamagedFileError: a reference or a collection is not sound.
        LimitError: the texts take more than the limit `attribute_bytes`.
    """
    most = source.limits.attribute_bytes
    with _bytes_of(source) as data:
        if source.texts is None:
            source.texts = dict(_stored_texts(source, data))
        references = _references(data, h5.h5o.get_info(owner).addr + source.base, source.base, name.encode(), count)
        total = _total_by_counting(source.texts, data, most, count, who) if references is None else 0
    for length, place, number in references or []:
        if length and source.texts.get((place, number)) != length:
            raise DamagedFileError(f"{who} is damaged: it refers to a text of {length:,} bytes that is not in the file.")
        total += length
    if total > most:
        raise LimitError(f"{who} takes {readable(total)}, more than the limit attribute_bytes={most}.")


@contextlib.contextmanager
def _bytes_of(source: Source) -> Iterator[Bytes]:
    if isinstance(source.content, bytes):
        yield source.content
        return
    with open(source.content, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _stored_texts(source: Source, data: Bytes) -> Iterator[tuple[tuple[int, int], int]]:
    """Where each text of the file is, and its length.

    Raises:
        DamagedFileError: a collection is not sound.
    """
    start = data.find(_COLLECTION)
    while start >= 0:
        length = struct.unpack_from("<Q", data, start + 8)[0] if start + 16 <= len(data) else 0
        # others are chance among the numbers of an array, and no collections to HDF5 either
        if 4096 <= length <= len(data) - start:
            for number, size in _texts_between(data, start + 16, start + length, source.name):
                yield (start - source.base, number), size
        start = data.find(_COLLECTION, start + 1)


def _texts_between(data: Bytes, place: int, end: int, name: str) -> Iterator[tuple[int, int]]:
    """Number and size of each text of one collection; number 0 is the free room, whose size counts its head."""
    while place + 16 <= end:
        number, size = struct.unpack_from("<H6xQ", data, place)
        step = 16 + (size + 7) // 8 * 8 if number else size
        if not 16 <= step <= end - place:
            raise DamagedFileError(f"{name} is damaged: the text stored at byte {place:,} would be {size:,} bytes long.")
        if number:
            yield number, size
        place += step


def _references(data: Bytes, header: int, base: int, name: bytes, count: int) -> list[tuple[int, int, int]] | None:
    """(length, place, number) of each text of an attribute, or `None` where it is not kept in its owner's header."""
    for kind, start, end in _messages(data, header, base):
        if kind == _ATTRIBUTE:
            found, place = _attribute(data, start, end)
            if found == name and place + count * _REFERENCE.size <= end:
                return [_REFERENCE.unpack_from(data, place + index * _REFERENCE.size) for index in range(count)]
    return None


def _messages(data: Bytes, header: int, base: int) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each message in an object's header."""
    newer = data[header : header + 4] == b"OHDR"
    if newer:
        flags = data[header + 5]
        start = header + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        size = 1 << (flags & 3)
        blocks = [(start + size, start + size + int.from_bytes(data[start : start + size], "little"))]
        head = 6 if flags & 0x04 else 4
    else:
        blocks = [(header + 16, header + 16 + struct.unpack_from("<I", data, header + 8)[0])]
        head = 8
    seen = set()
    while blocks:
        start, end = blocks.pop()
        if start in seen or end > len(data):
            continue
        seen.add(start)
        while start + head <= end:
            kind, size = struct.unpack_from("<BH" if newer else "<HH", data, start)
            start, stop = start + head, start + head + size
            if stop > end:
                break
            if kind == _CONTINUATION and size >= 16:
                place, length = struct.unpack_from("<QQ", data, start)
                # newer blocks have a signature before and a checksum behind their messages
                blocks.append((place + base + (4 if newer else 0), place + base + length - (4 if newer else 0)))
            yield kind, start, stop
            start = stop


def _attribute(data: Bytes, start: int, end: int) -> tuple[bytes, int]:
    """Name of the attribute in a message, and where its value begins."""
    if end - start < 9:
        return b"", end
    version, name_size, type_size, space_size = struct.unpack_from("<BxHHH", data, start)
    sizes = (name_size, type_size, space_size)
    if version == 1:
        sizes = tuple((size + 7) // 8 * 8 for size in sizes)  # type: ignore[assignment]
    first = start + (9 if version == 3 else 8)
    return data[first : first + name_size].rstrip(b"\0"), first + sum(sizes)


def _total_by_counting(texts: Texts, data: Bytes, most: int, count: int, who: str) -> int:
    """At most how many bytes the texts take, where the references could not be found: long texts times the references to them."""
    long = [(struct.pack("<QI", *place), size) for place, size in texts.items() if size > most // max(count, 1)]
    if len(long) > 16:  # each takes a walk through the file
        raise LimitError(f"{who} could take more than the limit attribute_bytes={most}.")
    return sum(size * _occurrences(data, reference) for reference, size in long)


def _occurrences(data: Bytes, what: bytes) -> int:
    number, place = 0, data.find(what)
    while place >= 0:
        number, place = number + 1, data.find(what, place + 1)
    return number


def base_of(source_file: Any, name: str) -> int:
    """Where the file's addresses count from.

    Raises:
        UnsafeFileError: its addresses have an unusual size.
    """
    plan = source_file.id.get_create_plist()
    if plan.get_sizes() != (8, 8):
        raise UnsafeFileError(f"{name} has addresses of an unusual size, which no Keras file has.")
    return int(plan.get_userblock())
