"""`CuDNNLSTM` and `CuDNNGRU`: the names that Keras has for layers with the arithmetic of cuDNN; here they run on any device."""

from __future__ import annotations

from typing import Any

from torchkeras.layers.base import layer_registry
from torchkeras.layers.recurrent.cells import GRUCell, LSTMCell, forget_bias
from torchkeras.layers.recurrent.layouts import CudnnBias, CudnnKernel
from torchkeras.layers.recurrent.standard import StandardRNN, for_cell, shows_of_cell

KEPT = (
    *("units", "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer", "recurrent_regularizer"),
    *("bias_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint"),
)


def _cudnn_weights(kind: str) -> dict[str, Any]:
    return {"kernel": ("weight_ih", CudnnKernel(kind)), "recurrent_kernel": ("weight_hh", CudnnKernel(kind)), "bias": ("bias_both", CudnnBias(kind))}


class CudnnRNN(StandardRNN):
    """What the two layers share: configs without what cuDNN lacks."""

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in ("unroll", "time_major") or value}


class CuDNNLSTMCell(LSTMCell):
    """The cell of `CuDNNLSTM`: tanh, sigmoid and two biases, all trained."""

    keras_weights = _cudnn_weights("lstm")
    two_biases = True

    def bias_shape(self) -> tuple[int, ...]:
        return (8 * self.units,)

    def start_of_bias(self) -> Any:
        return forget_bias(self.bias_initializer, sets=2) if self.unit_forget_bias else self.bias_initializer


class CuDNNGRUCell(GRUCell):
    """The cell of `CuDNNGRU`: tanh, sigmoid, `reset_after` and two biases."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keras_weights = _cudnn_weights("gru")  # type: ignore[misc]

    def bias_shape(self) -> tuple[int, ...]:
        return (6 * self.units,)


@layer_registry.add()
@shows_of_cell(*KEPT, "unit_forget_bias")
class CuDNNLSTM(CudnnRNN):
    """An LSTM with tanh, sigmoid and two biases, on any device.

    Its Keras weights have cuDNN's form, as in Keras' own class: the blocks of `kernel` and `recurrent_kernel` hold torch's rows, `bias` both
    biases one after the other.

    Args:
        units: Size of the states and the output, at least 1.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        unit_forget_bias: Start the forget gate's second bias with ones.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        return_sequences, return_state, go_backwards, stateful: See `RNN`.

    Shape: as `LSTM`; bias (8 * units,)

    Source: Keras 2.2.4 `CuDNNLSTM`.
    """

    def __init__(
        self,
        units: int,
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
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = CuDNNLSTMCell(
            units,
            recurrent_activation="sigmoid",
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            **for_cell(kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )


@layer_registry.add()
@shows_of_cell(*KEPT)
class CuDNNGRU(CudnnRNN):
    """A GRU with tanh, sigmoid, `reset_after` and two biases, on any device.

    Its Keras weights have cuDNN's form, as in Keras' own class: see `CuDNNLSTM`.

    Args:
        units: Size of the state and the output, at least 1.
        kernel_initializer, recurrent_initializer, bias_initializer: How the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: Applied after each update.
        return_sequences, return_state, go_backwards, stateful: See `RNN`.

    Shape: as `GRU`; bias (6 * units,)

    Source: Keras 2.2.4 `CuDNNGRU`.
    """

    def __init__(
        self,
        units: int,
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
        return_sequences: bool = False,
        return_state: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = CuDNNGRUCell(
            units,
            recurrent_activation="sigmoid",
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            reset_after=True,
            **for_cell(kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
