"""Dropout of single values and of whole feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from torchkeras import config
from torchkeras.layers.base import layer_registry
from torchkeras.layers.config import base_config
from torchkeras.layers.drawing import DrawingLayer, checked_rate, full_shape
from torchkeras.layers.input_spec import InputSpec


@layer_registry.add()
class Dropout(DrawingLayer):
    """In training, zero a fraction of the values and scale the rest up, so that the expected sum stays.

    Args:
        rate: Fraction to drop, from 0 up to 1.
        noise_shape: Shape of what is drawn, `None` for the input's own sizes; along an axis of 1 all values share their fate.
        seed: Draw from a private generator with this seed; `None`: from torch's.

    Shape: any -> the same.

    Raises:
        ValueError: a rate out of range, a `noise_shape` of another rank than the input.

    Source: Srivastava et al. (2014); tf.keras 2.4.0 `Dropout`.
    """

    supports_masking = True
    resolves_training = True

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checked_rate(self, rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed

    def drawn_shape(self, inputs: Tensor) -> Sequence[int] | None:
        """Shape of the mask, or `None` for the input's own."""
        return None if self.noise_shape is None else full_shape(self, self.noise_shape, inputs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training is None:
            training = self.training
        if not training or not 0 < self.rate < 1:
            return inputs
        shape = self.drawn_shape(inputs)
        if shape is None and self.seed is None:
            return F.dropout(inputs, self.rate)
        return inputs * self.scaled_keep_mask(inputs, inputs.shape if shape is None else shape, self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}, {super().extra_repr()}"


class _SpatialDropout(Dropout):
    """Dropout of whole feature maps: one decision for each sample and channel."""

    spatial_axes: int

    def __init__(self, rate: float, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(rate, **kwargs)
        if self.noise_shape is not None:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' drops whole feature maps, so its noise_shape is fixed, but got {self.noise_shape}. Use Dropout."
            )
        try:
            self.data_format = config.normalize_data_format(data_format)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__} '{self.name}': {error}") from None
        self.input_spec = InputSpec(ndim=2 + self.spatial_axes)

    def drawn_shape(self, inputs: Tensor) -> Sequence[int]:
        ones = (1,) * self.spatial_axes
        shape = inputs.shape
        return (shape[0], shape[1], *ones) if self.data_format == "channels_first" else (shape[0], *ones, shape[-1])

    def get_config(self) -> dict[str, Any]:
        # Keras leaves data_format out, and so forgets it: here it is written where it is not the default
        own: dict[str, Any] = {"rate": self.rate, "noise_shape": None, "seed": self.seed}
        if self.data_format != "channels_last":
            own["data_format"] = self.data_format
        return {**base_config(self), **own}


@layer_registry.add()
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of sequences.

    Args:
        rate: Fraction of the channels to drop, from 0 up to 1.
        **kwargs: `seed`: draw from a private generator with this seed.

    Shape: (batch, steps, channels) -> the same.

    Source: Tompson et al. (2014); tf.keras 2.4.0 `SpatialDropout1D`.
    """

    spatial_axes = 1

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(rate, "channels_last", **kwargs)


@layer_registry.add()
class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of images.

    Args:
        rate: Fraction of the channels to drop, from 0 up to 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        **kwargs: `seed`: draw from a private generator with this seed.

    Shape: (batch, rows, cols, channels), or (batch, channels, rows, cols) -> the same.

    Source: Tompson et al. (2014); tf.keras 2.4.0 `SpatialDropout2D`.
    """

    spatial_axes = 2

    def __init__(self, rate: float, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(rate, data_format, **kwargs)


@layer_registry.add()
class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of volumes.

    Args:
        rate: Fraction of the channels to drop, from 0 up to 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        **kwargs: `seed`: draw from a private generator with this seed.

    Shape: (batch, d1, d2, d3, channels), or (batch, channels, d1, d2, d3) -> the same.

    Source: Tompson et al. (2014); tf.keras 2.4.0 `SpatialDropout3D`.
    """

    spatial_axes = 3

    def __init__(self, rate: float, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(rate, data_format, **kwargs)
