"""Arrays in HDF5 files: read row by row instead of all at once.

Source: `keras.utils.io_utils` (Keras 1.2.2, 2.2.4), `tf.keras.utils.HDF5Matrix` (2.4.0).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from torchkeras.utils.atomic import atomic_hdf5

if TYPE_CHECKING:
    import h5py

HDF5_OBJECT_HEADER_LIMIT: Final = 64512  # bytes of attributes that HDF5 keeps beside one group or data set


class HDF5Matrix:
    """Rows of a data set in an HDF5 file, to be used like an array that stays on disk.

    The file is opened for reading when first needed, once in each process; rows may be asked in any order.

    Args:
        datapath: The file.
        dataset: Name of the data set in it.
        start: First row.
        end: The row behind the last; `None`: all.
        normalizer: Called on what was read.

    Shape:
        (end - start, ...), behind the rows as the normalizer leaves it

    Raises:
        ValueError: no such data set, one that lies in another file, or rows that are not there.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `HDF5Matrix`.
    """

    def __init__(
        self,
        datapath: str | os.PathLike[str],
        dataset: str,
        start: int = 0,
        end: int | None = None,
        normalizer: Callable[[Any], Any] | None = None,
    ) -> None:
        self.datapath = os.fspath(datapath)
        self.dataset = dataset
        self.normalizer = normalizer
        self._opened: tuple[int, h5py.Dataset] | None = None
        rows = self.data.shape[0] if self.data.ndim else 0
        self.start = start
        self.end = rows if end is None else end
        if not 0 <= self.start <= self.end <= rows:
            raise ValueError(f"HDF5Matrix was asked for the rows {self.start} to {self.end} of {dataset!r}, which has {rows}.")
        first = np.asarray(self._read(slice(self.start, min(self.start + 1, self.end))))
        self._base_shape = first.shape[1:]
        self._base_dtype = first.dtype

    @property
    def data(self) -> h5py.Dataset:
        """The data set itself, all rows."""
        if self._opened is None or self._opened[0] != os.getpid():  # a file handle does not survive a fork
            self._opened = os.getpid(), _open(self.datapath, self.dataset)
        return self._opened[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, then the shape of a row."""
        return (self.end - self.start, *self._base_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what is read."""
        return self._base_dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.end - self.start

    def __getitem__(self, key: Any) -> Any:
        """One row, a slice of rows, or the rows of a list or array of numbers or booleans."""
        rows = len(self)
        if isinstance(key, slice):
            first, stop, step = key.indices(rows)
            if step > 0:
                return self._read(slice(self.start + first, self.start + max(stop, first), step))
            return self[np.arange(first, stop, step)]
        if isinstance(key, (int, np.integer)):
            if not -rows <= key < rows:
                raise IndexError(f"HDF5Matrix has {rows} rows, but was asked for row {key}.")
            return self._read(self.start + key % rows)
        wanted = np.asarray(key)
        if wanted.dtype == bool and wanted.shape == (rows,):
            wanted = np.flatnonzero(wanted)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise IndexError(f"HDF5Matrix takes a row number, a slice, or a list of row numbers, but got {key!r}.")
        if not wanted.size:
            return self[0:0]
        if not -rows <= wanted.min() <= wanted.max() < rows:
            raise IndexError(f"HDF5Matrix has {rows} rows, but was asked for the rows {wanted.min()} to {wanted.max()}.")
        # HDF5 reads rows in rising order, each once
        distinct, places = np.unique(wanted % rows, return_inverse=True)
        return self._read(self.start + distinct, places)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def _read(self, rows: Any, places: Any = None) -> Any:
        values = self.data[rows]
        if places is not None:
            values = values[places]
        return values if self.normalizer is None else self.normalizer(values)


def _open(path: str, name: str) -> h5py.Dataset:
    """A data set that lies in this very file."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"HDF5Matrix cannot read {path}: {error}.") from error
    place: Any = file
    for part in name.strip("/").split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            known = sorted(place) if isinstance(place, h5py.Group) else []
            raise ValueError(f"HDF5Matrix finds no data set {name!r} in {path}: there is no {part!r} among {known[:20]}.")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"HDF5Matrix does not follow the link {part!r} of {name!r} in {path}. Open the file that it leads to.")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise ValueError(f"HDF5Matrix needs a data set, but {name!r} in {path} is a group of {sorted(place)[:20]}.")
    if place.external or place.is_virtual:
        raise ValueError(f"HDF5Matrix reads no data set whose values lie in other files, as those of {name!r} in {path} do.")
    return place


def save_array(array: NDArray[Any], name: str | os.PathLike[str]) -> None:
    """Write an array to an HDF5 file, as its data set "data".

    Args:
        array: The array.
        name: The file, which is replaced as a whole.

    Source: Keras 1.2.2 `io_utils.save_array`.
    """
    with atomic_hdf5(name) as file:
        file.create_dataset("data", data=array)


def load_array(name: str | os.PathLike[str]) -> NDArray[Any]:
    """The array that `save_array` wrote, here or in Keras 1.2.2.

    Raises:
        ValueError: the file has no data set "data".

    Source: Keras 1.2.2 `io_utils.load_array`.
    """
    return np.asarray(HDF5Matrix(name, "data"))


class H5Dict:
    """Refused: Keras 2.2.4's dictionary around an HDF5 file, which only its own saving used.

    Raises:
        RuntimeError: always.
    """

    def __init__(self, path: Any, mode: str = "a") -> None:
        raise RuntimeError("H5Dict was an inner tool of Keras 2.2.4. Open the file with h5py.File, or use model.save and load_model.")


h5dict = H5Dict


def ask_to_proceed_with_overwrite(filepath: str | os.PathLike[str]) -> bool:
    """Ask the user at the terminal whether a file may be replaced.

    Source: Keras 2.2.4 `ask_to_proceed_with_overwrite`.
    """
    answer = input(f"[WARNING] {filepath} already exists - overwrite? [y/n]")
    while answer not in ("y", "n"):
        answer = input('Enter "y" (overwrite) or "n" (cancel).')
    if answer == "y":
        print("[TIP] Next time specify overwrite=True!")
    return answer == "y"
