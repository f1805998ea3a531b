"""`ConvLSTM2D`: an LSTM whose products are convolutions over images."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torchkeras import activations, config, constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import layer_registry
from torchkeras.layers.config import signature_config
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.recurrent.calling import cell_states, flat_sizes
from torchkeras.layers.recurrent.cells import forget_bias
from torchkeras.layers.recurrent.dropout import CellDropout, dropout_mask
from torchkeras.layers.recurrent.gated_cell import bare
from torchkeras.layers.recurrent.rnn import RNN
from torchkeras.layers.recurrent.standard import for_cell, shows_of_cell
from torchkeras.layers.spatial import choice, whole_numbers
from torchkeras.ops.recurrent import Recurrence, Weights, conv_lstm_step, convolve
from torchkeras.shapes import conv_output_length


@layer_registry.add()
class ConvLSTM2DCell(CellDropout):
    """One step of a convolutional LSTM (Shi et al., 2015, without the feedback loop on the cell's output).

    Args:
        filters: Channels of the states and the output, at least 1.
        kernel_size: Height and width of both windows, a number or two.
        strides: Of the convolution of the inputs.
        padding: "valid" or "same", of the convolution of the inputs; that of the state always keeps its size.
        data_format: "channels_last", "channels_first", or `None`: the global setting.
        dilation_rate: Of the convolution of the inputs.
        activation: Of the candidate and of the carry on its way out.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        unit_forget_bias: Start the forget gate's bias with ones.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state.

    Shape:
        inputs (batch, height, width, channels), states [h, c], (batch, new height, new width, filters) each
        -> (batch, new height, new width, filters), [h, c]

    Raises:
        ValueError: an argument out of its range.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `ConvLSTM2DCell`.
    """

    keras_weights = {"kernel": ("weight_ih", layouts.conv2d), "recurrent_kernel": ("weight_hh", layouts.conv2d), "bias": ("bias_ih", layouts.as_is)}
    resolves_training = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        who = f"{type(self).__name__} '{self.name}'"
        (self.filters,) = whole_numbers(filters, 1, "filters", who)
        self.kernel_size = whole_numbers(kernel_size, 2, "kernel_size", who)
        self.strides = whole_numbers(strides, 2, "strides", who)
        self.padding = choice(padding, ("valid", "same"), "padding", who)
        self.data_format = config.normalize_data_format(data_format)
        self.dilation_rate = whole_numbers(dilation_rate, 2, "dilation_rate", who)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(f"{who} takes strides or a dilation_rate above 1, not both, but got {self.strides} and {self.dilation_rate}.")
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.unit_forget_bias = unit_forget_bias
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self._channels_last = self.data_format == "channels_last"

    @property
    def state_size(self) -> tuple[int, int]:
        """Channels of the two states."""
        return (self.filters, self.filters)

    @property
    def runs_whole(self) -> bool:
        """Whether `recurrence` says what `call` does: not where a subclass has its own `call`."""
        return type(self).call is ConvLSTM2DCell.call

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1 if self._channels_last else 1]
        if channels is None:
            raise ValueError(f"ConvLSTM2DCell '{self.name}' needs the number of channels, but got inputs of shape {tuple(input_shape)} a step.")
        wide = 4 * self.filters
        shape = (*self.kernel_size, channels, wide)
        self.add_weight("kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        shape = (*self.kernel_size, self.filters, wide)
        self.add_weight("recurrent_kernel", shape, None, self.recurrent_initializer, self.recurrent_regularizer, constraint=self.recurrent_constraint)
        if self.use_bias:
            start = forget_bias(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer
            self.add_weight("bias", (wide,), None, start, self.bias_regularizer, constraint=self.bias_constraint)
        else:
            self.register_parameter("bias_ih", None)

    def input_shape_from_state(self, state: Any) -> Any:
        if "weight_ih" not in state:
            return None
        channels = state["weight_ih"].shape[1]
        return (None, None, None, channels) if self._channels_last else (None, channels, None, None)

    def output_shape_of(self, step_shape: Any) -> tuple[Any, ...]:
        """Shape of a state for inputs of one step."""
        space = step_shape[1:3] if self._channels_last else step_shape[2:4]
        arguments = zip(space, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        sizes = [conv_output_length(size, window, self.padding, stride, rate) for size, window, stride, rate in arguments]
        return (step_shape[0], *sizes, self.filters) if self._channels_last else (step_shape[0], self.filters, *sizes)

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> list[Tensor]:
        """States of zeros for inputs (batch, height, width, channels) of one step.

        Raises:
            ValueError: no inputs, whose size the states depend on.
        """
        if inputs is None:
            raise ValueError(f"ConvLSTM2DCell '{self.name}' needs the inputs of a step to make its states: their height and width depend on it.")
        state = inputs.new_zeros(self.output_shape_of(inputs.shape))
        return [state, state]

    def _project(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        moved = inputs.permute(0, 3, 1, 2) if self._channels_last else inputs
        return convolve(moved, weight, bias, self.padding, self.strides, self.dilation_rate)

    def _project_dropped(self, inputs: Tensor, dropped: Tensor) -> Tensor:
        """The convolved inputs (batch, steps, ...) where each gate has a dropout mask of its own."""
        biases = [None] * 4 if self.bias_ih is None else self.bias_ih.chunk(4)
        by_gate = zip(dropped.unbind(1), self.weight_ih.chunk(4), biases, strict=True)
        parts = [self._project((inputs * mask.unsqueeze(1)).flatten(0, 1), weight, bias) for mask, weight, bias in by_gate]
        return torch.cat(parts, 1).unflatten(0, inputs.shape[:2])

    def step(self, weights: Weights) -> Any:
        """One step for `torchkeras.ops.recurrent`."""
        return partial(
            conv_lstm_step,
            weights=weights,
            activation=bare(self.activation),
            recurrent_activation=bare(self.recurrent_activation),
            channels_last=self._channels_last,
        )

    def recurrence(self, inputs: Tensor, training: bool) -> tuple[Recurrence, Tensor, tuple[Any, ...]]:
        """How a whole sequence (batch, steps, ...) runs: the recurrence, the inputs that it takes, the constants of its steps."""
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih)
        step = self.step(weights)
        constants: tuple[Any, ...] = ()
        if training and self.recurrent_dropout > 0:
            constants = (dropout_mask(inputs.new_ones(self.output_shape_of(inputs.shape[:1] + inputs.shape[2:])), self.recurrent_dropout, 4),)
        if training and self.dropout > 0:
            return Recurrence(step, by_row=True), self._project_dropped(inputs, dropout_mask(inputs[:, 0], self.dropout, 4)), constants
        over_all = self._over_steps(weights)
        return Recurrence(step, over_all, by_row=True), inputs, constants

    def _over_steps(self, weights: Weights) -> Any:
        def convolve_all(inputs: Tensor) -> Tensor:  # (slots, ...) or (batch, steps, ...)
            if inputs.dim() == 4:
                return self._project(inputs, weights.weight_ih, weights.bias_ih)
            return self._project(inputs.flatten(0, 1), weights.weight_ih, weights.bias_ih).unflatten(0, inputs.shape[:2])

        return convolve_all

    def call(self, inputs: Tensor, states: Any, training: bool | None = None) -> tuple[Tensor, list[Tensor]]:  # type: ignore[override]
        """One step: images (batch, height, width, channels) and [h, c] -> (output, [h, c])."""
        dropped = self._kept_mask("_dropout_mask", inputs, self.dropout, training, 4)
        state_dropped = self._kept_mask("_recurrent_dropout_mask", states[0], self.recurrent_dropout, training, 4)
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih)
        if dropped is None:
            projected = self._project(inputs, weights.weight_ih, weights.bias_ih)
        else:
            projected = self._project_dropped(inputs.unsqueeze(1), dropped).squeeze(1)
        output, new = self.step(weights)(projected, tuple(states), () if state_dropped is None else (state_dropped,))
        return output, list(new)


@layer_registry.add()
class ConvRNN2D(RNN):
    """A recurrent layer over sequences of images, made of a convolutional cell.

    Args:
        cell: A cell with `filters`, `kernel_size`, `strides`, `padding`, `dilation_rate`, `data_format` and `state_size` (channels of
            each state), whose states are images.
        return_sequences, return_state, go_backwards, stateful: See `RNN`.
        unroll: Must be False.

    Shape: (batch, steps, height, width, channels), or with the channels after the steps for "channels_first"

    Raises:
        TypeError: `unroll`, or a list of cells.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `ConvRNN2D`.
    """

    scopes_cell = False

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        if unroll:
            raise TypeError("Unrolling isn't possible with convolutional RNNs: leave unroll=False.")
        if isinstance(cell, (list, tuple)):
            raise TypeError("It is not possible to stack convolutional cells: stack layers with return_sequences=True.")
        super().__init__(cell, return_sequences, return_state, go_backwards, stateful, unroll, **kwargs)
        self.input_spec = InputSpec(ndim=5)

    def input_shape_from_state(self, state: Any) -> Any:
        shape = self.cell.input_shape_from_state({key.removeprefix("cell."): value for key, value in state.items()})
        return None if shape is None else (None, None, *shape[1:])

    def _zero_states(self, one_step: Tensor) -> list[Tensor]:
        if hasattr(self.cell, "get_initial_state"):
            return super()._zero_states(one_step)
        shape = list(ConvLSTM2DCell.output_shape_of(self.cell, one_step.shape))
        states = []
        for size in flat_sizes(cell_states(self.cell)):
            shape[self._channel_axis] = size
            states.append(one_step.new_zeros(shape))
        return states

    @property
    def _channel_axis(self) -> int:
        return 3 if self.cell.data_format == "channels_last" else 1

    def _size(self, size: Any) -> tuple[Any, ...]:
        return ("height", "width", size) if self._channel_axis == 3 else (size, "height", "width")

    def _fits(self, state: Tensor, size: Any) -> bool:
        return state.dim() == 4 and state.shape[self._channel_axis] == size


CONVOLUTIONAL = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "recurrent_activation", "use_bias"),
    *("kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias"),
    *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint"),
    *("dropout", "recurrent_dropout"),
)


@layer_registry.add()
@shows_of_cell(*CONVOLUTIONAL)
class ConvLSTM2D(ConvRNN2D):
    """Convolutional LSTM (Shi et al., 2015, without the feedback loop on the cell's output).

    Args:
        filters: Channels of the states and the output, at least 1.
        kernel_size: Height and width of both windows, a number or two.
        strides: Of the convolution of the inputs.
        padding: "valid" or "same", of the convolution of the inputs; that of the state always keeps its size.
        data_format: "channels_last", "channels_first", or `None`: the global setting.
        dilation_rate: Of the convolution of the inputs.
        activation: Of the candidate and of the carry on its way out.
        recurrent_activation: Of the gates.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        unit_forget_bias: Start the forget gate's bias with ones.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        return_sequences, return_state, go_backwards, stateful: See `RNN`.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state.

    Shape:
        inputs (batch, steps, height, width, channels), or channels after steps for "channels_first"
        -> (batch, [steps,] new height, new width, filters), or filters before the new height
        cell.weight_ih (4 * filters, channels, height, width), seen by Keras code as kernel (height, width, channels, 4 * filters)

    Raises:
        ValueError: an argument out of its range.
        TypeError: `unroll`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `ConvLSTM2D`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTM2DCell(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            **for_cell(kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        return {**self.config_without_cell(), **signature_config(self)}
