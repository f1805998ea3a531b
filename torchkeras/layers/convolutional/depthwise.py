"""Convolutions of each channel by itself: DepthwiseConv1D, DepthwiseConv2D."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import layer_registry
from torchkeras.layers.convolutional.base import ConvolutionLayer
from torchkeras.layers.spatial import TO_KERAS, TO_TORCH, whole_numbers

_FUNCTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


class ChannelwiseConvolution(ConvolutionLayer):
    """Base of the layers with a depthwise kernel; the arguments are theirs.

    Args:
        depth_multiplier: Outputs of each channel, at least 1.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: How that kernel starts, is penalised, is kept in bounds.
        **kwargs: Also `groups`, which must be 1, and `kernel_initializer`, `kernel_regularizer`, `kernel_constraint`, which do nothing
            (a warning says so), since tf.keras writes them into configs.
    """

    kernels: ClassVar[str] = "depthwise"

    def __init__(
        self,
        *args: Any,
        depth_multiplier: int,
        depthwise_initializer: Any,
        depthwise_regularizer: Any,
        depthwise_constraint: Any,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.groups != 1:
            raise ValueError(f"{self._who} treats each channel by itself: leave groups at 1, but got {self.groups!r}.")
        (self.depth_multiplier,) = whole_numbers(depth_multiplier, 1, "depth_multiplier", self._who)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self._keep_unused(kernel_initializer, kernel_regularizer, kernel_constraint)

    def _keep_unused(self, initializer: Any, regularizer: Any, constraint: Any) -> None:
        self.kernel_initializer = initializers.get(initializer)
        self.kernel_regularizer = regularizers.get(regularizer)
        self.kernel_constraint = constraints.get(constraint)
        default = initializers.serialize(initializers.get("glorot_uniform"))
        unused = {
            "initializer": initializers.serialize(self.kernel_initializer) != default,
            "regularizer": self.kernel_regularizer is not None,
            "constraint": self.kernel_constraint is not None,
        }
        for ending, given in unused.items():
            if given:
                warnings.warn(f"{self._who} does nothing with kernel_{ending}, as in Keras. Give {self.kernels}_{ending}.", stacklevel=2)

    def _add_depthwise(self, channels: int) -> None:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.add_weight("depthwise_kernel", shape, None, self.depthwise_initializer, self.depthwise_regularizer, constraint=self.depthwise_constraint)

    def _depthwise(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The depthwise convolution, in torch's order of axes (channels-last steps: as an image of height 1)."""
        inputs, padding = self._pad(inputs)
        groups = weight.shape[0] // self.depth_multiplier
        if self._channels_first:
            return _FUNCTIONS[self.rank](inputs, weight, bias, self.strides, padding, self.dilation_rate, groups)
        if self.rank == 2:
            return F.conv2d(inputs.permute(TO_TORCH[2]), weight, bias, self.strides, padding, self.dilation_rate, groups)
        image = inputs.permute(TO_TORCH[1]).unsqueeze(2)
        return F.conv2d(image, weight.unsqueeze(2), bias, (1, *self.strides), (0, *padding), (1, *self.dilation_rate), groups)

    def _in_keras_order(self, outputs: Tensor) -> Tensor:
        if self._channels_first:
            return outputs
        return outputs.permute(TO_KERAS[2]) if self.rank == 2 else outputs.squeeze(2).permute(TO_KERAS[1])


class DepthwiseConv(ChannelwiseConvolution):
    """Base of DepthwiseConv1D and DepthwiseConv2D; the arguments are theirs."""

    has_filters = False
    keras_weights = {"depthwise_kernel": ("weight", layouts.depthwise), "bias": ("bias", layouts.as_is)}

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        self._add_depthwise(channels)
        self._add_bias(channels * self.depth_multiplier)
        self._fix_input(channels)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(self._in_keras_order(self._depthwise(inputs, self.weight, self.bias)))

    def input_shape_from_state(self, state: Any) -> Any:
        return self._shape_of_channels(state["weight"].shape[0] // self.depth_multiplier) if "weight" in state else None


@layer_registry.add()
class DepthwiseConv1D(DepthwiseConv):
    """Convolution along steps of each channel by itself.

    Args:
        kernel_size: Steps that one output sees, at least 1.
        strides: Steps from one output to the next.
        padding: "valid" or "same".
        depth_multiplier: Outputs of each channel, at least 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Steps from one entry of the window to the next; not together with strides.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        depthwise_initializer, bias_initializer: How the weights start.
        depthwise_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        depthwise_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, steps, channels) -> output (batch, new_steps, channels * depth_multiplier); channels second for channels_first
        weight (channels * depth_multiplier, 1, kernel_size), depthwise_kernel (kernel_size, channels, depth_multiplier)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or shorter than the window.

    Source: Keras 3 `DepthwiseConv1D`.
    """

    rank = 1

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            None,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            depth_multiplier=depth_multiplier,
            depthwise_initializer=depthwise_initializer,
            depthwise_regularizer=depthwise_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            **kwargs,
        )


@layer_registry.add()
class DepthwiseConv2D(DepthwiseConv):
    """Convolution over images of each channel by itself.

    Args:
        kernel_size: Rows and columns that one output sees; one number for both, or two.
        strides: Rows and columns from one output to the next.
        padding: "valid" or "same".
        depth_multiplier: Outputs of each channel, at least 1.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Rows and columns from one entry of the window to the next; not together with strides.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        depthwise_initializer, bias_initializer: How the weights start.
        depthwise_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        depthwise_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, channels * depth_multiplier)
        weight (channels * depth_multiplier, 1, *kernel_size), depthwise_kernel (*kernel_size, channels, depth_multiplier)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or smaller than the window.

    Source: tf.keras 2.4.0 `DepthwiseConv2D`.
    """

    rank = 2

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            None,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            depth_multiplier=depth_multiplier,
            depthwise_initializer=depthwise_initializer,
            depthwise_regularizer=depthwise_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            **kwargs,
        )
