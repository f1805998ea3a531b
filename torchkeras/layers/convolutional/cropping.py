"""Edges cut off the space: Cropping1D, Cropping2D, Cropping3D."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.layers.base import layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import SpatialLayer, pairs, whole_numbers


class Cropping(SpatialLayer):
    """Base of the layers that cut edges off the space. The output is a view of the input.

    Args:
        cropping: Entries cut off: a number, one for each axis, or (near side, far side) for each axis; at least 0.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Raises:
        ValueError: `cropping` of another form, an unknown data format; later, an input of which nothing would be left.
    """

    def __init__(self, cropping: Any, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_data_format(data_format)
        self._cuts = pairs((cropping,) if self.rank == 1 else cropping, self.rank, "cropping", self._who)
        self.cropping: Any = self._cuts
        self.input_spec = InputSpec(ndim=self.rank + 2)
        kept = tuple(slice(near or None, -far if far else None) for near, far in self._cuts)
        self._kept = (slice(None), slice(None), *kept) if self._channels_first else (slice(None), *kept)

    def call(self, inputs: Tensor) -> Tensor:
        outputs = inputs[self._kept]
        if 0 in outputs.shape:
            self._complain(inputs)
        return outputs

    def _complain(self, inputs: Tensor) -> None:
        for axis, (near, far) in zip(self._space, self._cuts, strict=True):
            if inputs.shape[axis] - near - far < 1:
                raise ValueError(
                    f"{self._who} cuts {near} and {far} entries off axis {axis}, which leaves nothing of an input of shape {tuple(inputs.shape)}. "
                    "Use a smaller cropping or a larger input."
                )


@layer_registry.add()
class Cropping1D(Cropping):
    """Steps cut off the beginning and the end of sequences.

    Args:
        cropping: Steps cut off both ends, or (beginning, end); at least 0.

    Shape:
        inputs (batch, steps, channels) -> output (batch, steps - beginning - end, channels)

    Raises:
        ValueError: `cropping` of another form; later, an input of which nothing would be left.

    Source: tf.keras 2.4.0 `Cropping1D`.
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)
        self.cropping = whole_numbers(cropping, 2, "cropping", self._who, least=0)


@layer_registry.add()
class Cropping2D(Cropping):
    """Edges cut off images.

    Args:
        cropping: A number for all sides, (rows, columns) or ((top, bottom), (left, right)); at least 0.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, rows - top - bottom, columns - left - right, channels)

    Raises:
        ValueError: `cropping` of another form, an unknown data format; later, an input of which nothing would be left.

    Source: tf.keras 2.4.0 `Cropping2D`.
    """

    rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)


@layer_registry.add()
class Cropping3D(Cropping):
    """Edges cut off volumes.

    Args:
        cropping: A number for all sides, one for each axis, or (near side, far side) for each axis; at least 0.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels) -> output (batch, *smaller_space, channels)

    Raises:
        ValueError: `cropping` of another form, an unknown data format; later, an input of which nothing would be left.

    Source: tf.keras 2.4.0 `Cropping3D`.
    """

    rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(cropping, data_format, **kwargs)
