"""What all convolutions share: arguments, checks, weights, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from torchkeras import activations, constraints, generations, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import SpatialLayer, choice, whole_numbers
from torchkeras.ops.padding import pad_space
from torchkeras.ops.windows import Pads, divide_pads, divided_pads, window_pads


class ConvolutionLayer(SpatialLayer):
    """Base of the convolutions: a window that moves over steps, images or volumes.

    Args:
        filters: Number of outputs at each position, at least 1.
        kernel_size, strides, dilation_rate: One number for all axes of space, or one for each; at least 1.
        padding: "valid" (none), "same" (the output is as long as the input, divided by the stride; TensorFlow pads the far side
            more) or, where the class knows it, "causal" (all of it before the first step).
        data_format: "channels_last" or "channels_first"; `None`: the global setting.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        bias_initializer, bias_regularizer, bias_constraint: How the bias starts, is penalised, is kept in bounds.
        groups: The channels fall into so many groups, each with filters of its own.

    Attributes:
        paddings: The values of `padding` that the class knows.
        has_filters: Whether `filters` counts, or the input decides the number of outputs.

    Raises:
        ValueError: an argument out of its range, or strides together with dilation.
    """

    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    has_filters: ClassVar[bool] = True
    filters: int
    _pads: Pads | None  # where the input's size does not matter

    def __init__(
        self,
        filters: Any,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        bias_regularizer: Any,
        bias_constraint: Any,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        who = self._who
        if self.has_filters:
            (self.filters,) = whole_numbers(filters, 1, "filters", who)
        self.kernel_size = whole_numbers(kernel_size, self.rank, "kernel_size", who)
        self.strides = whole_numbers(strides, self.rank, "strides", who)
        self.padding = choice(padding, self.paddings, "padding", who)
        self._set_data_format(data_format)
        self.dilation_rate = whole_numbers(dilation_rate, self.rank, "dilation_rate", who)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who} cannot have strides={self.strides} together with dilation_rate={self.dilation_rate}, as Keras cannot. "
                "Set one of them to 1; to thin a dilated output, slice it."
            )
        if not isinstance(groups, int) or groups < 1 or (self.has_filters and self.filters % groups):
            raise ValueError(
                f"{who} takes for `groups` a whole number that divides filters={filters}, but got {groups!r}. "
                "Keras 2.2.4 has no groups: there, give what comes after dilation_rate by name."
            )
        self.groups = groups
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.register_parameter("bias", None)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._names_groups = generations.choose("config.conv_groups")
        self._reach = tuple((size - 1) * rate + 1 for size, rate in zip(self.kernel_size, self.dilation_rate, strict=True))
        self._choose_padding()

    def _choose_padding(self) -> None:
        fixed = self.padding != "same" or max(self.strides) == 1
        self._pads = self._find_pads((1,) * self.rank) if fixed else None
        self._kernel_padding, self._rest = divide_pads(self._pads) if self._pads is not None else ((0,) * self.rank, None)

    def _find_pads(self, sizes: Sequence[int]) -> Pads:
        return window_pads(sizes, self.padding, self.kernel_size, self.strides, self.dilation_rate)

    def _pad(self, inputs: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The input, padded with what the kernel cannot pad by itself, and what the kernel shall pad."""
        if self._pads is not None:
            inside, rest = self._kernel_padding, self._rest
        else:
            sizes = inputs.shape[2:] if self._channels_first else inputs.shape[1:-1]
            inside, rest = divided_pads(sizes, self.padding, self.kernel_size, self.strides, self.dilation_rate)
        return pad_space(inputs, rest, self._channels_first), inside

    def _store_as_data(self, *names: str) -> None:
        """Let these kernels be stored in the memory format of the data, so that no call converts one of them."""
        if self._channels_first:
            table = {name: (self.keras_weights[name][0], layouts.conv_channels_first[self.rank]) for name in names}
            self.keras_weights = {**self.keras_weights, **table}  # type: ignore[misc]

    def _add_bias(self, size: int) -> None:
        if self.use_bias:
            self.add_weight("bias", (size,), None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)

    def _fix_input(self, channels: int, *, min_ndim: bool = False) -> None:
        """From now on inputs must have so many channels, and be as large as the window where nothing is padded."""
        ndim = self.rank + 2
        smallest = dict(zip(self._space, self._reach, strict=True)) if self.padding == "valid" else {}
        ranks = {"min_ndim": ndim} if min_ndim else {"ndim": ndim}
        self.input_spec = InputSpec(**ranks, axes={self._channel_axis: channels}, min_axes=smallest)

    def _shape_of_channels(self, channels: int) -> tuple[int | None, ...]:
        space: tuple[int | None, ...] = (None,) * self.rank
        return (None, channels, *space) if self._channels_first else (None, *space, channels)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self._names_groups or self.groups != 1:
            config["groups"] = self.groups
        else:
            config.pop("groups", None)
        return config
