"""Larger space by repetition or interpolation: UpSampling1D, UpSampling2D, UpSampling3D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import generations
from torchkeras.layers.base import layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import TO_KERAS, TO_TORCH, SpatialLayer, choice, whole_numbers


def _interpolate(mode: str) -> Callable[..., Tensor]:
    def interpolate(image: Tensor, size: Any, *rest: Any) -> Tensor:
        return F.interpolate(image, size, rest[-1], mode, *rest[:-1])

    return interpolate


# what F.interpolate comes down to, where this torch has it under that name: the checks before it take up to 2 us
_NEAREST = {rank: getattr(torch._C._nn, f"upsample_nearest{rank}d", _interpolate("nearest")) for rank in (2, 3)}
_bilinear = getattr(torch._C._nn, "upsample_bilinear2d", _interpolate("bilinear"))
_MANY = 4  # more repetitions than that are faster along one more axis than as joined copies


class UpSampling(SpatialLayer):
    """Base of UpSampling2D and UpSampling3D: each entry is repeated along every axis of space.

    Args:
        size: Factor for all axes, or one for each; at least 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Raises:
        ValueError: a factor below 1, or an unknown data format.
    """

    def __init__(self, size: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = whole_numbers(size, self.rank, "size", self._who)
        self._factors = tuple(float(factor) for factor in self.size)
        self._set_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        # "nearest" of torch looks up index * (1 / size) in single precision, which from 41 on can fall below the right whole number;
        # "nearest-exact" looks between them, but has no rule for vmap
        self._is_exact = max(self.size) <= 40

    def call(self, inputs: Tensor) -> Tensor:
        if self._channels_first:
            return self._enlarge(inputs)
        return self._enlarge(inputs.permute(TO_TORCH[self.rank])).permute(TO_KERAS[self.rank])

    def _enlarge(self, image: Tensor) -> Tensor:
        if self._is_exact:
            return _NEAREST[self.rank](image, None, self._factors)
        return F.interpolate(image, scale_factor=self._factors, mode="nearest-exact")


@layer_registry.add()
class UpSampling1D(SpatialLayer):
    """Each step of sequences, repeated.

    Args:
        size: How many times, at least 1.

    Shape:
        inputs (batch, steps, channels) -> output (batch, steps * size, channels)

    Raises:
        ValueError: `size` is below 1.

    Source: tf.keras 2.4.0 `UpSampling1D`.
    """

    rank = 1

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.size,) = whole_numbers(size, 1, "size", self._who)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Tensor) -> Tensor:
        if self.size > _MANY:
            return inputs.repeat_interleave(self.size, 1)
        batch, steps, channels = inputs.shape
        return torch.cat((inputs,) * self.size, 2).view(batch, steps * self.size, channels)


@layer_registry.add()
class UpSampling2D(UpSampling):
    """Larger images, by repetition or interpolation.

    Args:
        size: Factor for rows and columns, or one for each; at least 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        interpolation: "nearest" (repetition) or "bilinear". For the latter Keras 2.2.4 puts the first pixel of the output where
            the first of the input is, tf.keras puts the edges of both images together.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, rows * size, columns * size, channels); channels second for channels_first

    Raises:
        ValueError: a factor below 1, an unknown data format or interpolation.

    Source: tf.keras 2.4.0 and Keras 2.2.4 `UpSampling2D`.
    """

    rank = 2

    def __init__(self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any) -> None:
        super().__init__(size, data_format, **kwargs)
        self.interpolation = choice(interpolation, ("nearest", "bilinear"), "interpolation", self._who)
        self._half_pixel = generations.choose("upsampling.half_pixel")

    def _enlarge(self, image: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return super()._enlarge(image)
        if self._half_pixel and image.is_cpu:
            return _bilinear(image, None, False, self._factors)
        if self._half_pixel:
            return F.interpolate(image, scale_factor=self._factors, mode="bilinear", align_corners=False)
        # pixel i of the output lies at i / size. Corners are aligned so if one more pixel, the last again, is put at the end of
        # each axis, and what it became is cut off
        more = F.pad(image, (0, 1, 0, 1), mode="replicate")
        rows, columns = image.shape[2] * self.size[0], image.shape[3] * self.size[1]
        return F.interpolate(more, (rows + 1, columns + 1), mode="bilinear", align_corners=True)[:, :, :rows, :columns]


@layer_registry.add()
class UpSampling3D(UpSampling):
    """Larger volumes, by repetition.

    Args:
        size: Factor for all axes of space, or one for each; at least 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels) -> output (batch, *larger_space, channels); channels second for channels_first

    Raises:
        ValueError: a factor below 1, or an unknown data format.

    Source: tf.keras 2.4.0 `UpSampling3D`.
    """

    rank = 3

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(size, data_format, **kwargs)
