"""Image files to arrays and back, and the images in a folder.

Source: Keras-Preprocessing 1.1.2 `image.utils`, as Keras 2.2.4 and tf.keras 2.4.0 offer it.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from torchkeras.config import floatx, normalize_data_format
from torchkeras.utils.atomic import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS: Final = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
COLOR_MODES: Final = {"grayscale": 1, "rgb": 3, "rgba": 4}  # -> channels
INTERPOLATIONS: Final = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(who: str) -> ModuleType:
    """Pillow's `Image` module.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{who} needs Pillow, which is not installed: pip install 'torchkeras-native[image]'.") from error
    return Image


def scipy_part(name: str, who: str) -> ModuleType:
    """SciPy's `linalg` or `ndimage`.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        from scipy import linalg, ndimage
    except ImportError as error:
        raise ImportError(f"{who} needs SciPy, which is not installed: pip install 'torchkeras-native[image]'.") from error
    return {"linalg": linalg, "ndimage": ndimage}[name]


def load_img(
    path: str | os.PathLike[str],
    grayscale: bool = False,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
) -> Image:
    """An image file as a Pillow image.

    Args:
        path: The file.
        grayscale: The older spelling of `color_mode="grayscale"`.
        color_mode: "grayscale" (files of 16 and 32 bits keep them), "rgb" or "rgba".
        target_size: (height, width) to resize to; `None`: as it is.
        interpolation: How it is resized: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".

    Raises:
        ImportError: Pillow is not installed.
        ValueError: another `color_mode` or `interpolation`, or a file that only another program could draw.

    Source: Keras-Preprocessing 1.1.2 `load_img`.
    """
    image = pillow("load_img")
    if grayscale:
        warnings.warn("load_img(grayscale=True) is the older spelling: write color_mode='grayscale'.", DeprecationWarning, stacklevel=2)
        color_mode = "grayscale"
    check_choice("color_mode", color_mode, COLOR_MODES)
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    with open(path, "rb") as file:
        picture = image.open(io.BytesIO(file.read()))
    if picture.format == "EPS":  # Pillow would hand it to Ghostscript, which runs it
        raise ValueError(f"load_img does not draw PostScript: {path}. Convert it to PNG first.")
    if color_mode == "grayscale":
        if picture.mode not in ("L", "I;16", "I"):
            picture = picture.convert("L")
    elif picture.mode != color_mode.upper():
        picture = picture.convert(color_mode.upper())
    if target_size is not None and picture.size != (target_size[1], target_size[0]):
        picture = picture.resize((target_size[1], target_size[0]), image.Resampling[interpolation.upper()])
    picture.load()
    return picture


def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: ArrayLike,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file.

    Args:
        path: The file, or an open one.
        x: One image.
        data_format: Where its channels are; `None`: the global setting.
        file_format: Such as "png"; `None`: as the file's name says.
        scale: Whether its values are spread over 0 to 255.
        **kwargs: Passed on to Pillow's `save`.

    Source: Keras-Preprocessing 1.1.2 `save_img`.
    """
    picture = array_to_img(x, data_format=data_format, scale=scale)
    if picture.mode == "RGBA" and file_format in ("jpg", "jpeg"):
        warnings.warn("JPEG has no transparency: the image is written as RGB.", stacklevel=2)
        picture = picture.convert("RGB")
    write_picture(picture, path, file_format, **kwargs)


def write_picture(picture: Image, path: str | os.PathLike[str] | IO[bytes], file_format: str | None = None, **kwargs: Any) -> None:
    """Write a picture, whole or not at all.

    Args:
        picture: Pillow's.
        path: The file, or an open one.
        file_format: Such as "png"; `None`: as the file's name says.
        **kwargs: Passed on to Pillow's `save`.

    Raises:
        ValueError: a name that says no format that Pillow knows.
    """
    file_format = "jpeg" if file_format == "jpg" else file_format
    if not isinstance(path, (str, os.PathLike)):
        picture.save(path, format=file_format, **kwargs)
        return
    if file_format is None:
        ending = os.path.splitext(path)[1].lower()
        file_format = pillow("save_img").registered_extensions().get(ending)
        if file_format is None:
            raise ValueError(f"The name of the image file {os.fspath(path)!r} says no known format: end it in .png or .jpg, or give file_format.")
    content = io.BytesIO()
    picture.save(content, format=file_format, **kwargs)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def array_to_img(x: ArrayLike, data_format: str | None = None, scale: bool = True, dtype: DTypeLike | None = None) -> Image:
    """An array as a Pillow image.

    Args:
        x: One image.
        data_format: Where its channels are; `None`: the global setting.
        scale: Whether its values are spread over 0 to 255.
        dtype: Type it is computed in; `None`: floatx.

    Shape:
        (height, width, channels), or (channels, height, width) for "channels_first"; 1, 3 or 4 channels

    Raises:
        ImportError: Pillow is not installed.
        ValueError: another shape.

    Source: Keras-Preprocessing 1.1.2 `array_to_img`.
    """
    image = pillow("array_to_img")
    values = np.asarray(x, dtype=dtype or floatx())
    if values.ndim != 3:
        raise ValueError(f"array_to_img takes one image with three axes, but got the shape {values.shape}.")
    if normalize_data_format(data_format) == "channels_first":
        values = values.transpose(1, 2, 0)
    if values.shape[2] not in (1, 3, 4):
        raise ValueError(f"array_to_img takes 1, 3 or 4 channels, but got the shape {np.shape(x)} with {values.shape[2]}.")
    if scale:
        values = values - values.min()
        if values.max() != 0:
            values = values / values.max()
        values = values * 255
    if values.shape[2] == 1:
        # beyond a byte: 32 bits, in Pillow's mode "I"
        return image.fromarray(values[:, :, 0].astype("int32" if values.max() > 255 else "uint8"))
    return image.fromarray(values.astype("uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """A Pillow image as an array.

    Args:
        img: The image.
        data_format: Where the channels go; `None`: the global setting.
        dtype: Type of the array; `None`: floatx.

    Shape:
        -> (height, width, channels), or (channels, height, width) for "channels_first"

    Raises:
        ValueError: neither two nor three axes.

    Source: Keras-Preprocessing 1.1.2 `img_to_array`.
    """
    first = normalize_data_format(data_format) == "channels_first"
    values = np.array(img, dtype=dtype or floatx())
    if values.ndim == 2:
        return values[None] if first else values[:, :, None]
    if values.ndim != 3:
        raise ValueError(f"img_to_array takes an image with two or three axes, but got the shape {values.shape}.")
    return values.transpose(2, 0, 1) if first else values


def list_pictures(directory: str | os.PathLike[str], ext: str | tuple[str, ...] = EXTENSIONS) -> list[str]:
    """Paths of all images in a folder and the folders in it.

    Args:
        directory: The folder.
        ext: Endings that count, as a tuple or joined by "|" (Keras 1).

    Source: Keras 1.2.2 and Keras-Preprocessing 1.1.2 `list_pictures`.
    """
    endings = tuple(f".{ending}" for ending in (ext.split("|") if isinstance(ext, str) else ext))
    return [os.path.join(root, name) for root, _, names in os.walk(directory) for name in names if name.lower().endswith(endings)]


def images_below(folder: str, endings: tuple[str, ...], follow_links: bool) -> Iterator[str]:
    """Paths of the images in a folder, sorted by folder, then by name."""
    warned = False
    for root, _, names in sorted(os.walk(folder, followlinks=follow_links), key=lambda entry: entry[0]):
        for name in sorted(names):
            if name.lower().endswith(".tiff") and not warned:
                warned = True
                warnings.warn("TIFF files with several bands come out distorted. Please look at the result.", stacklevel=4)
            if name.lower().endswith(tuple(endings)):
                yield os.path.join(root, name)


def is_image_file(path: str, endings: tuple[str, ...]) -> bool:
    """Whether there is a file of this name, with one of the endings."""
    return path.lower().endswith(tuple(endings)) and Path(path).is_file()


def check_choice(name: str, value: Any, known: Any) -> None:
    """Raise a ValueError that names the argument unless `value` is among the `known`."""
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, but got {value!r}.")
