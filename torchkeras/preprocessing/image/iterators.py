"""Batches of images out of arrays: their order, and what the iterators over files share.

Source: Keras-Preprocessing 1.1.2 `image.iterator`, `image.numpy_array_iterator`.
"""

from __future__ import annotations

import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from torchkeras.config import floatx, normalize_data_format
from torchkeras.generations import choose
from torchkeras.preprocessing.image.files import EXTENSIONS, array_to_img, check_choice, write_picture
from torchkeras.utils.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Iterator as AnyIterator

    from torchkeras.preprocessing.image.generator import ImageDataGenerator

SUBSETS = ("training", "validation")


class Iterator(Sequence):
    """Base of the image iterators: batches by number, or one after the other without end.

    With a seed, numpy's global generator is seeded with `seed` plus the batches seen before each batch, as Keras does: the order
    and the augmentation repeat.

    Args:
        n: Number of samples.
        batch_size: Samples in a batch.
        shuffle: Whether the samples are shuffled anew in each epoch.
        seed: Seed, or `None` to go on from numpy's state.

    Source: Keras-Preprocessing 1.1.2 `Iterator`.
    """

    white_list_formats: ClassVar[tuple[str, ...]] = EXTENSIONS

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        if batch_size < 1:
            raise ValueError(f"{type(self).__name__} takes a batch_size of at least 1, but got {batch_size!r}.")
        self.n = n
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.batch_index = 0
        self.total_batches_seen = 0
        self.index_array: NDArray[Any] | None = None
        # Keras 1 counts on past a last batch that is full, and so shuffles only once
        self._counts_on = choose("image.keras1")
        self.lock = threading.Lock()
        self.index_generator = self._flow_index()

    def _set_index_array(self) -> None:
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _begin_batch(self) -> None:
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)

    def __getitem__(self, idx: int) -> Any:
        if not 0 <= idx < len(self):
            raise ValueError(f"{type(self).__name__} has the batches 0 to {len(self) - 1}, but was asked for {idx}.")
        with self.lock:
            self._begin_batch()
            self.total_batches_seen += 1
            if self.index_array is None:
                self._set_index_array()
            assert self.index_array is not None
            chosen = self.index_array[self.batch_size * idx : self.batch_size * (idx + 1)]
        return self._get_batches_of_transformed_samples(chosen)

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def on_epoch_end(self) -> None:
        """Shuffle anew."""
        self._set_index_array()

    def reset(self) -> None:
        """Go on with the first batch of an epoch."""
        self.batch_index = 0

    def _flow_index(self) -> AnyIterator[NDArray[Any]]:
        while True:
            self._begin_batch()
            if self.batch_index == 0:
                self._set_index_array()
            assert self.index_array is not None
            start = self.batch_index * self.batch_size % self.n if self.n else 0
            end = start + self.batch_size
            more = self.n >= end if self._counts_on else self.n > end
            self.batch_index = self.batch_index + 1 if more else 0
            self.total_batches_seen += 1
            yield self.index_array[start:end]

    def __iter__(self) -> AnyIterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self) -> Any:
        """The next batch; may be called from several threads."""
        with self.lock:
            chosen = next(self.index_generator)
        return self._get_batches_of_transformed_samples(chosen)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("lock", "index_generator")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.Lock()
        self.index_generator = self._flow_index()

    def _get_batches_of_transformed_samples(self, index_array: NDArray[Any]) -> Any:
        """The batch of the samples with these numbers; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} needs a method _get_batches_of_transformed_samples(index_array).")


def save_batch(images: NDArray[Any], numbers: NDArray[Any], folder: str, prefix: str, ending: str, data_format: str, draws: int) -> None:
    """Write the images of a batch to a folder, each under its number and a random one below `draws`."""
    for image, number in zip(images, numbers, strict=True):
        picture = array_to_img(image, data_format, scale=True)
        write_picture(picture, os.path.join(folder, f"{prefix}_{number}_{np.random.randint(draws)}.{ending}"))


def split_rows(count: int, subset: str | None, validation_split: float) -> slice:
    """The rows of a subset: the first ones are for validation.

    Raises:
        ValueError: another subset.
    """
    if subset is None:
        return slice(None)
    check_choice("subset", subset, SUBSETS)
    cut = int(count * validation_split)
    return slice(0, cut) if subset == "validation" else slice(cut, count)


class NumpyArrayIterator(Iterator):
    """Batches out of an array of images, each image transformed and standardized as a generator says.

    Args:
        x: Images, or (images, further inputs) where the further inputs are an array or a list of arrays that pass unchanged.
        y: Labels, or `None`.
        image_data_generator: The `ImageDataGenerator`.
        batch_size: Images in a batch.
        shuffle: Whether they are shuffled anew in each epoch.
        sample_weight: A weight for each image, or `None`; split like the images (Keras takes the first weights for every subset).
        seed: Seed of the order and of the transformations, see `Iterator`.
        data_format: Where the channels are; `None`: the global setting.
        save_to_dir: A folder that every image made is written to, or `None`.
        save_prefix: Start of those files' names.
        save_format: Their ending.
        subset: "training" or "validation", the part that the generator's `validation_split` makes; `None`: all.
        dtype: Type of the batches; `None`: floatx.

    Shape:
        images (samples, height, width, channels), or channels first -> batches of the same

    Raises:
        ValueError: images without four axes, lengths that differ, or a subset in which a class is missing.

    Source: Keras-Preprocessing 1.1.2 `NumpyArrayIterator`.
    """

    def __init__(
        self,
        x: Any,
        y: ArrayLike | None,
        image_data_generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: ArrayLike | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        self.dtype = dtype or floatx()
        self.data_format = normalize_data_format(data_format)
        further: list[Any] = []
        if isinstance(x, (tuple, list)):
            if len(x) != 2:
                raise ValueError(f"NumpyArrayIterator takes images, or (images, further inputs), but got {len(x)} things.")
            further = list(x[1]) if isinstance(x[1], list) else [x[1]]
            x = x[0]
        images = np.asarray(x)
        for name, array in (("y", y), ("sample_weight", sample_weight), *(("x", one) for one in further)):
            if array is not None and len(array) != len(images):  # type: ignore[arg-type]
                raise ValueError(f"NumpyArrayIterator needs one entry of {name} for each image, but got {len(images)} images and {len(array)}.")  # type: ignore[arg-type]
        labels = None if y is None else np.asarray(y)
        rows = split_rows(len(images), subset, image_data_generator._validation_split)
        if subset is not None and labels is not None:
            cut = rows.stop if subset == "validation" else rows.start
            if not np.array_equal(np.unique(labels[:cut]), np.unique(labels[cut:])):
                raise ValueError(
                    "The training and the validation part of y have different classes. If the arrays are sorted by class, shuffle them first."
                )
        self.x = images[rows]
        self.x_misc = [np.asarray(array)[rows] for array in further]
        self.y = None if labels is None else labels[rows]
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        if self.x.ndim != 4:
            raise ValueError(f"NumpyArrayIterator takes images with four axes, but got the shape {self.x.shape}.")
        check_channels("NumpyArrayIterator", self.x.shape, self.data_format)
        self.image_data_generator = image_data_generator
        self.save_to_dir = save_to_dir
        self.save_prefix = save_prefix
        self.save_format = save_format
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _get_batches_of_transformed_samples(self, index_array: NDArray[Any]) -> Any:
        batch = np.zeros((len(index_array), *self.x.shape[1:]), dtype=self.dtype)
        generator = self.image_data_generator
        for place, number in enumerate(index_array):
            image = self.x[number].astype(self.dtype)
            batch[place] = generator.standardize(generator.random_transform(image))
        if self.save_to_dir:
            save_batch(batch, index_array, self.save_to_dir, self.save_prefix, self.save_format, self.data_format, 10_000)
        inputs = [batch, *(array[index_array] for array in self.x_misc)] if self.x_misc else batch
        if self.y is None:
            return inputs
        if self.sample_weight is None:
            return inputs, self.y[index_array]
        return inputs, self.y[index_array], self.sample_weight[index_array]


def check_channels(who: str, shape: tuple[int, ...], data_format: str) -> None:
    """Warn where images have another number of channels than 1, 3 or 4: the axes may be mixed up."""
    axis = 3 if data_format == "channels_last" else 1
    if shape[axis] not in (1, 3, 4):
        warnings.warn(f"{who} got images of shape {shape}: {shape[axis]} channels on axis {axis}, as data_format={data_format!r} says.", stacklevel=4)
