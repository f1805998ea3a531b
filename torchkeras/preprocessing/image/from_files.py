"""Batches of images out of files: folders of classes, or a table of names.

Source: Keras-Preprocessing 1.1.2 `image.directory_iterator`, `image.dataframe_iterator`.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from torchkeras.config import floatx, normalize_data_format
from torchkeras.preprocessing.image.files import COLOR_MODES, INTERPOLATIONS, check_choice, images_below, img_to_array, is_image_file, load_img
from torchkeras.preprocessing.image.iterators import Iterator, save_batch, split_rows

if TYPE_CHECKING:
    from torchkeras.preprocessing.image.generator import ImageDataGenerator


class FileIterator(Iterator):
    """Base of the iterators over files: `filepaths`, `labels` and `sample_weight` to batches."""

    class_mode: str | None
    dtype: DTypeLike
    class_indices: dict[str, int]
    classes: Any
    filenames: list[str]
    _filepaths: list[str]
    _sample_weight: NDArray[Any] | None = None

    def set_processing_attrs(
        self,
        image_data_generator: ImageDataGenerator | None,
        target_size: tuple[int, int],
        color_mode: str,
        data_format: str | None,
        save_to_dir: str | None,
        save_prefix: str,
        save_format: str,
        subset: str | None,
        interpolation: str,
    ) -> None:
        """Store how files become a batch; see `DirectoryIterator` for the arguments.

        Raises:
            ValueError: a choice that is not known, or a subset without a generator that splits.
        """
        check_choice("color_mode", color_mode, COLOR_MODES)
        check_choice("interpolation", interpolation, INTERPOLATIONS)
        split_rows(0, subset, 0.0)
        if subset is not None and image_data_generator is None:
            raise ValueError(f"{type(self).__name__} needs an ImageDataGenerator(validation_split=...) for subset={subset!r}.")
        self.image_data_generator = image_data_generator
        self.target_size = tuple(target_size)
        self.color_mode = color_mode
        self.data_format = normalize_data_format(data_format)
        channels = (COLOR_MODES[color_mode],)
        self.image_shape = (*self.target_size, *channels) if self.data_format == "channels_last" else (*channels, *self.target_size)
        self.save_to_dir = save_to_dir
        self.save_prefix = save_prefix
        self.save_format = save_format
        self.interpolation = interpolation
        self.subset = subset

    def _rows(self, count: int) -> slice:
        """The rows of this iterator's subset among `count`."""
        split = 0.0 if self.image_data_generator is None else self.image_data_generator._validation_split
        return split_rows(count, self.subset, split)

    @property
    def filepaths(self) -> list[str]:
        """Path of each image."""
        return self._filepaths

    @property
    def labels(self) -> Any:
        """Class number of each image, or its targets."""
        return self.classes

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        """Weight of each image, or `None`."""
        return self._sample_weight

    def _get_batches_of_transformed_samples(self, index_array: NDArray[Any]) -> Any:
        batch = np.zeros((len(index_array), *self.image_shape), dtype=self.dtype)
        paths = self.filepaths
        for place, number in enumerate(index_array):
            with load_img(paths[number], color_mode=self.color_mode, target_size=self.target_size, interpolation=self.interpolation) as picture:  # type: ignore[arg-type]
                image = img_to_array(picture, self.data_format, dtype="float32")
            if self.image_data_generator is not None:
                image = self.image_data_generator.standardize(self.image_data_generator.random_transform(image))
            batch[place] = image
        if self.save_to_dir:
            save_batch(batch, index_array, self.save_to_dir, self.save_prefix, self.save_format, self.data_format, 10_000_000)
        if self.class_mode is None:
            return batch
        targets = self._targets_of(batch, index_array)
        weights = self.sample_weight
        return (batch, targets) if weights is None else (batch, targets, weights[index_array])

    def _targets_of(self, batch: NDArray[Any], index_array: NDArray[Any]) -> Any:
        if self.class_mode == "input":
            return batch.copy()
        if self.class_mode in ("binary", "sparse"):
            return np.array([self.classes[number] for number in index_array], dtype=self.dtype)
        if self.class_mode == "categorical":
            rows = np.zeros((len(batch), len(self.class_indices)), dtype=self.dtype)
            for place, number in enumerate(index_array):
                rows[place, self.classes[number]] = 1.0  # one class, or a list of them
            return rows
        if self.class_mode == "multi_output":
            return [output[index_array] for output in self.labels]
        return self.labels[index_array]


class DirectoryIterator(FileIterator):
    """Batches of the images in a folder that has a folder for each class.

    Args:
        directory: The folder.
        image_data_generator: The `ImageDataGenerator`.
        target_size: (height, width) that all images are resized to.
        color_mode: "grayscale", "rgb" or "rgba".
        classes: Names of the folders, in the order of the class numbers; `None`: all, sorted.
        class_mode: "categorical" (one-hot), "binary" or "sparse" (numbers), "input" (the images themselves), or `None` (no targets).
        batch_size: Images in a batch.
        shuffle: Whether they are shuffled anew in each epoch.
        seed: Seed of the order and of the transformations, see `Iterator`.
        data_format: Where the channels go; `None`: the global setting.
        save_to_dir: A folder that every image made is written to, or `None`.
        save_prefix: Start of those files' names.
        save_format: Their ending.
        follow_links: Whether links to folders are followed.
        subset: "training" or "validation", the part that the generator's `validation_split` makes of each class; `None`: all.
        interpolation: How images are resized, see `load_img`.
        dtype: Type of the batches; `None`: floatx.

    Raises:
        ValueError: a choice that is not known.
        FileNotFoundError: no such folder.

    Source: Keras-Preprocessing 1.1.2 `DirectoryIterator`.
    """

    allowed_class_modes: ClassVar[set[str | None]] = {"categorical", "binary", "sparse", "input", None}

    def __init__(
        self,
        directory: str,
        image_data_generator: ImageDataGenerator | None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: list[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        dtype: DTypeLike | None = None,
    ) -> None:
        self.set_processing_attrs(
            image_data_generator, target_size, color_mode, data_format, save_to_dir, save_prefix, save_format, subset, interpolation
        )
        check_choice("class_mode", class_mode, self.allowed_class_modes)
        self.directory = os.fspath(directory)
        self.class_mode = class_mode
        self.dtype = dtype or floatx()
        folders = list(classes) if classes else sorted(entry.name for entry in os.scandir(self.directory) if entry.is_dir())
        self.num_classes = len(folders)
        self.class_indices = {name: number for number, name in enumerate(folders)}
        self.filenames = []
        numbers = []
        for number, name in enumerate(folders):
            folder = os.path.join(self.directory, name)
            found = list(images_below(folder, self.white_list_formats, follow_links))
            found = found[self._rows(len(found))]
            self.filenames += [os.path.join(os.path.basename(folder), os.path.relpath(path, folder)) for path in found]
            numbers += [number] * len(found)
        self.classes = np.array(numbers, dtype="int32")
        self.samples = len(self.filenames)
        print(f"Found {self.samples} images belonging to {self.num_classes} classes.")
        self._filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        super().__init__(self.samples, batch_size, shuffle, seed)


class DataFrameIterator(FileIterator):
    """Batches of the images whose files a pandas table names.

    Args:
        dataframe: The table.
        directory: The folder that names are relative to; `None`: they are paths.
        image_data_generator: The `ImageDataGenerator`, or `None` to take the images as they are.
        x_col: Column of the files' names.
        y_col: Column of the classes or targets, or a list of columns.
        weight_col: Column of the weights, or `None`.
        target_size: (height, width) that all images are resized to.
        color_mode: "grayscale", "rgb" or "rgba".
        classes: Classes to take; `None`: all.
        class_mode: "categorical" (one-hot, of a name or a list of names), "binary" or "sparse" (numbers), "input" (the images
            themselves), "raw" (the columns as they are), "multi_output" (a list of arrays, one for each column) or `None` (no targets).
        batch_size: Images in a batch.
        shuffle: Whether they are shuffled anew in each epoch.
        seed: Seed of the order and of the transformations, see `Iterator`.
        data_format: Where the channels go; `None`: the global setting.
        save_to_dir: A folder that every image made is written to, or `None`.
        save_prefix: Start of those files' names.
        save_format: Their ending.
        subset: "training" or "validation", the part that the generator's `validation_split` makes; `None`: all.
        interpolation: How images are resized, see `load_img`.
        dtype: Type of the batches; `None`: floatx.
        validate_filenames: Whether rows without a file are left out, with a warning.

    Raises:
        ValueError: a choice that is not known, or other than two classes for "binary".
        TypeError: a column of the wrong type.

    Source: Keras-Preprocessing 1.1.2 `DataFrameIterator`.
    """

    allowed_class_modes: ClassVar[set[str | None]] = {"binary", "categorical", "input", "multi_output", "raw", "sparse", None}

    def __init__(
        self,
        dataframe: Any,
        directory: str | None = None,
        image_data_generator: ImageDataGenerator | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: list[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        dtype: DTypeLike | None = None,
        validate_filenames: bool = True,
    ) -> None:
        self.set_processing_attrs(
            image_data_generator, target_size, color_mode, data_format, save_to_dir, save_prefix, save_format, subset, interpolation
        )
        check_choice("class_mode", class_mode, self.allowed_class_modes)
        self.directory = os.fspath(directory) if directory else ""
        self.class_mode = class_mode
        self.dtype = dtype or floatx()
        self._check_columns(dataframe, x_col, y_col, weight_col, classes)
        rows = np.arange(len(dataframe))
        if validate_filenames:
            rows = self._rows_with_files(dataframe[x_col].tolist(), x_col)
        labels: list[Any] = []
        if self._has_classes:
            labels = dataframe[y_col].tolist()
            kept = [_kept(label, classes) for label in labels]
            rows = np.array([row for row in rows if kept[row] is not None], dtype=int)
            names = sorted(set(classes) if classes else {name for row in rows for name in _listed(kept[row])})
            self.class_indices = {name: number for number, name in enumerate(names)}
            labels = kept
        rows = rows[self._rows(len(rows))]
        table = dataframe.iloc[rows]
        if self._has_classes:
            self.classes = [
                [self.class_indices[name] for name in labels[row]] if isinstance(labels[row], (list, tuple)) else self.class_indices[labels[row]]
                for row in rows
            ]
        elif class_mode == "multi_output":
            self._targets: Any = [np.array(table[column].tolist()) for column in y_col]
        elif class_mode == "raw":
            self._targets = table[y_col].to_numpy()
        self.filenames = table[x_col].tolist()
        self._sample_weight = table[weight_col].to_numpy() if weight_col else None
        self.samples = len(self.filenames)
        checked = "validated" if validate_filenames else "non-validated"
        of_classes = f" belonging to {len(self.class_indices)} classes" if self._has_classes else ""
        print(f"Found {self.samples} {checked} image filenames{of_classes}.")
        self._filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        super().__init__(self.samples, batch_size, shuffle, seed)

    @property
    def _has_classes(self) -> bool:
        return self.class_mode in ("binary", "categorical", "sparse")

    @property
    def labels(self) -> Any:
        """Class number of each image, or its targets."""
        return self._targets if self.class_mode in ("multi_output", "raw") else self.classes

    def _rows_with_files(self, names: list[str], x_col: str) -> NDArray[Any]:
        good = [is_image_file(os.path.join(self.directory, name), self.white_list_formats) for name in names]
        if not all(good):
            warnings.warn(f"{good.count(False)} row(s) of column {x_col!r} name no image file and are left out.", stacklevel=4)
        return np.flatnonzero(good)

    def _check_columns(self, table: Any, x_col: str, y_col: Any, weight_col: str | None, classes: Any) -> None:
        mode = self.class_mode
        if mode == "multi_output" and not isinstance(y_col, list):
            raise TypeError(f"class_mode='multi_output' takes a list of columns as y_col, but got {y_col!r}.")
        _check_types(table[x_col], x_col, (str,), "names of files")
        if mode in ("binary", "sparse"):
            _check_types(table[y_col], y_col, (str,), f"texts for class_mode={mode!r}")
        if mode == "categorical":
            _check_types(table[y_col], y_col, (str, list, tuple), "texts or lists of texts for class_mode='categorical'")
        if mode == "binary":
            count = len(set(classes or table[y_col]))
            if count != 2:
                raise ValueError(f"class_mode='binary' needs two classes, but there are {count}.")
        if classes and not self._has_classes:
            warnings.warn(f"classes={classes!r} has no meaning for class_mode={mode!r}.", stacklevel=4)
        if weight_col and not np.issubdtype(table[weight_col].to_numpy().dtype, np.number):
            raise TypeError(f"The column weight_col={weight_col!r} must hold numbers, but is of type {table[weight_col].dtype}.")


def _check_types(column: Any, name: Any, types: tuple[type, ...], meaning: str) -> None:
    for row, value in enumerate(column):
        if not isinstance(value, types):
            raise TypeError(f"The column {name!r} must hold {meaning}, but row {row} is {value!r}.")


def _listed(label: Any) -> Any:
    return label if isinstance(label, (list, tuple)) else [label]


def _kept(label: Any, classes: Any) -> Any:
    """What of a label is among the classes wanted; `None` for nothing."""
    if not classes:
        return label
    if isinstance(label, (list, tuple)):
        return [name for name in label if name in classes] or None
    return label if label in classes else None
