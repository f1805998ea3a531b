"""Zeros around the space: ZeroPadding1D, ZeroPadding2D, ZeroPadding3D."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.layers.base import layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import SpatialLayer, pairs, whole_numbers
from torchkeras.ops.padding import pad_space


class ZeroPadding(SpatialLayer):
    """Base of the layers that put zeros around the space.

    Args:
        padding: Entries added: a number, one for each axis, or (near side, far side) for each axis; at least 0.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Raises:
        ValueError: `padding` of another form, or an unknown data format.
    """

    def __init__(self, padding: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_data_format(data_format)
        self._pads = pairs((padding,) if self.rank == 1 else padding, self.rank, "padding", self._who)
        self.padding: Any = self._pads
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Tensor) -> Tensor:
        return pad_space(inputs, self._pads, self._channels_first)


@layer_registry.add()
class ZeroPadding1D(ZeroPadding):
    """Zeros before and after the steps of sequences.

    Args:
        padding: Steps added on both sides, or (before, after); at least 0.

    Shape:
        inputs (batch, steps, channels) -> output (batch, before + steps + after, channels)

    Raises:
        ValueError: `padding` of another form.

    Source: tf.keras 2.4.0 `ZeroPadding1D`.
    """

    rank = 1

    def __init__(self, padding: Any = 1, **kwargs: Any) -> None:
        super().__init__(padding, "channels_last", **kwargs)
        self.padding = whole_numbers(padding, 2, "padding", self._who, least=0)


@layer_registry.add()
class ZeroPadding2D(ZeroPadding):
    """Zeros around images.

    Args:
        padding: A number for all sides, (rows, columns) or ((top, bottom), (left, right)); at least 0.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, top + rows + bottom, left + columns + right, channels)

    Raises:
        ValueError: `padding` of another form, or an unknown data format.

    Source: tf.keras 2.4.0 `ZeroPadding2D`.
    """

    rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)


@layer_registry.add()
class ZeroPadding3D(ZeroPadding):
    """Zeros around volumes.

    Args:
        padding: A number for all sides, one for each axis, or (near side, far side) for each axis; at least 0.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels) -> output (batch, *larger_space, channels)

    Raises:
        ValueError: `padding` of another form, or an unknown data format.

    Source: tf.keras 2.4.0 `ZeroPadding3D`.
    """

    rank = 3

    def __init__(self, padding: Any = (1, 1, 1), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(padding, data_format, **kwargs)
