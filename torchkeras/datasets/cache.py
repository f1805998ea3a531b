"""Files of data sets in Keras' cache folder: taken from there, or downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence

from torchkeras.utils.download import get_file, validate_file

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def cache_folder(*parts: str) -> str:
    """A path below ~/.keras/datasets."""
    return os.path.join(os.path.expanduser("~"), ".keras", "datasets", *parts)


def data_file(path: str | os.PathLike[str], origin: str, hashes: Sequence[str] = (), cache_subdir: str = "datasets") -> str:
    """The path of a data file, downloaded where it is not there.

    A file in the cache counts where it has one of the hashes: the releases of Keras offer the same data in files that differ. A file of the
    user's own, given by an absolute path, is taken as it is.

    Args:
        path: Name in the cache folder, or an absolute path.
        origin: URL.
        hashes: MD5 or SHA-256 of the files that count; the first is that of `origin`. None: any file.
        cache_subdir: Folder below ~/.keras.
    """
    there = os.path.join(os.path.expanduser("~"), ".keras", cache_subdir, os.fspath(path))  # an absolute path stays what it is
    if os.path.isfile(there) and (os.path.isabs(path) or any(validate_file(there, one) for one in hashes)):
        return there
    return get_file(path, origin, file_hash=hashes[0] if hashes else None, cache_subdir=cache_subdir)
