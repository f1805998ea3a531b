"""Random transformations of one image: what is drawn, and how it is applied.

Source: Keras-Preprocessing 1.1.2 `ImageDataGenerator`; Keras 1.2.2 where the chosen release is that.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchkeras.preprocessing.image.transforms import (
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    flip_axis,
    random_channel_shift,
)

Image = NDArray[Any]


class RandomTransforms:
    """The part of `ImageDataGenerator` that transforms one image; it has the ranges."""

    data_format: str
    channel_axis: int
    row_axis: int
    col_axis: int
    rotation_range: float
    width_shift_range: Any
    height_shift_range: Any
    brightness_range: Any
    shear_range: float
    zoom_range: list[float]
    channel_shift_range: float
    fill_mode: str
    cval: float
    horizontal_flip: bool
    vertical_flip: bool
    interpolation_order: int
    _keras1: bool

    def get_random_transform(self, img_shape: tuple[int, ...], seed: int | None = None) -> dict[str, Any]:
        """Random parameters of one transformation, for `apply_transform`.

        Args:
            img_shape: Shape of one image.
            seed: Seed of numpy's global generator, or `None` to go on.
        """
        if seed is not None:
            np.random.seed(seed)
        # the order of the draws is Keras'
        theta = np.random.uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        tx = _draw_shift(self.height_shift_range, img_shape[self.row_axis - 1])
        ty = _draw_shift(self.width_shift_range, img_shape[self.col_axis - 1])
        shear = np.random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        low, high = self.zoom_range
        zx, zy = (1, 1) if low == 1 and high == 1 else np.random.uniform(low, high, 2)
        drawn = {"theta": theta, "tx": tx, "ty": ty, "shear": math.degrees(shear) if self._keras1 else shear, "zx": zx, "zy": zy}
        if self._keras1:  # it shifts channels before it draws the flips
            return drawn | {"flip_horizontal": None, "flip_vertical": None, "channel_shift_intensity": None, "brightness": None}
        flip_horizontal = np.random.random() < 0.5 and self.horizontal_flip
        flip_vertical = np.random.random() < 0.5 and self.vertical_flip
        shift = self.channel_shift_range
        return drawn | {
            "flip_horizontal": flip_horizontal,
            "flip_vertical": flip_vertical,
            "channel_shift_intensity": np.random.uniform(-shift, shift) if shift != 0 else None,
            "brightness": None if self.brightness_range is None else np.random.uniform(*self.brightness_range),
        }

    def apply_transform(self, x: Image, transform_parameters: dict[str, Any]) -> Image:
        """One image transformed as `get_random_transform` says.

        Args:
            x: One image.
            transform_parameters: Any of theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical, channel_shift_intensity and brightness.
        """
        drawn = transform_parameters
        row_axis, col_axis, channel_axis = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        x = apply_affine_transform(
            x,
            drawn.get("theta", 0),
            drawn.get("tx", 0),
            drawn.get("ty", 0),
            drawn.get("shear", 0),
            drawn.get("zx", 1),
            drawn.get("zy", 1),
            row_axis=row_axis,
            col_axis=col_axis,
            channel_axis=channel_axis,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        if drawn.get("channel_shift_intensity") is not None:
            x = apply_channel_shift(x, drawn["channel_shift_intensity"], channel_axis)
        if drawn.get("flip_horizontal"):
            x = flip_axis(x, col_axis)
        if drawn.get("flip_vertical"):
            x = flip_axis(x, row_axis)
        if drawn.get("brightness") is not None:
            x = apply_brightness_shift(x, drawn["brightness"], self.data_format)
        return x

    def random_transform(self, x: Image, seed: int | None = None) -> Image:
        """One image transformed at random.

        Args:
            x: One image.
            seed: Seed of numpy's global generator, or `None` to go on.
        """
        x = self.apply_transform(x, self.get_random_transform(x.shape, seed))
        if self._keras1:
            if self.channel_shift_range != 0:
                x = random_channel_shift(x, self.channel_shift_range, self.channel_axis - 1)
            if self.horizontal_flip and np.random.random() < 0.5:
                x = flip_axis(x, self.col_axis - 1)
            if self.vertical_flip and np.random.random() < 0.5:
                x = flip_axis(x, self.row_axis - 1)
        return x


def _draw_shift(choice: Any, length: int) -> Any:
    """A shift in pixels: of a fraction, of a number of pixels, or one of a list."""
    if isinstance(choice, (float, np.floating)):
        if not choice:
            return 0
        shift = np.random.uniform(-choice, choice)
    else:
        if not np.any(choice):
            return 0
        shift = np.random.choice(choice) * np.random.choice([-1, 1])
    return shift * length if np.max(choice) < 1 else shift
