"""HDF5 files that the caller has open: read through the same checks, written in place."""

from __future__ import annotations

import sys
from typing import Any


def is_open_file(value: Any) -> bool:
    """Whether a value is an `h5py.File` or group rather than a path."""
    h5py = sys.modules.get("h5py")  # who has such an object has imported it
    return h5py is not None and isinstance(value, h5py.Group)


def image_of(group: Any) -> tuple[bytes, str, str]:
    """What an open file holds: its bytes, the place of the group in it, and its name for messages.

    Raises:
        ValueError: it is closed.
    """
    if not group:
        raise ValueError("The h5py file is closed: open it again, or give its path.")
    group.file.flush()
    return group.file.id.get_file_image(), group.name, repr(group.file.filename)
