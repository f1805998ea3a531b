"""`SimpleRNN`, `LSTM` and `GRU`: recurrent layers of one standard cell each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchkeras.generations import BY_GENERATION
from torchkeras.layers.base import layer_registry
from torchkeras.layers.config import signature_config
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from torchkeras.layers.recurrent.gated_cell import GatedCell
from torchkeras.layers.recurrent.rnn import RNN

C = TypeVar("C", bound=type)

COMMON = (
    "units",
    "activation",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "dropout",
    "recurrent_dropout",
)


def shows_of_cell(*names: str) -> Callable[[C], C]:
    """Decorator of a layer class: what its cell keeps can be read on the layer too."""

    def decorate(cls: C) -> C:
        for name in names:
            setattr(cls, name, property(partial(_of_cell, name=name), doc=f"The cell's `{name}`."))
        return cls

    return decorate


def _of_cell(layer: RNN, name: str) -> Any:
    return getattr(layer.cell, name)


class StandardRNN(RNN):
    """What the layers of a standard cell share: configs without the cell, weights under the names of `torch.nn.LSTM`."""

    cell: GatedCell
    config_omits = ("time_major",)  # RNN says it, where the release has it

    def __init__(self, cell: GatedCell, **kwargs: Any) -> None:
        super().__init__(cell, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    @property
    def weight_ih_l0(self) -> Tensor:
        """The input weights, (gates * units, size)."""
        return self.cell.weight_ih

    @property
    def weight_hh_l0(self) -> Tensor:
        """The recurrent weights, (gates * units, units)."""
        return self.cell.weight_hh

    @property
    def bias_ih_l0(self) -> Tensor | None:
        """The first bias, (gates * units,)."""
        return self.cell.weights_for_torch().bias_ih

    @property
    def bias_hh_l0(self) -> Tensor | None:
        """The second bias, (gates * units,): zeros where Keras has one."""
        return self.cell.weights_for_torch().bias_hh

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if f"{prefix}weight_ih_l0" in state_dict:
            self._take_torch_names(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _take_torch_names(self, state: dict[str, Tensor], prefix: str) -> None:
        """Turn the state of a `torch.nn.LSTM` (`GRU`, `RNN`) of one layer into this layer's; its two biases add up where Keras has one."""
        state[f"{prefix}cell.weight_ih"] = state.pop(f"{prefix}weight_ih_l0")
        state[f"{prefix}cell.weight_hh"] = state.pop(f"{prefix}weight_hh_l0")
        biases = [state.pop(f"{prefix}bias_{name}_l0") for name in ("ih", "hh") if f"{prefix}bias_{name}_l0" in state]
        if biases and self.cell.two_biases:
            state[f"{prefix}cell.bias_both"] = torch.stack(biases)
        elif biases:
            state[f"{prefix}cell.bias_ih"] = biases[0] + biases[1]

    def get_config(self) -> dict[str, Any]:
        return {**self.config_without_cell(), **signature_config(self)}

    def reset_dropout_mask(self) -> None:
        """Nothing to do: a layer draws new masks for each batch."""
        self.cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        """Nothing to do: a layer draws new masks for each batch."""
        self.cell.reset_recurrent_dropout_mask()


def for_cell(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What of a layer's general arguments its cell takes too."""
    return {name: kwargs[name] for name in ("dtype", "trainable") if name in kwargs}


@layer_registry.add()
@shows_of_cell(*COMMON)
class SimpleRNN(StandardRNN):
    """Fully connected recurrent layer: h = activation(x @ kernel + h @ recurrent_kernel + bias), h being the output.

    Args:
        units: Size of the state and the output, at least 1.
        activation: Name or callable; "tanh" and "relu" run in a fused kernel.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state; takes the fused kernel away.
        return_sequences, return_state, go_backwards, stateful, unroll: See `RNN`.
        **kwargs: `time_major`, `zero_output_for_mask`, `masked`: see `RNN`.

    Shape: inputs (batch, steps, size) -> (batch, units), or (batch, steps, units) with `return_sequences`

    Raises:
        ValueError: `units` is below 1, or inputs without three axes.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `SimpleRNN`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
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
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )


@layer_registry.add()
@shows_of_cell(*COMMON, "recurrent_activation", "unit_forget_bias", "implementation")
class LSTM(StandardRNN):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997).

    With "tanh" and "sigmoid" and without `recurrent_dropout` it runs in the fused kernel of cuDNN or oneDNN, with masks too; else in
    one loop over time.

    Args:
        units: Size of the states and the output, at least 1.
        activation: Of the candidate and of the carry on its way out.
        recurrent_activation: Of the gates: "sigmoid" (tf.keras), "hard_sigmoid" (Keras 2.2.4).
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        unit_forget_bias: Start the forget gate's bias with ones (Jozefowicz et al., 2015).
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state; takes the fused kernel away.
        implementation: 1 draws dropout masks for each gate, 2 for all gates together; the kernel is the same.
        return_sequences, return_state, go_backwards, stateful, time_major, unroll: See `RNN`.
        **kwargs: `zero_output_for_mask`, `masked`: see `RNN`.

    Shape:
        inputs (batch, steps, size) -> (batch, units), or (batch, steps, units) with `return_sequences`; states h and c, (batch, units) each
        cell.weight_ih (4 * units, size), cell.weight_hh (4 * units, units), cell.bias_ih (4 * units,), gates i f g o, as in torch.nn.LSTM,
        seen by Keras code as kernel (size, 4 * units), recurrent_kernel (units, 4 * units), bias (4 * units,)

    Raises:
        ValueError: `units` is below 1, or inputs without three axes.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `LSTM`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = BY_GENERATION,
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
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        implementation: int = BY_GENERATION,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        time_major: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = LSTMCell(
            units,
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
            implementation,
            **for_cell(kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            time_major=time_major,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )


@layer_registry.add()
@shows_of_cell(*COMMON, "recurrent_activation", "implementation", "reset_after")
class GRU(StandardRNN):
    """Gated recurrent unit (Cho et al., 2014).

    With "tanh" and "sigmoid", `reset_after` and without `recurrent_dropout` it runs in the fused kernel of cuDNN or ATen, with masks
    too; else in one loop over time.

    Args:
        units: Size of the state and the output, at least 1.
        activation: Of the candidate.
        recurrent_activation: Of the gates: "sigmoid" (tf.keras), "hard_sigmoid" (Keras 2.2.4).
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state; takes the fused kernel away.
        implementation: 1 draws dropout masks for each gate, 2 for all gates together; the kernel is the same.
        return_sequences, return_state, go_backwards, stateful, unroll, time_major: See `RNN`.
        reset_after: Whether the reset gate acts after the matrix product (tf.keras, cuDNN), with a bias of its own, or before it
            (Keras 2.2.4).
        **kwargs: `zero_output_for_mask`, `masked`: see `RNN`.

    Shape:
        inputs (batch, steps, size) -> (batch, units), or (batch, steps, units) with `return_sequences`; state (batch, units)
        cell.weight_ih (3 * units, size), cell.weight_hh (3 * units, units), gates r z n as in torch.nn.GRU, seen by Keras code as
        kernel (size, 3 * units), recurrent_kernel (units, 3 * units), gates z r h; bias (3 * units,), or (2, 3 * units) with `reset_after`

    Raises:
        ValueError: `units` is below 1, or inputs without three axes.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `GRU`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = BY_GENERATION,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        implementation: int = BY_GENERATION,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        time_major: bool = False,
        reset_after: bool = BY_GENERATION,
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            implementation,
            reset_after,
            **for_cell(kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            time_major=time_major,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
