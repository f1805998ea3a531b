"""Convolutions that Keras 1 had as classes of their own."""

from __future__ import annotations

from typing import Any

from torchkeras.layers.base import layer_registry
from torchkeras.layers.convolutional import Conv1D, Conv2D, Conv2DTranspose


@layer_registry.add("AtrousConv1D")
class AtrousConvolution1D(Conv1D):
    """Conv1D with a `dilation_rate`, which Keras 1 called `atrous_rate`. Arguments and shapes are Conv1D's.

    Source: Keras 1.2.2 `AtrousConvolution1D`.
    """


@layer_registry.add("AtrousConv2D")
class AtrousConvolution2D(Conv2D):
    """Conv2D with a `dilation_rate`, which Keras 1 called `atrous_rate`. Arguments and shapes are Conv2D's.

    Source: Keras 1.2.2 `AtrousConvolution2D`.
    """


@layer_registry.add("Deconv2D")
class Deconvolution2D(Conv2DTranspose):
    """Conv2DTranspose whose output has a given shape.

    Args:
        filters, kernel_size, **kwargs: As for Conv2DTranspose.
        output_shape: The output's shape with the batch axis; `None`: as Conv2DTranspose makes it.

    Shape: inputs (batch, rows, columns, channels) -> output as `output_shape` says.

    Raises:
        ValueError: a shape that the window and the strides cannot make.

    Source: Keras 1.2.2 `Deconvolution2D`.
    """

    config_omits = ("output_shape",)

    def __init__(self, filters: int, kernel_size: Any, output_shape: Any = None, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self._wanted = None if output_shape is None else tuple(output_shape)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self._wanted is None:
            return
        first = 2 if self._channels_first else 1
        more, drop = [], []
        for number in range(2):
            size, wanted = input_shape[first + number], self._wanted[first + number]
            if size is None or wanted is None:
                return
            stride = self.strides[number]
            reach = self._reach[number]
            whole = (size - 1) * stride + reach
            fits = -(-wanted // stride) == size if self.padding == "same" else -(-(wanted - reach + 1) // stride) == size
            if not fits:
                raise ValueError(
                    f"Deconvolution2D '{self.name}' cannot make an output of shape {self._wanted} out of {tuple(input_shape)} "
                    f"with a window of {self.kernel_size}, strides={self.strides} and padding={self.padding!r}."
                )
            # what is cut off in all, the far side more; below 0, what is added there
            lost = max(whole - wanted, 0) if self.padding == "same" else 0
            more.append(max(wanted - whole, 0))
            drop.append((lost // 2, lost - 2 * (lost // 2)))
        self._kernel_padding = (drop[0][0], drop[1][0])
        self._more = (more[0], more[1])
        self._drop = (drop[0][1], drop[1][1])

    def get_config(self) -> dict[str, Any]:
        config = Conv2DTranspose.get_config(self)
        return config if self._wanted is None else {**config, "output_shape": self._wanted}
