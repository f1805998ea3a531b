"""Files of the safetensors format, by the package of that name (extra `safetensors`), within the limits on what a file may ask for."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from torchkeras.saving.errors import DamagedFileError, LimitError
from torchkeras.saving.files import PathLike, check_file, kind_of
from torchkeras.saving.limits import limits, readable
from torchkeras.utils.atomic import atomic_write

_LONGEST_HEADER = 100_000_000  # bytes, of the format


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file begins like one of this format: the length of a table that fits into the file, and a brace."""
    return len(start) >= 9 and start[8:9] == b"{" and 2 <= struct.unpack("<Q", start[:8])[0] <= min(size - 8, _LONGEST_HEADER)


def _package() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError("A .safetensors file needs the package safetensors: pip install 'torchkeras-native[safetensors]'.") from error
    return safetensors


def write_safetensors(path: PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors, whole or not at all.

    Args:
        path: The file.
        tensors: By name. Tensors that share memory are written each for itself.
        metadata: Texts by name.

    Raises:
        ImportError: the package safetensors is not installed.
        ValueError: a tensor of a type that the format has not.
        OSError: as `atomic_write`.
    """
    package = _package()
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    owners: set[int] = set()
    for name, tensor in own.items():
        place = tensor.untyped_storage().data_ptr()
        if place in owners:
            own[name] = tensor.clone()
        owners.add(place)
    try:
        content = package.torch.save(own, dict(metadata) or None)
    except (package.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"safetensors cannot hold these tensors: {error}. Save them in a .pt file.") from error
    with atomic_write(path) as file:
        file.write(content)


def read_safetensors(path: PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the texts of a file.

    Raises:
        ImportError: the package safetensors is not installed.
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
    package = _package()
    try:
        with package.safe_open(text, framework="pt") as opened:
            return {key: opened.get_tensor(key).clone() for key in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118  it is no dict
    except (package.SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise DamagedFileError(f"{name} is damaged or cut short: {error}.") from error
