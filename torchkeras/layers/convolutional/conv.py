"""Convolutions: Conv1D, Conv2D, Conv3D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling

from torchkeras import constraints, generations, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import layer_registry
from torchkeras.layers.convolutional.base import ConvolutionLayer
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import TO_KERAS, TO_TORCH

_FEW_CHANNELS = 16
_LARGE = 1 << 20  # entries of an input


class Conv(ConvolutionLayer):
    """Base of Conv1D, Conv2D and Conv3D; the arguments are theirs.

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or smaller than the window.
    """

    function: ClassVar[Callable[..., Tensor]]
    _is_matrix = False
    _seen: tuple[Any, ...] | None = None  # the entries that windows of one entry see, where strides pass others by

    def __init__(
        self,
        *args: Any,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self._store_as_data("kernel")
        # a window of one entry mixes channels alone: over the last axis that is a matrix product, which is faster
        if not self._channels_first and self.groups == 1 and max(self.kernel_size) == 1:
            self._is_matrix = max(self.strides) == 1
            self._seen = None if self._is_matrix else (..., *(slice(None, None, stride) for stride in self.strides), slice(None))
        self._many_batch_axes = generations.choose("conv.batch_axes")
        if self._many_batch_axes:
            self.input_spec = InputSpec(min_ndim=self.rank + 2)

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{self._who} splits the channels of its input into groups={self.groups}, which {channels} channels do not allow. "
                f"Full shape received: {tuple(input_shape)}. Choose groups that divide both the channels and filters={self.filters}."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.add_weight("kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        self._add_bias(self.filters)
        self._fix_input(channels, min_ndim=self._many_batch_axes)

    def call(self, inputs: Tensor) -> Tensor:
        if self._is_matrix:
            return self.activation(F.linear(inputs, self.weight.view(self.filters, -1), self.bias))
        if self._seen is not None and self._is_thinned(inputs):
            return self.activation(F.linear(inputs[self._seen].contiguous(), self.weight.view(self.filters, -1), self.bias))
        if inputs.dim() > self.rank + 2:
            return self._over_batch_axes(inputs)
        inputs, padding = self._pad(inputs)
        if self._channels_first:
            outputs = self.function(inputs, self.weight, self.bias, self.strides, padding, self.dilation_rate, self.groups)
        else:
            outputs = self._channels_last(inputs, padding)
        return self.activation(outputs)

    def _is_thinned(self, inputs: Tensor) -> bool:
        """Whether to take the entries seen and multiply them, which is faster on the CPU, save for large inputs of many channels.

        With few channels, torch's kernel also writes out of its memory where it computes the gradient of the weight (torch 2.13, rows of 64
        entries and strides of 2).
        """
        return inputs.is_cpu and (inputs.shape[-1] < _FEW_CHANNELS or (not is_compiling() and inputs.numel() <= _LARGE))

    def _channels_last(self, inputs: Tensor, padding: tuple[int, ...]) -> Tensor:
        outputs = self.function(inputs.permute(TO_TORCH[self.rank]), self.weight, self.bias, self.strides, padding, self.dilation_rate, self.groups)
        return outputs.permute(TO_KERAS[self.rank])

    def _over_batch_axes(self, inputs: Tensor) -> Tensor:
        last = inputs.dim() - self.rank - 1  # the axes before it are all batch axes
        return self.call(inputs.flatten(0, last - 1)).unflatten(0, inputs.shape[:last])

    def input_shape_from_state(self, state: Any) -> Any:
        return self._shape_of_channels(state["weight"].shape[1] * self.groups) if "weight" in state else None


@layer_registry.add("Convolution1D")
class Conv1D(Conv):
    """Convolution along the steps of sequences: `activation(inputs * kernel + bias)`.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Steps that one output sees, at least 1.
        strides: Steps from one output to the next.
        padding: "valid", "same", or "causal": an output sees its own step and those before it.
        data_format: "channels_last" or "channels_first".
        dilation_rate: Steps from one entry of the window to the next; not together with strides.
        groups: The channels fall into so many groups, each with filters of its own.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        channels_last: inputs (batch, steps, channels) -> output (batch, new_steps, filters)
        channels_first: inputs (batch, channels, steps) -> output (batch, filters, new_steps)
        weight (filters, channels / groups, kernel_size) as in torch.nn.Conv1d, kernel (kernel_size, channels / groups, filters); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or shorter than the window.

    Source: tf.keras 2.4.0 `Conv1D`.
    """

    rank = 1
    paddings = ("valid", "same", "causal")
    function = staticmethod(F.conv1d)
    keras_weights = {"kernel": ("weight", layouts.conv1d), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = "channels_last",
        dilation_rate: Any = 1,
        groups: int = 1,
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
            groups=groups,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )

    def _channels_last(self, inputs: Tensor, padding: tuple[int, ...]) -> Tensor:
        # as an image of height 1: torch's own conv1d would copy (batch, steps, channels) into (batch, channels, steps)
        image = inputs.permute(0, 2, 1).unsqueeze(2)
        outputs = F.conv2d(image, self.weight.unsqueeze(2), self.bias, (1, *self.strides), (0, *padding), (1, *self.dilation_rate), self.groups)
        return outputs.squeeze(2).permute(0, 2, 1)


@layer_registry.add("Convolution2D")
class Conv2D(Conv):
    """Convolution over images: `activation(inputs * kernel + bias)`.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Rows and columns that one output sees; one number for both, or two.
        strides: Rows and columns from one output to the next.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Rows and columns from one entry of the window to the next; not together with strides.
        groups: The channels fall into so many groups, each with filters of its own.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        channels_last: inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, filters)
        channels_first: inputs (batch, channels, rows, columns) -> output (batch, filters, new_rows, new_columns)
        weight (filters, channels / groups, *kernel_size) as in torch.nn.Conv2d, kernel (*kernel_size, channels / groups, filters); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or smaller than the window.

    Source: tf.keras 2.4.0 `Conv2D`.
    """

    rank = 2
    function = staticmethod(F.conv2d)
    keras_weights = {"kernel": ("weight", layouts.conv2d), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
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
            groups=groups,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )


@layer_registry.add("Convolution3D")
class Conv3D(Conv):
    """Convolution over volumes: `activation(inputs * kernel + bias)`.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Sizes of the window along the three axes of space; one number for all, or three.
        strides: Entries from one output to the next.
        padding: "valid" or "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        dilation_rate: Entries from one entry of the window to the next; not together with strides.
        groups: The channels fall into so many groups, each with filters of its own.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        channels_last: inputs (batch, *space, channels) -> output (batch, *new_space, filters)
        channels_first: inputs (batch, channels, *space) -> output (batch, filters, *new_space)
        weight (filters, channels / groups, *kernel_size) as in torch.nn.Conv3d, kernel (*kernel_size, channels / groups, filters); bias (filters,)

    Raises:
        ValueError: an argument out of its range; later, an input with another number of channels or smaller than the window.

    Source: tf.keras 2.4.0 `Conv3D`.
    """

    rank = 3
    function = staticmethod(F.conv3d)
    keras_weights = {"kernel": ("weight", layouts.conv3d), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1, 1),
        groups: int = 1,
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
            groups=groups,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )
