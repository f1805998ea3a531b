"""Saved states as files: whole or absent, checked when they are read."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import torch

from torchkeras.utils.atomic import atomic_write

FORMAT = "torchkeras state"
VERSION = 1


class DamagedState(ValueError):
    """A file that is no saved state, or not a whole one."""


def write_state(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a state, whole or not at all; `torch.load(path, weights_only=True)` reads it.

    Raises:
        OSError: it could not be written.
    """
    with atomic_write(path) as file:
        try:
            torch.save({"format": FORMAT, "version": VERSION, **state}, file)
        except RuntimeError as error:  # torch hides what the file said
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_state` wrote. Every byte of it is checked, and nothing in it is run.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedState: it is no saved state, not whole, or of a newer version.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:  # tells of a missing one, or a folder
        try:
            with zipfile.ZipFile(file) as archive:
                bad = archive.testzip()  # torch does not look at the checksums
            if bad is not None:
                raise DamagedState(f"{name} is damaged: the checksum of {bad} does not fit.")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
        except DamagedState:
            raise
        except Exception as error:  # whatever the parts of a broken file bring about
            raise DamagedState(f"{name} is no saved state, or not a whole one ({type(error).__name__}: {str(error)[:100]}).") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DamagedState(f"{name} is no saved state of a training run: model.save_state() and BackupAndRestore write those.")
    if state.get("version") != VERSION:
        raise DamagedState(
            f"{name} has the version {state.get('version')!r} of the format, but {VERSION} is read here. Use the release that wrote it."
        )
    missing = [name for name in ("weights", "ranks", "run") if name not in state]
    if missing:
        raise DamagedState(f"{name} is no saved state of a training run: it has no {missing[0]!r}.")
    return state
