"""Pooling over windows: the largest or the average entry of each, for steps, images and volumes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.compiler import is_compiling

from torchkeras.layers.base import layer_registry
from torchkeras.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import TO_KERAS, TO_TORCH, SpatialLayer, choice, whole_numbers
from torchkeras.ops.pooling import average_by_planes, average_pool, max_pool, pool_same

# torch's kernel for volumes copies channels-last ones; samples with at least so many entries are averaged faster plane by plane
_LARGE_VOLUME = 1 << 13
# batches of at most so many entries take longer to permute, forth and back, than to pool
_SMALL_BATCH = 1 << 11
_EXACT = (torch.float32, torch.float64)


class Pooling(SpatialLayer):
    """Base of the layers that pool windows; the arguments are theirs.

    Raises:
        ValueError: an argument out of its range; later, an input smaller than the window.
    """

    as_image: ClassVar[bool] = False  # steps are pooled as images of height 1
    knows_padded_volumes: ClassVar[bool] = True  # whether the kernel for volumes takes a padded one that is smaller than the window
    pool_size: Any
    strides: Any
    _small: tuple[tuple[Any, ...], tuple[Any, ...]] | None = None  # also of pickles that were made before there was a way for small batches
    # what "same" pads on both sides of small batches and of others, where strides of 1 and windows of odd sizes fix it
    _even: tuple[list[int], list[int]] | None = None
    _reduce: Callable[..., Tensor]  # (image, window, strides, padding): the kernel

    def __init__(self, pool_size: Any, strides: Any, padding: str, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        who = self._who
        self.pool_size = whole_numbers(pool_size, self.rank, "pool_size", who)
        self.strides = self.pool_size if strides is None else whole_numbers(strides, self.rank, "strides", who)
        self._window = (1, *self.pool_size) if self.as_image else self.pool_size
        self._steps = (1, *self.strides) if self.as_image else self.strides
        self.padding = choice(padding, ("valid", "same"), "padding", who)
        self._set_data_format(data_format)
        self._pads_same = self.padding == "same"
        smallest = {} if self._pads_same else dict(zip(self._space, self.pool_size, strict=True))
        self.input_spec = InputSpec(ndim=self.rank + 2, min_axes=smallest)
        fits = self.rank == 1 or (self.rank == 2 and (self.knows_padded_volumes or not self._pads_same))
        self._small = ((*self.pool_size, 1), (*self.strides, 1)) if fits and not self._channels_first else None
        if self._pads_same and max(self.strides) == 1 and all(size % 2 for size in self.pool_size):
            near = [size // 2 for size in self.pool_size]
            self._even = [*near, 0], [0, *near] if self.as_image else near

    def call(self, inputs: Tensor) -> Tensor:
        small = self._small
        if small is not None and not is_compiling() and inputs.numel() <= _SMALL_BATCH and inputs.is_cpu and inputs.dtype in _EXACT:
            # the samples as channels, the channels as one more axis of space with windows of 1: nothing is permuted
            return self._pool(inputs, *small, 1) if self._pads_same else self._reduce(inputs, *small, 0)
        rank, first = self.rank, self._channels_first
        image = inputs if first else torch.permute(inputs, TO_TORCH[rank])
        if not (self._pads_same or self.as_image):
            outputs = self._reduce(image, self._window, self._steps, 0)
            return outputs if first else torch.permute(outputs, TO_KERAS[rank])
        if self.as_image:
            image = image.unsqueeze(2)
        if self._pads_same:
            outputs = self._pool(image, self._window, self._steps, 2)
        else:
            outputs = self._reduce(image, self._window, self._steps, 0)
        if self.as_image:
            outputs = outputs.squeeze(2)
        return outputs if first else torch.permute(outputs, TO_KERAS[rank])

    def _pool(self, image: Tensor, window: tuple[int, ...], strides: tuple[int, ...], first: int) -> Tensor:
        """Pool a padded image, whose axes of space are those from `first` on."""
        if self._even is not None:  # neither the input's size nor the side matters
            return self._reduce(image, window, strides, self._even[first - 1])
        return pool_same(image, window, strides, self._reduce, first)


class MaxPooling(Pooling):
    """Base of MaxPooling1D, MaxPooling2D and MaxPooling3D; the arguments are theirs."""

    def _reduce(self, image: Tensor, window: Any, strides: Any, padding: Any) -> Tensor:
        return max_pool(image, window, strides, padding, self._pads_same)


class AveragePooling(Pooling):
    """Base of AveragePooling1D, AveragePooling2D and AveragePooling3D; the arguments are theirs. Padding is not counted."""

    knows_padded_volumes = False

    def _reduce(self, image: Tensor, window: Any, strides: Any, padding: Any) -> Tensor:
        return average_pool(image, window, strides, padding, self._pads_same)


@layer_registry.add("MaxPool1D")
class MaxPooling1D(MaxPooling):
    """The largest entry of each window of steps.

    Args:
        pool_size: Steps in a window, at least 1.
        strides: Steps from one window to the next; `None`: `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first".

    Shape:
        inputs (batch, steps, channels) -> output (batch, new_steps, channels); channels second for channels_first

    Raises:
        ValueError: an argument out of its range; later, an input shorter than the window.

    Source: tf.keras 2.4.0 `MaxPooling1D`.
    """

    rank = 1
    as_image = True  # without gradients torch's kernel for steps would copy channels-last ones

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


@layer_registry.add("MaxPool2D")
class MaxPooling2D(MaxPooling):
    """The largest entry of each window of an image.

    Args:
        pool_size: Rows and columns of a window; one number for both, or two.
        strides: Rows and columns from one window to the next; `None`: `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, channels); channels second for channels_first

    Raises:
        ValueError: an argument out of its range; later, an input smaller than the window.

    Source: tf.keras 2.4.0 `MaxPooling2D`.
    """

    rank = 2

    def __init__(self, pool_size: Any = (2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


@layer_registry.add("MaxPool3D")
class MaxPooling3D(MaxPooling):
    """The largest entry of each window of a volume.

    Args:
        pool_size: Sizes of a window along the three axes of space; one number for all, or three.
        strides: Entries from one window to the next; `None`: `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels) -> output (batch, *new_space, channels); channels second for channels_first

    Raises:
        ValueError: an argument out of its range; later, an input smaller than the window.

    Source: tf.keras 2.4.0 `MaxPooling3D`.
    """

    rank = 3

    def __init__(
        self, pool_size: Any = (2, 2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


@layer_registry.add("AvgPool1D")
class AveragePooling1D(AveragePooling):
    """The average of each window of steps.

    Args:
        pool_size: Steps in a window, at least 1.
        strides: Steps from one window to the next; `None`: `pool_size`.
        padding: "valid" or "same"; what is padded does not count.
        data_format: "channels_last" or "channels_first".

    Shape:
        inputs (batch, steps, channels) -> output (batch, new_steps, channels); channels second for channels_first

    Raises:
        ValueError: an argument out of its range; later, an input shorter than the window.

    Source: tf.keras 2.4.0 `AveragePooling1D`.
    """

    rank = 1

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = "channels_last", **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


@layer_registry.add("AvgPool2D")
class AveragePooling2D(AveragePooling):
    """The average of each window of an image.

    Args:
        pool_size: Rows and columns of a window; one number for both, or two.
        strides: Rows and columns from one window to the next; `None`: `pool_size`.
        padding: "valid" or "same"; what is padded does not count.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, channels); channels second for channels_first

    Raises:
        ValueError: an argument out of its range; later, an input smaller than the window.

    Source: tf.keras 2.4.0 `AveragePooling2D`.
    """

    rank = 2

    def __init__(self, pool_size: Any = (2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)


@layer_registry.add("AvgPool3D")
class AveragePooling3D(AveragePooling):
    """The average of each window of a volume.

    Args:
        pool_size: Sizes of a window along the three axes of space; one number for all, or three.
        strides: Entries from one window to the next; `None`: `pool_size`.
        padding: "valid" or "same"; what is padded does not count.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels) -> output (batch, *new_space, channels); channels second for channels_first

    Raises:
        ValueError: an argument out of its range; later, an input smaller than the window.

    Source: tf.keras 2.4.0 `AveragePooling3D`.
    """

    rank = 3

    def __init__(
        self, pool_size: Any = (2, 2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **kwargs)
        self._by_planes = False

    def build(self, input_shape: Any) -> None:
        large = None in input_shape[1:] or math.prod(input_shape[1:]) >= _LARGE_VOLUME
        self._by_planes = large and not self._channels_first

    def _reduce(self, image: Tensor, window: Any, strides: Any, padding: Any) -> Tensor:
        average = average_by_planes if self._by_planes else average_pool
        return average(image, window, strides, padding, self._pads_same)


MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
MaxPool3D = MaxPooling3D
AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
AvgPool3D = AveragePooling3D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]
