"""Images: files, random transformations, batches. Pillow and SciPy are needed by what reads files or turns images.

Source: Keras-Preprocessing 1.1.2, which Keras 2.2.4 and tf.keras 2.4.0 use; Keras 1.2.2 `preprocessing.image`.
"""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.preprocessing.image.files import array_to_img, img_to_array, list_pictures, load_img, save_img
from torchkeras.preprocessing.image.from_files import DataFrameIterator, DirectoryIterator
from torchkeras.preprocessing.image.generator import ImageDataGenerator
from torchkeras.preprocessing.image.iterators import Iterator, NumpyArrayIterator
from torchkeras.preprocessing.image.transforms import (
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    apply_transform,
    flip_axis,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
    transform_matrix_offset_center,
)

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "apply_affine_transform",
    "apply_brightness_shift",
    "apply_channel_shift",
    "apply_transform",
    "array_to_img",
    "flip_axis",
    "img_to_array",
    "list_pictures",
    "load_img",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "save_img",
    "transform_matrix_offset_center",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
