"""Files of `torch.save`: plain containers and tensors only, their sizes looked at before torch reads them.

torch's reader unpacks what a member says it holds and believes a tensor's shape; both are held against the file's own size here.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.saving.errors import ContentError, DamagedFileError, LimitError, UnsafeFileError
from torchkeras.saving.files import PathLike, check_file, wrong_kind
from torchkeras.saving.limits import limits, readable
from torchkeras.utils.atomic import atomic_write

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size, torch.device)
_PICKLE = "data.pkl"


def is_torch_archive(path: PathLike) -> bool:
    """Whether a zip archive is one of `torch.save`, by the name of its first member."""
    with open(path, "rb") as file:
        head = file.read(30)
        name = file.read(int.from_bytes(head[26:28], "little")) if len(head) == 30 and head.startswith(b"PK\x03\x04") else b""
    return name == _PICKLE.encode() or name.endswith(f"/{_PICKLE}".encode())


def read_torch(path: PathLike) -> Any:
    """What a file of `torch.save` holds, with tensors on the CPU; nothing of it is run.

    Args:
        path: The file.

    Raises:
        MissingFileError, FolderError, NoPermissionError: as `check_file`.
        DamagedFileError: it is no file of `torch.save`, or not a whole one.
        UnsafeFileError: it names functions or classes, or holds something else than plain data and tensors.
        LimitError: it would unpack to more than it stores.
    """
    text = check_file(path)
    name = repr(text)
    _check_archive(text, name)
    try:
        with open(text, "rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the parts of a broken file bring about
        first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        if "weights_only" in str(error).lower() or "Unsupported" in str(error):
            raise UnsafeFileError(
                f"{name} was written by torch.save and names functions or classes, which could run code: only plain data and tensors are read "
                f"({first}). Read it in the program that wrote it, and save its state_dict()."
            ) from None
        raise DamagedFileError(f"{name} is no whole file of torch.save: {type(error).__name__}: {first}") from error
    _check_plain(found, name, [0], 0)
    return found


def write_torch(path: PathLike, value: Any) -> None:
    """Write plain data and tensors, whole or not at all.

    Raises:
        OSError: as `atomic_write`.
    """
    with atomic_write(path) as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:  # torch hides what the file said
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def _check_archive(text: str, name: str) -> None:
    """Hold the list of members against the file, and their checksums, which torch does not look at."""
    size = os.path.getsize(text)
    with open(text, "rb") as file:
        start = file.read(64)
    try:
        with zipfile.ZipFile(text) as archive:
            members = archive.infolist()
            if len(members) > limits().names:
                raise LimitError(f"{name} has {len(members):,} members, more than the limit names={limits().names} allows.")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise UnsafeFileError(f"{name} has packed members, which torch.save never writes.")
            stored = sum(member.file_size for member in members)
            if stored > size or stored != sum(member.compress_size for member in members):
                raise UnsafeFileError(f"{name}: its members overlap ({readable(stored)} in a file of {readable(size)}).")
            if len({member.filename for member in members}) != len(members):
                raise UnsafeFileError(f"{name} has two members of one name; which one is meant is not clear.")
            pickled = [member for member in members if member.filename.rpartition("/")[2] == _PICKLE]
            if not pickled:
                raise ContentError(f"{name} is a zip archive, but none of torch.save: it has no {_PICKLE}.")
            if any(member.file_size > limits().json_bytes for member in pickled):
                raise LimitError(f"{name}: {_PICKLE} is longer than the limit json_bytes={limits().json_bytes}.")
            bad = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, IndexError, ArithmeticError) as error:
        raise wrong_kind(name, "a file of torch.save", b"PK", start, size, str(error)) from error
    except OSError as error:
        if isinstance(error, (ContentError, LimitError, UnsafeFileError)):
            raise
        raise DamagedFileError(f"{name} is damaged: {error}") from error
    if bad is not None:
        raise DamagedFileError(f"{name} is damaged: the checksum of {bad} does not fit.")


def _check_plain(value: Any, name: str, count: list[int], depth: int) -> None:
    """Refuse what is neither plain data nor an ordinary tensor, and tensors that show more than they hold."""
    count[0] += 1
    if count[0] > limits().json_items or depth > limits().depth:
        raise LimitError(f"{name} holds more values, or nests them deeper, than the limits json_items and depth allow.")
    if isinstance(value, Tensor):
        _check_tensor(value, name)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _check_plain(key, name, count, depth + 1)
            _check_plain(part, name, count, depth + 1)
        for part in vars(value).values() if hasattr(value, "__dict__") else ():
            _check_plain(part, name, count, depth + 1)
    elif isinstance(value, (list, tuple, set)):
        for part in value:
            _check_plain(part, name, count, depth + 1)
    elif not isinstance(value, _PLAIN):
        raise UnsafeFileError(f"{name} holds a {type(value).__name__}; only plain data and tensors are read.")


def _check_tensor(tensor: Tensor, name: str) -> None:
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided or tensor.is_quantized:
        raise UnsafeFileError(
            f"{name} holds a tensor of the kind {type(tensor).__name__} with the layout {tensor.layout}; only ordinary ones are read."
        )
    if tensor.device.type != "cpu":
        raise UnsafeFileError(f"{name} holds a tensor without values, on the device '{tensor.device}'.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise LimitError(
            f"{name} declares a tensor of shape {tuple(tensor.shape)}, {readable(tensor.numel() * tensor.element_size())}, of which it stores only "
            f"{readable(tensor.untyped_storage().nbytes())}."
        )
