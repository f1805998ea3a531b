"""Convolutions whose kernel differs from place to place: LocallyConnected1D, LocallyConnected2D."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras import activations, constraints, generations, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.room import take
from torchkeras.layers.spatial import SpatialLayer, choice, whole_numbers
from torchkeras.ops.padding import pad_space
from torchkeras.shapes import conv_output_length

# by rank and whether channels come first: the order of the axes of all windows as (places, batch, entries of a window)
_ORDERS = {
    (1, False): (1, 0, 3, 2),
    (1, True): (2, 0, 1, 3),
    (2, False): (1, 2, 0, 4, 5, 3),
    (2, True): (2, 3, 0, 1, 4, 5),
}


class LocallyConnected(SpatialLayer):
    """Base of the locally connected layers; the arguments are theirs.

    The windows are multiplied with one matrix for each place. `implementation` says in which form the matrices are kept:
    1: (places, window * channels, filters); 2: a whole matrix from all inputs to all outputs, of which only the entries inside windows
    count; 3: a list of just those entries. The products are the same.

    Raises:
        ValueError: an argument out of its range; later, an input of another size.
    """

    keras_weights = {"kernel": ("weight", layouts.as_is), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        implementation: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        who = self._who
        (self.filters,) = whole_numbers(filters, 1, "filters", who)
        self.kernel_size = whole_numbers(kernel_size, self.rank, "kernel_size", who)
        self.strides = whole_numbers(strides, self.rank, "strides", who)
        self.padding = choice(padding, ("valid", "same"), "padding", who)
        if implementation not in (1, 2, 3):
            raise ValueError(f"{who} takes for `implementation` 1, 2 or 3, but got {implementation!r}.")
        if self.padding != "valid" and implementation == 1:
            raise ValueError(f"{who} knows padding='valid' only with implementation=1, but got {padding!r}. Use implementation=2 or 3 for it.")
        self.implementation = implementation
        self._set_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.register_parameter("bias", None)
        self._names_all = generations.choose("config.local_format")

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        sizes = tuple(input_shape[axis] for axis in self._space)
        if None in sizes:
            raise ValueError(
                f"{self._who} has a kernel for each place, so it needs every axis of space known, but got an input of shape {tuple(input_shape)}. "
                "Give the whole shape, without None."
            )
        axes = list(zip(sizes, self.kernel_size, self.strides, strict=True))
        out = tuple(conv_output_length(size, window, self.padding, stride) or 0 for size, window, stride in axes)
        if min(out) < 1:
            raise ValueError(f"{self._who} has a window of {self.kernel_size}, which does not fit into an input of shape {tuple(input_shape)}.")
        self._out = out
        # unlike TensorFlow's convolutions, "same" puts the middle of the window on the input here, and pads the near side more
        near = [window // 2 if self.padding == "same" else 0 for window in self.kernel_size]
        ends = [(number - 1) * stride + window for number, (_, window, stride) in zip(out, axes, strict=True)]
        self._pads = [(before, max(end - before - size, 0)) for before, end, size in zip(near, ends, sizes, strict=True)]
        if self.implementation != 1:
            entries = (channels, self.filters) if self.implementation == 3 else ()
            take((*out, *self.kernel_size, *entries), f"The table of the places that {self._who} looks at")
        shape = self._kernel_shape(channels, sizes, near)
        self.add_weight("kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        if self.use_bias:
            self.add_weight("bias", (*out, self.filters), None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)
        if self._keeps_size():
            device = self._build_device or torch.get_default_device()
            self.register_buffer("input_size", torch.tensor([channels, *sizes], device=device))
        exact = {} if self.implementation == 1 else dict(zip(self._space, sizes, strict=True))
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self._channel_axis: channels, **exact})

    def _keeps_size(self) -> bool:
        """Whether the weights do not tell the size of the input, so that a state dict has it beside them: [channels, *space]."""
        return self.implementation == 3 or (self.implementation == 1 and self.rank > 1 and not self.use_bias)

    def _kernel_shape(self, channels: int, sizes: tuple[int, ...], near: list[int]) -> tuple[int, ...]:
        if self.implementation == 1:
            return (math.prod(self._out), math.prod(self.kernel_size) * channels, self.filters)
        seen = _seen(self._out, self.kernel_size, self.strides, near, sizes)
        if self.implementation == 2:
            self._register_index(np.maximum(seen, 0))
            if self._channels_first:
                return (channels, *sizes, self.filters, *self._out)
            return (*sizes, channels, *self._out, self.filters)
        self._register_index(_entries(seen >= 0, channels, self.filters, self._channels_first))
        return (int((seen >= 0).sum()) * channels * self.filters,)

    def _register_index(self, index: np.ndarray) -> None:
        device = self._build_device or torch.get_default_device()
        self.register_buffer("_index", torch.as_tensor(np.ascontiguousarray(index)).to(device), persistent=False)

    def _matrices(self) -> Tensor:
        """The kernel as (places, window * channels, filters); channels_first: (places, channels * window, filters)."""
        if self.implementation == 1:
            return self.weight
        if self.implementation == 3:
            return self.weight[self._index].flatten(1, 2)
        numbers = torch.arange(self._index.shape[0], device=self._index.device).unsqueeze(1)
        if self._channels_first:
            whole = self.weight.flatten(1, self.rank).flatten(3)  # (channels, inputs, filters, places)
            return whole[:, self._index, :, numbers].transpose(1, 2).flatten(1, 2)
        whole = self.weight.flatten(0, self.rank - 1).flatten(2, 1 + self.rank)  # (inputs, channels, places, filters)
        return whole[self._index, :, numbers].flatten(1, 2)

    def call(self, inputs: Tensor) -> Tensor:
        if any(map(any, self._pads)):
            inputs = pad_space(inputs, self._pads, self._channels_first)
        rank, first = self.rank, 2 if self._channels_first else 1
        windows = inputs
        for number in range(rank):
            windows = windows.unfold(first + number, self.kernel_size[number], self.strides[number])
        if windows.shape[first : first + rank] != self._out:
            raise ValueError(f"{self._who} was built for an output of size {self._out}, but got an input of shape {tuple(inputs.shape)}.")
        matrices = self._matrices()
        places, entries, filters = matrices.shape
        rows = windows.permute(_ORDERS[rank, self._channels_first]).reshape(places, inputs.shape[0], entries)
        if self._channels_first:
            outputs = torch.bmm(rows, matrices).permute(1, 2, 0).unflatten(2, self._out)
            if self.use_bias:
                # not permuted, but read in the order of its memory: so do all Keras releases
                outputs = outputs + self.bias.reshape(self.filters, *self._out)
            return self.activation(outputs)
        if self.use_bias:
            outputs = torch.baddbmm(self.bias.view(places, 1, filters), rows, matrices)
        else:
            outputs = torch.bmm(rows, matrices)
        return self.activation(outputs.transpose(0, 1).unflatten(1, self._out))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not self._names_all:
            if self.rank == 1:
                del config["data_format"]  # which means nothing there
            if self.implementation == 1:
                del config["implementation"]
        return config

    def input_shape_from_state(self, state: Any) -> Any:
        weight, bias, size = state.get("weight"), state.get("bias"), state.get("input_size")
        if weight is None or (self._keeps_size() and size is None):
            return None
        if self.implementation == 2:
            return (None, *weight.shape[: self.rank + 1])
        if size is not None:
            channels, *sizes = size.tolist()
        else:
            out = weight.shape[:1] if bias is None else bias.shape[: self.rank]
            channels = weight.shape[1] // math.prod(self.kernel_size)
            sizes = [(number - 1) * stride + window for number, stride, window in zip(out, self.strides, self.kernel_size, strict=True)]
        return (None, channels, *sizes) if self._channels_first else (None, *sizes, channels)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        super()._load_from_state_dict(state_dict, prefix, *args)
        missing = args[2]
        if self.built and prefix + "input_size" in missing:  # weights of another form of the layer do not have it
            missing.remove(prefix + "input_size")


def _seen(out: tuple[int, ...], window: tuple[int, ...], strides: tuple[int, ...], near: list[int], sizes: tuple[int, ...]) -> np.ndarray:
    """(places, window): which input each entry of each window sees, -1 where it lies outside."""
    rank = len(out)
    flat = np.zeros((1,) * (2 * rank), dtype=np.int64)
    inside = np.ones((1,) * (2 * rank), dtype=bool)
    for axis in range(rank):
        position = np.arange(out[axis])[:, None] * strides[axis] - near[axis] + np.arange(window[axis])[None, :]
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = position.shape
        position = position.reshape(shape)
        inside = inside & (position >= 0) & (position < sizes[axis])
        flat = flat * sizes[axis] + position
    return np.where(inside, flat, -1).reshape(math.prod(out), math.prod(window))


def _entries(inside: np.ndarray, channels: int, filters: int, channels_first: bool) -> np.ndarray:
    """Where each entry of the matrices stands in the list of implementation 3; any place where it lies outside the input.

    The list is sorted by output, then by input, both counted in the order of their memory.
    """
    places, taps = inside.shape
    rank = np.cumsum(inside, axis=1) - inside  # (places, taps): the number of entries before it in its window
    number = inside.sum(axis=1)[:, None, None, None]  # entries of each window
    before = (np.cumsum(inside.sum(axis=1)) - inside.sum(axis=1))[:, None, None, None]  # entries of the windows before
    filter_, channel = np.arange(filters)[None, None, None, :], np.arange(channels)
    if channels_first:
        position = filter_ * inside.sum() * channels + before * channels + channel[None, :, None, None] * number + rank[:, None, :, None]
        known = np.broadcast_to(inside[:, None, :, None], (places, channels, taps, filters))
    else:
        position = before * channels * filters + filter_ * number * channels + rank[:, :, None, None] * channels + channel[None, None, :, None]
        known = np.broadcast_to(inside[:, :, None, None], (places, taps, channels, filters))
    return np.where(known, position, 0)


@layer_registry.add()
class LocallyConnected1D(LocallyConnected):
    """Convolution along steps with a kernel of its own for each output step.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Steps that one output sees, at least 1.
        strides: Steps from one output to the next.
        padding: "valid", or (`implementation` 2 and 3) "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting. Keras 2.2.4 takes all inputs as channels_last.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`, one for each output.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.
        implementation: In which form the kernel is kept: 1, (steps, window, filters); 2, a whole matrix; 3, a list of its entries inside windows.

    Shape:
        inputs (batch, steps, channels) -> output (batch, new_steps, filters); channels second for channels_first
        kernel, implementation 1: (new_steps, kernel_size * channels, filters); 2: (steps, channels, new_steps, filters), or
        (channels, steps, filters, new_steps) for channels_first; 3: (entries,); bias (new_steps, filters)

    Raises:
        ValueError: an argument out of its range, an unknown number of steps; later, an input of another size.

    Source: tf.keras 2.4.0 `LocallyConnected1D`.
    """

    rank = 1

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            implementation,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        if not generations.choose("local1d.follows_format"):
            self._channels_first = False


@layer_registry.add()
class LocallyConnected2D(LocallyConnected):
    """Convolution over images with a kernel of its own for each output pixel.

    Args:
        filters: Size of the output's channel axis, at least 1.
        kernel_size: Rows and columns that one output sees; one number for both, or two.
        strides: Rows and columns from one output to the next.
        padding: "valid", or (`implementation` 2 and 3) "same".
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`, one for each output.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.
        implementation: In which form the kernel is kept: 1, (pixels, window, filters); 2, a whole matrix; 3, a list of its entries inside windows.

    Shape:
        inputs (batch, rows, columns, channels) -> output (batch, new_rows, new_columns, filters); channels second for channels_first
        kernel, implementation 1: (new_rows * new_columns, rows of the window * its columns * channels, filters);
        2: (rows, columns, channels, new_rows, new_columns, filters), or (channels, rows, columns, filters, new_rows, new_columns) for
        channels_first; 3: (entries,); bias (new_rows, new_columns, filters)

    Raises:
        ValueError: an argument out of its range, an unknown size; later, an input of another size.

    Source: tf.keras 2.4.0 `LocallyConnected2D`.
    """

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        implementation: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            implementation,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
