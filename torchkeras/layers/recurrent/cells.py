"""`SimpleRNNCell`, `LSTMCell` and `GRUCell`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from torchkeras import activations, generations
from torchkeras.generations import BY_GENERATION
from torchkeras.layers.base import layer_registry
from torchkeras.layers.recurrent.gated_cell import GatedCell, bare
from torchkeras.layers.recurrent.layouts import GateBias, GateKernel
from torchkeras.ops.recurrent import HARD_SIGMOID, LINEAR, RELU, SIGMOID, TANH, Weights, gru_loop, gru_step, lstm_loop, lstm_step, simple_rnn_step

_CURVES: dict[Any, Any] = {activations.tanh: TANH, activations.relu: RELU, activations.linear: LINEAR}
_GATE_CURVES: dict[Any, Any] = {activations.sigmoid: SIGMOID, activations.hard_sigmoid: HARD_SIGMOID}


@layer_registry.add()
class SimpleRNNCell(GatedCell):
    """One step of a fully connected recurrent layer: h = activation(x @ kernel + h @ recurrent_kernel + bias).

    Args:
        units: Size of the state and the output, at least 1.
        activation: Name or callable.
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state.

    Shape: inputs (batch, size), states [(batch, units)] -> (batch, units), [(batch, units)]

    Raises:
        ValueError: `units` is below 1.

    Source: tf.keras 2.4.0 `SimpleRNNCell`.
    """

    kind = "rnn_tanh"

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
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
            **kwargs,
        )

    def fused_mode(self) -> str | None:
        return "rnn_tanh" if bare(self.activation) is torch.tanh else "rnn_relu" if bare(self.activation) is torch.relu else None

    def step(self, weights: Weights) -> Any:
        return partial(simple_rnn_step, weights=weights, activation=bare(self.activation))


@layer_registry.add()
class LSTMCell(GatedCell):
    """One step of a long short-term memory (Hochreiter & Schmidhuber, 1997).

    Args:
        units: Size of the states and the output, at least 1.
        activation: Of the candidate and of the carry on its way out.
        recurrent_activation: Of the gates: "sigmoid" (tf.keras), "hard_sigmoid" (Keras 2.2.4).
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        unit_forget_bias: Start the forget gate's bias with ones (Jozefowicz et al., 2015).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state.
        implementation: 1 draws dropout masks for each gate, 2 for all gates together; the kernel is the same.

    Shape: inputs (batch, size), states [h, c], (batch, units) each -> (batch, units), [h, c]

    Raises:
        ValueError: `units` is below 1.

    Source: tf.keras 2.4.0 `LSTMCell`.
    """

    kind, states = "lstm", 2

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        implementation: int = BY_GENERATION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
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
            **kwargs,
        )
        self.recurrent_activation = activations.get(generations.resolve(recurrent_activation, "lstm.recurrent_activation"))
        self.unit_forget_bias = unit_forget_bias
        self.implementation = chosen_implementation(implementation, self.recurrent_dropout)

    def start_of_bias(self) -> Any:
        return forget_bias(self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    @property
    def masks_by_gate(self) -> bool:
        return self.implementation != 2

    def fused_mode(self) -> str | None:
        return "lstm" if bare(self.activation) is torch.tanh and bare(self.recurrent_activation) is torch.sigmoid else None

    def step(self, weights: Weights) -> Any:
        return partial(lstm_step, weights=weights, activation=bare(self.activation), recurrent_activation=bare(self.recurrent_activation))

    def loop(self, weights: Weights) -> Any:
        curve, gate = _CURVES.get(self.activation), _GATE_CURVES.get(self.recurrent_activation)
        return None if curve is None or gate is None else partial(lstm_loop, weights=weights, curve=curve, gate=gate)


@layer_registry.add()
class GRUCell(GatedCell):
    """One step of a gated recurrent unit (Cho et al., 2014).

    Args:
        units: Size of the state and the output, at least 1.
        activation: Of the candidate.
        recurrent_activation: Of the gates: "sigmoid" (tf.keras), "hard_sigmoid" (Keras 2.2.4).
        use_bias: Whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        dropout: Fraction of the inputs dropped, 0 to 1, the same ones at every step.
        recurrent_dropout: The same of the state.
        implementation: 1 draws dropout masks for each gate, 2 for all gates together; the kernel is the same.
        reset_after: Whether the reset gate acts after the matrix product (tf.keras, cuDNN), with a bias of its own, or
            before it (Keras 2.2.4).

    Shape: inputs (batch, size), states [(batch, units)] -> (batch, units), [(batch, units)]

    Raises:
        ValueError: `units` is below 1.

    Source: tf.keras 2.4.0 `GRUCell`.
    """

    kind = "gru"

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        implementation: int = BY_GENERATION,
        reset_after: bool = BY_GENERATION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
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
            **kwargs,
        )
        self.recurrent_activation = activations.get(generations.resolve(recurrent_activation, "gru.recurrent_activation"))
        self.reset_after = bool(generations.resolve(reset_after, "gru.reset_after"))
        self.implementation = chosen_implementation(implementation, self.recurrent_dropout)
        self.two_biases = self.reset_after
        bias = "bias_both" if self.two_biases else "bias_ih"
        self.keras_weights = {  # type: ignore[misc]
            "kernel": ("weight_ih", GateKernel()),
            "recurrent_kernel": ("weight_hh", GateKernel()),
            "bias": (bias, GateBias()),
        }

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    @property
    def masks_by_gate(self) -> bool:
        return self.implementation != 2

    def fused_mode(self) -> str | None:
        standard = bare(self.activation) is torch.tanh and bare(self.recurrent_activation) is torch.sigmoid
        return "gru" if standard and self.reset_after else None

    def step(self, weights: Weights) -> Any:
        return partial(
            gru_step,
            weights=weights,
            activation=bare(self.activation),
            recurrent_activation=bare(self.recurrent_activation),
            reset_after=self.reset_after,
        )

    def loop(self, weights: Weights) -> Any:
        curve, gate = _CURVES.get(self.activation), _GATE_CURVES.get(self.recurrent_activation)
        return None if self.reset_after or curve is None or gate is None else partial(gru_loop, weights=weights, curve=curve, gate=gate)


def forget_bias(initializer: Callable[..., Tensor], *, sets: int = 1) -> Callable[..., Tensor]:
    """An initializer of LSTM biases whose last forget gate is filled with ones.

    Args:
        initializer: Of all the others.
        sets: Biases of four gates that follow one another.
    """

    def start(shape: Any, dtype: Any = None) -> Tensor:
        units = shape[0] // (4 * sets)
        before = (4 * (sets - 1) + 1) * units
        parts = [torch.as_tensor(initializer((before,), dtype=dtype)), torch.ones(units, dtype=dtype)]
        return torch.cat([*parts, torch.as_tensor(initializer((2 * units,), dtype=dtype))])

    return start


def chosen_implementation(implementation: Any, recurrent_dropout: float) -> int:
    """The implementation asked for; tf.keras falls back to 1 where `recurrent_dropout` wants a mask for each gate."""
    chosen = int(generations.resolve(implementation, "rnn.implementation"))
    return 1 if recurrent_dropout and generations.choose("rnn.gate_dropout") else chosen
