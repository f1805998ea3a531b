"""Convolutions in two parts, each channel by itself and all channels of a place: SeparableConv1D, SeparableConv2D."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.layers import layouts
from torchkeras.layers.base import layer_registry
from torchkeras.layers.convolutional.depthwise import ChannelwiseConvolution


class SeparableConv(ChannelwiseConvolution):
    """Base of SeparableConv1D and SeparableConv2D; the arguments are theirs."""

    kernels = "depthwise_* and pointwise"

    def __init__(self, *args: Any, pointwise_initializer: Any, pointwise_regularizer: Any, pointwise_constraint: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
        self._store_as_data("pointwise_kernel")

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        self._add_depthwise(channels)
        shape = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.add_weight("pointwise_kernel", shape, None, self.pointwise_initializer, self.pointwise_regularizer, constraint=self.pointwise_constraint)
        self._add_bias(self.filters)
        self._fix_input(channels)

    def call(self, inputs: Tensor) -> Tensor:
        between = self._depthwise(inputs, self.depthwise_weight, None)
        if not self._channels_first:  # all channels of a place are next to each other: a matrix product
            return self.activation(F.linear(self._in_keras_order(between), self.pointwise_weight.flatten(1), self.bias))
        mix = F.conv1d if self.rank == 1 else F.conv2d
        return self.activation(mix(between, self.pointwise_weight, self.bias))

    def input_shape_from_state(self, state: Any) -> Any:
        if "depthwise_weight" not in state:
            return None
        return self._shape_of_channels(state["depthwise_weight"].shape[0] // self.depth_multiplier)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self._names_groups:
            config["kernel_initializer"] = initializers.serialize(self.kernel_initializer)
            config["kernel_regularizer"] = regularizers.serialize(self.kernel_regularizer)
            config["kernel_constraint"] = constraints.serialize(self.kernel_constraint)
        return config


@layer_registry.add("SeparableConvolution1D")
class SeparableConv1D(SeparableConv):
    """Convolution along steps in two parts: each channel by itself, then all channels of each step.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Steps that one output sees, at least 1.
        strides: Steps from one output to the next.
        padding: "valid", "same", or "causal": an output sees its own step and those before it.
        data_format: "channels_last" or "channels_first"; `None`: the global setting; left out: as the release does.
        dilation_rate: Steps from one entry of the window to the next; not together with strides.
        depth_multiplier: Outputs of each channel in the first part, at least 1.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        depthwise_initializer, pointwise_initializer, bias_initializer: How the weights start.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        depthwise_constraint, pointwise_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, steps, channels) -> output (batch, new_steps, filters); channels second for channels_first
        depthwise_weight (channels * depth_multiplier, 1, kernel_size), depthwise_kernel (kernel_size, channels, depth_multiplier)
        pointwise_weight (filters, channels * depth_multiplier, 1), pointwise_kernel (1, channels * depth_multiplier, filters); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or shorter than the window.

    Source: tf.keras 2.4.0 `SeparableConv1D`.
    """

    rank = 1
    paddings = ("valid", "same", "causal")
    keras_weights = {
        "depthwise_kernel": ("depthwise_weight", layouts.depthwise),
        "pointwise_kernel": ("pointwise_weight", layouts.conv1d),
        "bias": ("bias", layouts.as_is),
    }

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = BY_GENERATION,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            resolve(data_format, "separable_conv1d.data_format"),
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            bias_regularizer,
            bias_constraint,
            depth_multiplier=depth_multiplier,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            **kwargs,
        )


@layer_registry.add("SeparableConvolution2D")
class SeparableConv2D(SeparableConv):
    """Convolution over images in two parts: each channel by itself, then all channels of each pixel.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Rows and columns that one output sees; one number for both, or two.
        strides: Rows and columns from one output to the next.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Rows and columns from one entry of the window to the next; not together with strides.
        depth_multiplier: Outputs of each channel in the first part, at least 1.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        depthwise_initializer, pointwise_initializer, bias_initializer: How the weights start.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        depthwise_constraint, pointwise_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, filters); channels second for channels_first
        depthwise_weight (channels * depth_multiplier, 1, *kernel_size), depthwise_kernel (*kernel_size, channels, depth_multiplier)
        pointwise_weight (filters, channels * depth_multiplier, 1, 1), pointwise_kernel (1, 1, channels * depth_multiplier, filters); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or smaller than the window.

    Source: tf.keras 2.4.0 `SeparableConv2D`; Chollet (2017), "Xception".
    """

    rank = 2
    keras_weights = {
        "depthwise_kernel": ("depthwise_weight", layouts.depthwise),
        "pointwise_kernel": ("pointwise_weight", layouts.conv2d),
        "bias": ("bias", layouts.as_is),
    }

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
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
            pointwise_initializer=pointwise_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            **kwargs,
        )
