"""Transposed convolutions: Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from torchkeras import constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import layer_registry
from torchkeras.layers.convolutional.base import ConvolutionLayer
from torchkeras.layers.spatial import TO_KERAS, TO_TORCH, whole_numbers


class ConvTranspose(ConvolutionLayer):
    """Base of the transposed convolutions; the arguments are theirs.

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels.
    """

    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        *args: Any,
        output_padding: Any,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.groups != 1:
            raise ValueError(f"{self._who} has no groups in Keras: leave groups at 1, but got {self.groups!r}, or use torch.nn.ConvTranspose2d.")
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self._store_as_data("kernel")
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = whole_numbers(output_padding, self.rank, "output_padding", self._who, least=0)
            if any(more >= stride for more, stride in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{self._who} needs output_padding below strides={self.strides} on every axis, but got {self.output_padding}. "
                    "Pad the output with a ZeroPadding layer for more."
                )
        axes = [self._axis(number) for number in range(self.rank)]
        self._kernel_padding = tuple(inside for inside, _, _ in axes)
        self._more = tuple(more for _, more, _ in axes)
        self._drop = tuple(drop for _, _, drop in axes)

    def _choose_padding(self) -> None:
        """Nothing: the output is cut, not the input padded."""

    def _axis(self, number: int) -> tuple[int, int, int]:
        """For one axis of space: what torch's kernel cuts off both sides, what it adds to the far side, and what is cut there afterwards.

        All positions that the window reaches are (length - 1) * stride + reach; of those Keras keeps a number that depends on
        the length in the same way, so that what is lost does not depend on it. TensorFlow cuts the far side more.
        """
        stride, reach = self.strides[number], self._reach[number]
        if self.output_padding is None:
            lost = reach - stride if self.padding == "same" else min(reach - stride, 0)
        else:
            lost = 2 * (reach // 2 if self.padding == "same" else 0) - self.output_padding[number]
            if self.padding == "same" and not 0 < reach - lost <= stride:
                raise ValueError(
                    f"{self._who} cannot make an output of the length that output_padding={self.output_padding} asks for "
                    f"with a window that reaches over {reach}, strides={self.strides} and padding='same'. Leave output_padding at None."
                )
        return (0, -lost, 0) if lost <= 0 else (lost // 2, 0, lost % 2)

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        shape = (*self.kernel_size, self.filters, channels)
        self.add_weight("kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        self._add_bias(self.filters)
        self._fix_input(channels)

    def _fix_input(self, channels: int, *, min_ndim: bool = False) -> None:
        super()._fix_input(channels, min_ndim=min_ndim)
        self.input_spec.min_axes = {}  # any length will do

    def call(self, inputs: Tensor) -> Tensor:
        # the bias is added apart: torch's kernel takes half of its backward pass for the bias's gradient
        if self._channels_first:
            args = (inputs, self.weight, None, self.strides, self._kernel_padding, self._more, 1, self.dilation_rate)
            outputs = self._cut(self.function(*args))
            bias = self.bias.view(-1, *(1,) * self.rank) if self.use_bias else None
        else:
            outputs = self._channels_last(inputs)
            bias = self.bias
        return self.activation(outputs if bias is None else outputs + bias)

    def _channels_last(self, inputs: Tensor) -> Tensor:
        image = inputs.permute(TO_TORCH[self.rank])
        outputs = self.function(image, self.weight, None, self.strides, self._kernel_padding, self._more, 1, self.dilation_rate)
        return self._cut(outputs).permute(TO_KERAS[self.rank])

    def _cut(self, outputs: Tensor) -> Tensor:
        for axis, drop in enumerate(self._drop, start=outputs.dim() - self.rank):
            if drop:
                outputs = outputs.narrow(axis, 0, outputs.shape[axis] - drop)
        return outputs

    def input_shape_from_state(self, state: Any) -> Any:
        return self._shape_of_channels(state["weight"].shape[0]) if "weight" in state else None


@layer_registry.add("Convolution1DTranspose")
class Conv1DTranspose(ConvTranspose):
    """Transposed convolution along steps: the gradient of Conv1D with respect to its input, as a layer.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Steps of the output that one input reaches.
        strides: Steps of the output from one input to the next.
        padding: "valid", or "same": the output has steps * strides steps.
        output_padding: Steps added to the far side of the shortest output, below strides; `None`: the length that `padding` says.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Steps from one entry of the window to the next; not together with strides.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, steps, channels) -> output (batch, new_steps, filters); channels second where data_format is channels_first
        weight (channels, filters, kernel_size) as in torch.nn.ConvTranspose1d, kernel (kernel_size, filters, channels); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels.

    Source: tf.keras 2.4.0 `Conv1DTranspose`.
    """

    rank = 1
    function = staticmethod(F.conv_transpose1d)
    keras_weights = {"kernel": ("weight", layouts.conv1d), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
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
            output_padding=output_padding,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )

    def _channels_last(self, inputs: Tensor) -> Tensor:
        # as an image of height 1, which spares a copy of the input
        image = inputs.permute(0, 2, 1).unsqueeze(2)
        strides, padding, dilation = (1, *self.strides), (0, *self._kernel_padding), (1, *self.dilation_rate)
        outputs = F.conv_transpose2d(image, self.weight.unsqueeze(2), None, strides, padding, (0, *self._more), 1, dilation)
        return self._cut(outputs).squeeze(2).permute(0, 2, 1)


@layer_registry.add("Convolution2DTranspose")
class Conv2DTranspose(ConvTranspose):
    """Transposed convolution over images: the gradient of Conv2D with respect to its input, as a layer.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Rows and columns of the output that one input reaches; one number for both, or two.
        strides: Rows and columns of the output from one input to the next.
        padding: "valid", or "same": the output has rows * strides rows.
        output_padding: Rows and columns added to the far side of the smallest output, below strides; `None`: the size that `padding` says.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Rows and columns from one entry of the window to the next; not together with strides.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, filters); channels second for channels_first
        weight (channels, filters, *kernel_size) as in torch.nn.ConvTranspose2d, kernel (*kernel_size, filters, channels); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels.

    Source: tf.keras 2.4.0 `Conv2DTranspose`.
    """

    rank = 2
    function = staticmethod(F.conv_transpose2d)
    keras_weights = {"kernel": ("weight", layouts.conv2d), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
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
            output_padding=output_padding,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )


@layer_registry.add("Convolution3DTranspose")
class Conv3DTranspose(ConvTranspose):
    """Transposed convolution over volumes: the gradient of Conv3D with respect to its input, as a layer.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: What one input reaches along the three axes of space; one number for all, or three.
        strides: Entries of the output from one input to the next.
        padding: "valid", or "same": each axis of the output is as long as the input's times the stride.
        output_padding: Entries added to the far side of the smallest output, below strides; `None`: the size that `padding` says.
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Entries from one entry of the window to the next; not together with strides.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, *space, channels) -> output (batch, *new_space, filters); channels second for channels_first
        weight (channels, filters, *kernel_size) as in torch.nn.ConvTranspose3d, kernel (*kernel_size, filters, channels); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels.

    Source: tf.keras 2.4.0 `Conv3DTranspose`.
    """

    rank = 3
    function = staticmethod(F.conv_transpose3d)
    keras_weights = {"kernel": ("weight", layouts.conv3d), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = (1, 1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
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
            output_padding=output_padding,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if max(self.dilation_rate) == 1:  # as in Keras, whose Conv3DTranspose says nothing of it
            del config["dilation_rate"]
        return config
