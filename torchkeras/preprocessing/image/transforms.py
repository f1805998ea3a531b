"""Rotations, shifts, shears, zooms, flips and changes of colour of one image.

Source: Keras-Preprocessing 1.1.2 `image.affine_transformations`; Keras 1.2.2 `preprocessing.image`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchkeras.generations import choose
from torchkeras.preprocessing.image.files import array_to_img, check_choice, img_to_array, pillow, scipy_part

Image = NDArray[Any]
FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def flip_axis(x: Image, axis: int) -> Image:
    """`x` mirrored along an axis; a view."""
    return np.flip(x, axis)


def random_rotation(
    x: Image,
    rg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Image:
    """An image turned by a random angle.

    Keras 2.2.4 and tf.keras 2.4.0 turn about the middle of axes 0 and 1, whatever `row_axis` and `col_axis` say: so do random_shear and
    random_zoom. For images with their channels first that is off the middle; `ImageDataGenerator` has it right.

    Args:
        x: One image.
        rg: Largest angle to either side, degrees.
        row_axis: Axis of the rows.
        col_axis: Axis of the columns.
        channel_axis: Axis of the channels.
        fill_mode: What stands outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        interpolation_order: Order of the spline: 0 nearest, 1 linear.

    Source: Keras-Preprocessing 1.1.2 `random_rotation`.
    """
    theta = np.random.uniform(-rg, rg)
    return _about_middle(x, (row_axis, col_axis, channel_axis), fill_mode, cval, interpolation_order, theta=theta)


def random_shift(
    x: Image,
    wrg: float,
    hrg: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Image:
    """An image shifted at random.

    Args:
        x: One image.
        wrg: Largest shift to either side, fraction of the width.
        hrg: Largest shift up or down, fraction of the height.
        row_axis: Axis of the rows.
        col_axis: Axis of the columns.
        channel_axis: Axis of the channels.
        fill_mode: What stands outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        interpolation_order: Order of the spline: 0 nearest, 1 linear.

    Source: Keras-Preprocessing 1.1.2 `random_shift`.
    """
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return _about_middle(x, (row_axis, col_axis, channel_axis), fill_mode, cval, interpolation_order, tx=tx, ty=ty)


def random_shear(
    x: Image,
    intensity: float,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Image:
    """An image sheared at random.

    Args:
        x: One image.
        intensity: Largest shear to either side, degrees (radians under Keras 1.2.2).
        row_axis: Axis of the rows; see `random_rotation`.
        col_axis: Axis of the columns.
        channel_axis: Axis of the channels.
        fill_mode: What stands outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        interpolation_order: Order of the spline: 0 nearest, 1 linear.

    Source: Keras-Preprocessing 1.1.2 `random_shear`.
    """
    shear = np.random.uniform(-intensity, intensity)
    shear = math.degrees(shear) if choose("image.keras1") else shear
    return _about_middle(x, (row_axis, col_axis, channel_axis), fill_mode, cval, interpolation_order, shear=shear)


def random_zoom(
    x: Image,
    zoom_range: Sequence[float],
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    interpolation_order: int = 1,
) -> Image:
    """An image zoomed at random, height and width each by itself.

    Args:
        x: One image.
        zoom_range: Smallest and largest factor; below 1 things grow.
        row_axis: Axis of the rows; see `random_rotation`.
        col_axis: Axis of the columns.
        channel_axis: Axis of the channels.
        fill_mode: What stands outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        interpolation_order: Order of the spline: 0 nearest, 1 linear.

    Raises:
        ValueError: `zoom_range` is no pair.

    Source: Keras-Preprocessing 1.1.2 `random_zoom`.
    """
    check_pair("zoom_range", zoom_range)
    zx, zy = (1.0, 1.0) if zoom_range[0] == 1 and zoom_range[1] == 1 else np.random.uniform(zoom_range[0], zoom_range[1], 2)
    return _about_middle(x, (row_axis, col_axis, channel_axis), fill_mode, cval, interpolation_order, zx=zx, zy=zy)


def apply_channel_shift(x: Image, intensity: float, channel_axis: int = 0) -> Image:
    """`intensity` added to every value, kept between the smallest and the largest there were.

    Args:
        x: One image.
        intensity: What is added, in the unit of `x`.
        channel_axis: Axis of the channels; they are all shifted alike.

    Source: Keras-Preprocessing 1.1.2 `apply_channel_shift`.
    """
    return np.clip(x + intensity, np.min(x), np.max(x))


def random_channel_shift(x: Image, intensity_range: float, channel_axis: int = 0) -> Image:
    """An image made brighter or darker at random; under Keras 1.2.2 each channel by itself.

    Args:
        x: One image.
        intensity_range: Largest amount to either side, in the unit of `x`.
        channel_axis: Axis of the channels.

    Source: Keras-Preprocessing 1.1.2 and Keras 1.2.2 `random_channel_shift`.
    """
    if choose("image.keras1"):
        shape = [1] * x.ndim
        shape[channel_axis] = x.shape[channel_axis]
        shifts = np.array([np.random.uniform(-intensity_range, intensity_range) for _ in range(x.shape[channel_axis])])
        return np.clip(x + shifts.reshape(shape).astype(x.dtype), np.min(x), np.max(x))
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis=channel_axis)


def apply_brightness_shift(x: Image, brightness: float, data_format: str = "channels_last") -> Image:
    """An image in another brightness; its values are first spread over 0 to 255.

    Args:
        x: One image.
        brightness: 0 is black, 1 leaves it.
        data_format: Where the channels are.

    Raises:
        ImportError: Pillow is not installed.

    Source: Keras-Preprocessing 1.1.2 `apply_brightness_shift`.
    """
    pillow("apply_brightness_shift")
    from PIL import ImageEnhance

    picture = ImageEnhance.Brightness(array_to_img(x, data_format, dtype="float32")).enhance(brightness)
    return img_to_array(picture, data_format, dtype="float32")


def random_brightness(x: Image, brightness_range: Sequence[float]) -> Image:
    """An image in a random brightness, see `apply_brightness_shift`.

    Args:
        x: One image, channels last.
        brightness_range: Smallest and largest factor.

    Raises:
        ValueError: `brightness_range` is no pair.

    Source: Keras-Preprocessing 1.1.2 `random_brightness`.
    """
    check_pair("brightness_range", brightness_range)
    return apply_brightness_shift(x, np.random.uniform(brightness_range[0], brightness_range[1]))


def transform_matrix_offset_center(matrix: Image, x: float, y: float) -> Image:
    """A transformation about the middle of an image with `x` rows and `y` columns, as a matrix (3, 3).

    Source: Keras-Preprocessing 1.1.2 `transform_matrix_offset_center`.
    """
    to_x, to_y = float(x) / 2 + 0.5, float(y) / 2 + 0.5
    there = np.array([[1, 0, to_x], [0, 1, to_y], [0, 0, 1]])
    back = np.array([[1, 0, -to_x], [0, 1, -to_y], [0, 0, 1]])
    return there @ matrix @ back


def apply_transform(
    x: Image, transform_matrix: Image, channel_axis: int = 0, fill_mode: str = "nearest", cval: float = 0.0, order: int | None = None
) -> Image:
    """An image under a transformation: what stands at a place comes from the matrix times that place.

    Args:
        x: One image.
        transform_matrix: (3, 3), on (row, column, 1).
        channel_axis: Axis of the channels.
        fill_mode: What stands outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        order: Order of the spline: 0 nearest, 1 linear; `None`: linear, under Keras 1.2.2 nearest.

    Raises:
        ImportError: SciPy is not installed.
        ValueError: another `fill_mode`.

    Source: Keras 1.2.2 `apply_transform`.
    """
    check_choice("fill_mode", fill_mode, FILL_MODES)
    ndimage = scipy_part("ndimage", "Turning, shifting, shearing or zooming an image")
    if order is None:
        order = 0 if choose("image.keras1") else 1
    channels = [
        ndimage.affine_transform(channel, transform_matrix[:2, :2], transform_matrix[:2, 2], order=order, mode=fill_mode, cval=cval)
        for channel in np.moveaxis(x, channel_axis, 0)
    ]
    return np.stack(channels, axis=channel_axis)


def apply_affine_transform(
    x: Image,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 0,
    col_axis: int = 1,
    channel_axis: int = 2,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> Image:
    """An image turned, shifted, sheared and zoomed, in this order, about its middle.

    Args:
        x: One image.
        theta: Angle, degrees.
        tx: Shift along the rows' axis, pixels.
        ty: Shift along the columns' axis, pixels.
        shear: Angle of the shear, degrees.
        zx: Zoom along the rows' axis; below 1 things grow.
        zy: Zoom along the columns' axis.
        row_axis: Axis of the rows.
        col_axis: Axis of the columns.
        channel_axis: Axis of the channels.
        fill_mode: What stands outside the image: "constant", "nearest", "reflect" or "wrap".
        cval: The constant.
        order: Order of the spline: 0 nearest, 1 linear.

    Raises:
        ImportError: SciPy is not installed.
        ValueError: another `fill_mode`.

    Source: Keras-Preprocessing 1.1.2 `apply_affine_transform`.
    """
    matrix = None
    for changed, part in (
        (theta != 0, _rotation(math.radians(theta))),
        (tx != 0 or ty != 0, np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])),
        (shear != 0, _shear(math.radians(shear))),
        (zx != 1 or zy != 1, np.array([[zx, 0, 0], [0, zy, 0], [0, 0, 1]])),
    ):
        if changed:
            matrix = part if matrix is None else matrix @ part
    if matrix is None:
        return x
    matrix = transform_matrix_offset_center(matrix, x.shape[row_axis], x.shape[col_axis])
    return apply_transform(x, matrix, channel_axis, fill_mode, cval, order)


def check_pair(name: str, value: Any) -> None:
    """Raise a ValueError that names the argument unless it is a tuple or list of two."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be a pair (smallest, largest), but got {value!r}.")


def _rotation(angle: float) -> Image:
    return np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])


def _shear(angle: float) -> Image:
    return np.array([[1, -math.sin(angle), 0], [0, math.cos(angle), 0], [0, 0, 1]])


def _about_middle(x: Image, axes: tuple[int, int, int], fill_mode: str, cval: float, order: int, **change: Any) -> Image:
    row_axis, col_axis, channel_axis = axes
    if choose("image.random_centre") == "first axes":
        row_axis, col_axis = 0, 1
    if choose("image.keras1"):
        order = 0
    return apply_affine_transform(
        x, **change, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode, cval=cval, order=order
    )
