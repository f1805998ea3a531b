"""h5py and its low-level parts (`h5.h5d`, `h5.h5py`, ...), imported when first used: a program that saves nothing does not wait for it."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import h5py

    found = globals()[name] = h5py if name == "h5py" else getattr(h5py, name)
    return found
