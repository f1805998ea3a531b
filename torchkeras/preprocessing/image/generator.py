"""`ImageDataGenerator`: which random transformations images go through, and how they are standardized.

Source: Keras-Preprocessing 1.1.2 `ImageDataGenerator`; Keras 1.2.2 where the chosen release is that.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from torchkeras.config import floatx, normalize_data_format
from torchkeras.generations import choose
from torchkeras.preprocessing.image.files import check_choice, scipy_part
from torchkeras.preprocessing.image.from_files import DataFrameIterator, DirectoryIterator
from torchkeras.preprocessing.image.iterators import NumpyArrayIterator, check_channels
from torchkeras.preprocessing.image.random_transforms import RandomTransforms
from torchkeras.preprocessing.image.transforms import FILL_MODES, check_pair

Image = NDArray[Any]


class ImageDataGenerator(RandomTransforms):
    """Batches of images, transformed at random and standardized.

    Args:
        featurewise_center: Subtract the mean of each channel over the data given to `fit`.
        samplewise_center: Subtract each image's own mean.
        featurewise_std_normalization: Divide by the standard deviation of each channel over the data given to `fit`.
        samplewise_std_normalization: Divide each image by its own standard deviation.
        zca_whitening: Multiply by the whitening matrix of the data given to `fit`.
        zca_epsilon: Added to its eigenvalues.
        rotation_range: Largest angle to either side, degrees.
        width_shift_range: Fraction of the width where below 1, else pixels; an int draws whole pixels below it, a list one of its entries.
        height_shift_range: The same for the height.
        brightness_range: Smallest and largest factor of brightness.
        shear_range: Largest shear to either side, degrees.
        zoom_range: Smallest and largest zoom, or z for [1 - z, 1 + z].
        channel_shift_range: Largest amount added to or taken from all values.
        fill_mode: What stands outside an image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        horizontal_flip: Mirror half of the images left to right.
        vertical_flip: Mirror half of the images top to bottom.
        rescale: Factor of all values, before anything else but `preprocessing_function`; `None` or 0: none.
        preprocessing_function: Called on each transformed image.
        data_format: Where the channels are; `None`: the global setting.
        validation_split: Fraction of the data that `subset="validation"` has.
        dtype: Type of the batches; `None`: floatx.
        interpolation_order: Order of the spline: 0 nearest, 1 linear; under Keras 1.2.2 always nearest.

    Raises:
        ValueError: an argument out of its range.

    Source: Keras-Preprocessing 1.1.2 `ImageDataGenerator`.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: tuple[float, float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Image], Image] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        dtype: DTypeLike | None = None,
        *,
        interpolation_order: int = 1,
    ) -> None:
        self.data_format = normalize_data_format(data_format)
        self.channel_axis, self.row_axis, self.col_axis = (3, 1, 2) if self.data_format == "channels_last" else (1, 2, 3)
        if validation_split and not 0 < validation_split < 1:
            raise ValueError(f"validation_split must be above 0 and below 1, but got {validation_split!r}.")
        if isinstance(zoom_range, (float, int)):
            zoom_range = [1 - zoom_range, 1 + zoom_range]
        check_pair("zoom_range", zoom_range)
        if brightness_range is not None:
            check_pair("brightness_range", brightness_range)
        check_choice("fill_mode", fill_mode, FILL_MODES)
        self._keras1 = choose("image.keras1")
        self.featurewise_center = _implied(featurewise_center, zca_whitening or featurewise_std_normalization, "featurewise_center")
        self.samplewise_center = _implied(samplewise_center, samplewise_std_normalization, "samplewise_center")
        if zca_whitening and featurewise_std_normalization:
            warnings.warn("zca_whitening replaces featurewise_std_normalization, which is switched off.", stacklevel=2)
            featurewise_std_normalization = False
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening = zca_whitening
        self.zca_epsilon = zca_epsilon
        self.rotation_range = rotation_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.brightness_range = brightness_range
        self.shear_range = shear_range
        self.zoom_range = list(zoom_range)
        self.channel_shift_range = channel_shift_range
        self.fill_mode = fill_mode
        self.cval = cval
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.interpolation_order = 0 if self._keras1 else interpolation_order
        self.dtype = dtype or floatx()
        self._validation_split = validation_split
        self.mean: Any = None
        self.std: Any = None
        self.principal_components: Any = None

    def flow(
        self,
        x: Any,
        y: ArrayLike | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Batches out of arrays, see `NumpyArrayIterator`."""
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            dtype=self.dtype,
        )

    def flow_from_directory(
        self,
        directory: str,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: list[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
    ) -> DirectoryIterator:
        """Batches out of a folder that has a folder for each class, see `DirectoryIterator`."""
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            data_format=self.data_format,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            dtype=self.dtype,
        )

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | None = None,
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
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Batches out of the files that a table names, see `DataFrameIterator`.

        Args:
            **kwargs: `has_ext`, `sort` and `drop_duplicates`, which have no meaning any more and are warned about, as in Keras.

        Raises:
            TypeError: another keyword.
        """
        for name in kwargs:
            if name not in ("has_ext", "sort", "drop_duplicates"):
                raise TypeError(f"flow_from_dataframe has no argument {name!r}.")
            warnings.warn(f"flow_from_dataframe({name}=...) has no meaning any more: prepare the table itself.", DeprecationWarning, stacklevel=2)
        if class_mode == "other":
            warnings.warn("class_mode='other' is the older spelling of 'raw'.", DeprecationWarning, stacklevel=2)
            class_mode = "raw"
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            data_format=self.data_format,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            dtype=self.dtype,
            validate_filenames=validate_filenames,
        )

    def standardize(self, x: Image) -> Image:
        """An image or a batch of them standardized; an array of floats is changed in place.

        Args:
            x: What `preprocessing_function` takes.
        """
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if not np.issubdtype(x.dtype, np.floating):
            x = x.astype(self.dtype)
        axis = self.channel_axis - 1 if self._keras1 else None  # Keras 1 takes them over the channels of each pixel
        epsilon = 1e-7 if self._keras1 else 1e-6
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, axis=axis, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, axis=axis, keepdims=True) + epsilon
        if self.featurewise_center and self._fitted(self.mean, "featurewise_center"):
            x -= self.mean
        if self.featurewise_std_normalization and self._fitted(self.std, "featurewise_std_normalization"):
            x /= self.std + epsilon
        if self.zca_whitening and self._fitted(self.principal_components, "zca_whitening"):
            x = (x.reshape(-1, math.prod(x.shape[-3:])) @ self.principal_components).reshape(x.shape)
        return x

    def _fitted(self, statistic: Any, name: str) -> bool:
        if statistic is None:
            warnings.warn(f"ImageDataGenerator({name}=True) has seen no data yet, so this is left out. Call fit(images) first.", stacklevel=3)
        return statistic is not None

    def fit(self, x: ArrayLike, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Take the statistics that featurewise_center, featurewise_std_normalization and zca_whitening need from sample images.

        Args:
            x: Images.
            augment: Take them from randomly transformed images.
            rounds: How many times each image is transformed then.
            seed: Seed of numpy's global generator, or `None` to go on.

        Shape:
            (samples, height, width, channels), or channels first

        Raises:
            ValueError: images without four axes.
            ImportError: SciPy is not installed, and whitening is asked for.
        """
        images = np.array(x, dtype=self.dtype)
        if images.ndim != 4:
            raise ValueError(f"ImageDataGenerator.fit takes images with four axes, but got the shape {images.shape}.")
        check_channels("ImageDataGenerator.fit", images.shape, self.data_format)
        if seed is not None:
            np.random.seed(seed)
        if self.rescale and not self._keras1:
            images *= self.rescale
        if augment:
            images = np.stack([self.random_transform(image) for _ in range(rounds) for image in images])
        axes = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            self.mean = np.mean(images, axis=axes, keepdims=True)[0]
            images -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(images, axis=axes, keepdims=True)[0]
            images /= self.std + (1e-7 if self._keras1 else 1e-6)
        if self.zca_whitening:
            flat = images.reshape(len(images), -1)
            vectors, values, _ = scipy_part("linalg", "ImageDataGenerator(zca_whitening=True)").svd(flat.T @ flat / len(flat))
            self.principal_components = (vectors / np.sqrt(values + self.zca_epsilon)) @ vectors.T


def _implied(asked: bool, needed: bool, name: str) -> bool:
    if needed and not asked:
        warnings.warn(f"ImageDataGenerator switches {name} on, because another of its arguments needs it.", stacklevel=3)
    return asked or needed
