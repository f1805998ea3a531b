"""What the standard recurrent cells share: one time step as a layer, and how a whole sequence of such steps runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.recurrent.dropout import CellDropout, dropout_mask
from torchkeras.ops.recurrent import GATES, Recurrence, Weights, flatten_weights, project

# what the library's own activations come down to inside a loop, where nobody looks for logits
_BARE: dict[Any, Callable[[Tensor], Tensor]] = {
    activations.tanh: torch.tanh,
    activations.sigmoid: torch.sigmoid,
    activations.relu: torch.relu,
    activations.hard_sigmoid: lambda x: F.hardsigmoid(x * 1.2),  # of slope 1/6; loops of Keras 2 cannot be differentiated twice either
}


def bare(activation: Any) -> Callable[[Tensor], Tensor]:
    """An activation without the bookkeeping that only a layer's output needs."""
    return _BARE.get(activation, activation)


@layer_registry.add()
class AbstractRNNCell(Layer):
    """Base for a cell of one's own: give it `state_size`, `output_size` and `call(inputs, states)`.

    `call` takes the inputs of one step (batch, ...) and the list of states, and returns (output, new states).

    Source: tf.keras 2.4.0 `AbstractRNNCell`.
    """

    def call(self, inputs: Any, states: Any) -> Any:  # type: ignore[override]
        raise NotImplementedError(f"Cell '{self.name}' ({type(self).__name__}) needs call(inputs, states), which returns (output, new states).")

    @property
    def state_size(self) -> Any:
        """Size of the state, or a list of them; torch.Size for a state with several axes."""
        raise NotImplementedError(f"Cell '{self.name}' ({type(self).__name__}) needs state_size: the size of its state, or a list of sizes.")

    @property
    def output_size(self) -> Any:
        """Size of the output."""
        raise NotImplementedError(f"Cell '{self.name}' ({type(self).__name__}) needs output_size: the size of its output.")

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """States of zeros for a batch."""
        return zero_states(self.state_size, inputs, batch_size, dtype)


def zero_states(state_size: Any, inputs: Tensor | None, batch_size: int | None, dtype: Any, device: Any = None) -> Any:
    """Zeros of each size: (batch, size) or (batch, *sizes) for a torch.Size; nested as the sizes are."""
    if isinstance(state_size, (list, tuple)) and not isinstance(state_size, torch.Size):
        return [zero_states(size, inputs, batch_size, dtype, device) for size in state_size]
    shape = tuple(state_size) if isinstance(state_size, torch.Size) else (int(state_size),)
    if inputs is not None:
        return inputs.new_zeros((inputs.shape[0], *shape))
    torch_dtype = dtype if isinstance(dtype, torch.dtype) or dtype is None else getattr(torch, str(dtype))
    return torch.zeros((int(batch_size or 0), *shape), dtype=torch_dtype, device=device)


class GatedCell(CellDropout):
    """What SimpleRNN, LSTM and GRU cells share: weights in torch's layout, dropout masks, fused kernels.

    Weights are `weight_ih`, `weight_hh`, `bias_ih` (and `bias_hh`), as in `torch.nn.LSTMCell`; Keras code sees `kernel`,
    `recurrent_kernel` and `bias`.
    """

    keras_weights = {"kernel": ("weight_ih", layouts.dense), "recurrent_kernel": ("weight_hh", layouts.dense), "bias": ("bias_ih", layouts.as_is)}
    kind: ClassVar[str]
    states: ClassVar[int] = 1
    two_biases: bool = False  # kept as the rows of one Parameter, `bias_both`
    resolves_training = True

    def __init__(
        self,
        units: int,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if int(units) < 1:
            raise ValueError(f"{type(self).__name__} '{self.name}' needs units of at least 1, but got {units!r}.")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.input_spec = None

    @property
    def gates(self) -> int:
        """Blocks of `units` columns in the weights."""
        return GATES[self.kind]

    @property
    def runs_whole(self) -> bool:
        """Whether `recurrence` says what `call` does: not where a subclass has its own `call`."""
        return type(self).call is GatedCell.call

    @property
    def state_size(self) -> Any:
        """`units`, or that for each of several states."""
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        """`units`."""
        return self.units

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """States of zeros for a batch."""
        return zero_states(self.state_size, inputs, batch_size, dtype)

    # -- weights

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1]
        if size is None:
            raise ValueError(f"{type(self).__name__} '{self.name}' needs the size of the inputs' last axis, but got the shape {tuple(input_shape)}.")
        wide = self.gates * self.units
        self.add_weight("kernel", (size, wide), None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        self.add_weight(
            "recurrent_kernel", (self.units, wide), None, self.recurrent_initializer, self.recurrent_regularizer, constraint=self.recurrent_constraint
        )
        if self.use_bias:
            self.add_weight("bias", self.bias_shape(), None, self.start_of_bias(), self.bias_regularizer, constraint=self.bias_constraint)
            if not self.two_biases:
                # torch's kernels take two biases; Keras trains one
                with torch.inference_mode(False):
                    self.register_buffer("bias_hh", torch.zeros_like(self.bias_ih), persistent=False)
        else:
            for name in ("bias", "bias_ih", "bias_hh"):
                self.register_parameter(name, None)
        self._lay_out()

    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias as Keras has it."""
        return (self.gates * self.units,)

    def start_of_bias(self) -> Any:
        """What the bias is filled with at first."""
        return self.bias_initializer

    def weights_for_torch(self) -> Weights:
        """The weights as torch's kernels take them."""
        if self.two_biases and self.use_bias:
            return Weights(self._weight("weight_ih"), self._weight("weight_hh"), *self._weight("bias_both").unbind())
        bias = self._weight("bias_ih") if self.use_bias else None
        return Weights(self._weight("weight_ih"), self._weight("weight_hh"), bias, self._buffers.get("bias_hh"))

    def _weight(self, name: str) -> Tensor:
        """A weight, past nn.Module's way to an attribute, which is slow beside a small kernel; parametrized weights need that way."""
        kept = self._parameters.get(name)
        return getattr(self, name) if kept is None else kept

    def _lay_out(self) -> None:
        """Put the weights side by side in the memory of a GPU, as cuDNN wants them."""
        if not self.weight_ih.is_cuda:
            return
        both = self._parameters.get("bias_both")
        biases: list[Any] = [self.bias_ih, self.bias_hh] if both is None else [row.detach().clone() for row in both]
        laid = flatten_weights(self.kind, [tensor for tensor in (self.weight_ih, self.weight_hh, *biases) if tensor is not None])
        if laid and both is not None and biases[1].data_ptr() - biases[0].data_ptr() == biases[0].nbytes:
            both.data = biases[0].as_strided(both.shape, (both.shape[1], 1))  # the rows of one Parameter, where cuDNN looks for two

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        if self.built:
            self._lay_out()
        return self

    def input_shape_from_state(self, state: Any) -> Any:
        return (None, state["weight_ih"].shape[1]) if "weight_ih" in state else None

    # -- computing

    def fused_mode(self) -> str | None:
        """The mode of torch's fused kernel that computes what this cell does, if there is one."""
        raise NotImplementedError

    def step(self, weights: Weights) -> Any:
        """One step for `torchkeras.ops.recurrent`."""
        raise NotImplementedError

    def loop(self, weights: Weights) -> Any:
        """All steps with a gradient that is written out, for `torchkeras.ops.recurrent`; `None` where there is no such thing."""
        return None

    @property
    def masks_by_gate(self) -> bool:
        """Whether dropout draws a mask for each gate, or one for all."""
        return False

    def recurrence(self, inputs: Tensor, training: bool) -> tuple[Recurrence, Tensor, tuple[Any, ...]]:
        """How a whole sequence runs.

        Args:
            inputs: (batch, steps, size).
            training: Whether dropout acts.

        Returns:
            The recurrence, the inputs that it takes, the constants of its steps.
        """
        count = self.gates if self.masks_by_gate else 1
        dropped = dropout_mask(inputs[:, 0], self.dropout, count) if training and self.dropout > 0 else None
        state_dropped = None
        if training and self.recurrent_dropout > 0:
            state_dropped = dropout_mask(inputs.new_ones((inputs.shape[0], self.units)), self.recurrent_dropout, count)
        return self._recurrence(inputs, dropped, state_dropped)

    def kernel_mode(self, training: bool) -> str | None:
        """The mode of the fused kernel that runs a whole sequence by itself now, if there is one."""
        drops = training and (self.dropout > 0 or self.recurrent_dropout > 0)
        return None if drops or not self.runs_whole else self.fused_mode()

    def plain_recurrence(self, training: bool) -> Recurrence | None:
        """How a whole sequence runs where nothing is dropped; `None`: something is, or a subclass has its own `call`."""
        if not self.runs_whole or (training and (self.dropout > 0 or self.recurrent_dropout > 0)):
            return None
        weights, mode = self.weights_for_torch(), self.fused_mode()
        if mode is not None:
            return Recurrence.fused(mode, weights)
        return Recurrence(self.step(weights), partial(project, weights=weights), by_row=True, loop=self.loop(weights))

    def _recurrence(self, inputs: Tensor, dropped: Tensor | None, state_dropped: Tensor | None) -> tuple[Recurrence, Tensor, tuple[Any, ...]]:
        weights = self.weights_for_torch()
        constants = () if state_dropped is None else (state_dropped,)
        if dropped is not None and dropped.shape[1] > 1:
            return Recurrence(self.step(weights), by_row=True), project(inputs, weights, dropped), constants
        if dropped is not None:
            inputs = inputs * dropped
        mode = self.fused_mode() if state_dropped is None else None
        if mode is not None:
            return Recurrence.fused(mode, weights), inputs, constants
        return Recurrence(self.step(weights), partial(project, weights=weights), by_row=True, loop=self.loop(weights)), inputs, constants

    def call(self, inputs: Tensor, states: Any, training: bool | None = None) -> tuple[Tensor, list[Tensor]]:  # type: ignore[override]
        """One step: inputs (batch, size) and the list of states (batch, units) -> (output, [new states])."""
        given = list(states) if isinstance(states, (list, tuple)) else [states]
        count = self.gates if self.masks_by_gate else 1
        dropped = self._kept_mask("_dropout_mask", inputs, self.dropout, training, count)
        state_dropped = self._kept_mask("_recurrent_dropout_mask", given[0], self.recurrent_dropout, training, count)
        weights = self.weights_for_torch()
        projected = project(inputs.unsqueeze(1), weights, dropped).squeeze(1)
        output, new = self.step(weights)(projected, tuple(given), () if state_dropped is None else (state_dropped,))
        return output, list(new)
