"""The safetensors format: a length, a JSON table of names, types, shapes and places, then the numbers, and nothing else.

Source: the format's description, version 0.4 to 0.7; no package is needed for it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from torchkeras.saving.errors import DamagedFileError, LimitError
from torchkeras.saving.files import PathLike, check_file, kind_of
from torchkeras.saving.limits import limits, readable
from torchkeras.utils.atomic import atomic_write

TYPES: Final = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "BOOL": torch.bool,
    "C64": torch.complex64,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in TYPES.items()}
_METADATA = "__metadata__"
_LONGEST_HEADER = 100_000_000  # bytes, of the format


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file begins like one of this format: the length of a table that fits into the file, and a brace."""
    return len(start) >= 9 and start[8:9] == b"{" and 2 <= struct.unpack("<Q", start[:8])[0] <= min(size - 8, _LONGEST_HEADER)


def write_safetensors(path: PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors, whole or not at all.

    Args:
        path: The file.
        tensors: By name.
        metadata: Texts by name.

    Raises:
        ValueError: a tensor of a type that the format has not.
        OSError: as `atomic_write`.
    """
    table: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    place = 0
    # the largest types first, so that each tensor starts at a multiple of its type's size
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    for name, tensor in ordered:
        if tensor.dtype not in _NAMES or tensor.layout is not torch.strided:
            raise ValueError(f"safetensors has no place for the tensor {name!r} of the type {tensor.dtype}. Save it in a .pt file.")
        end = place + tensor.numel() * tensor.element_size()
        table[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    header = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _, tensor in ordered:
            file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def read_safetensors(path: PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the texts of a file.

    Raises:
        MissingFileError, FolderError, NoPermissionError: as `check_file`.
        DamagedFileError: it is no file of this format, or not a whole one.
        LimitError: its table is longer than the limits allow.
    """
    text = check_file(path)
    name, size = repr(text), os.path.getsize(text)
    with open(text, "rb") as file:
        start = file.read(9)
        if not is_safetensors(start, size):
            words = kind_of(start)
            raise DamagedFileError(f"{name} is no safetensors file{f': it looks like {words}' if words else ', or is cut short'}.")
        (length,) = struct.unpack("<Q", start[:8])
        if length > limits().json_bytes:
            raise LimitError(f"{name}: its table is {readable(length)} long, more than the limit json_bytes={limits().json_bytes}.")
        file.seek(8)
        table = _table(file.read(length), name)
        metadata = table.pop(_METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(part, str) for part in metadata.values()):
            raise DamagedFileError(f"{name}: its metadata are not texts by name.")
        places = _checked(table, size - 8 - length, name)
        tensors = {}
        for key, (dtype, shape, begin, end) in places.items():
            file.seek(8 + length + begin)
            data = bytearray(file.read(end - begin))
            tensors[key] = torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
    return tensors, metadata


def _table(header: bytes, name: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a name comes twice")
        return dict(pairs)

    try:
        table = json.loads(header, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{name} is damaged: its table is no JSON ({error}).") from None
    if not isinstance(table, dict) or len(table) > limits().names:
        raise DamagedFileError(f"{name} is damaged: its table is no dict, or longer than the limit names={limits().names}.")
    return table


def _checked(table: Mapping[str, Any], room: int, name: str) -> dict[str, tuple[torch.dtype, tuple[int, ...], int, int]]:
    """Type, shape and place of each tensor: together they fill the file, each just as long as its shape says."""
    places: dict[str, tuple[torch.dtype, tuple[int, ...], int, int]] = {}
    for key, entry in table.items():
        kind, shape, offsets = (entry.get(part) for part in ("dtype", "shape", "data_offsets")) if isinstance(entry, dict) else (None, None, None)
        whole = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2 and len(shape) <= 64
        whole = whole and all(type(number) is int and 0 <= number < 1 << 62 for number in (*shape, *offsets))  # type: ignore[misc]
        if kind not in TYPES or not whole:
            raise DamagedFileError(f"{name} is damaged: the entry {key!r:.80} says {entry!r:.120}.")
        wanted = TYPES[kind].itemsize
        for number in shape:  # type: ignore[union-attr]
            wanted *= number
        begin, end = offsets  # type: ignore[misc]
        if end - begin != wanted or end > room:
            raise DamagedFileError(f"{name} is damaged: {key!r:.80} of shape {shape} takes {wanted:,} bytes, but has the places {begin} to {end}.")
        places[key] = (TYPES[kind], tuple(shape), begin, end)  # type: ignore[arg-type]
    last = 0
    for begin, end in sorted((begin, end) for _, _, begin, end in places.values()):
        if begin != last:
            raise DamagedFileError(f"{name} is damaged: its tensors overlap or leave gaps at byte {last}.")
        last = end
    if last != room:
        raise DamagedFileError(f"{name} is damaged or cut short: its table tells of {last:,} bytes, but {room:,} follow.")
    return places
