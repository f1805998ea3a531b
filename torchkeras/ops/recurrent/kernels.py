"""The fused recurrent kernels behind `torch.nn.LSTM`, `GRU` and `RNN`: cuDNN, MIOpen, oneDNN or ATen's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.backends.cudnn.rnn import get_cudnn_mode

from torchkeras.ops.recurrent.weights import Weights

_KERNELS: Final[dict[str, Callable[..., Any]]] = {
    "lstm": torch.lstm,
    "gru": torch.gru,
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
}

States = tuple[Tensor, ...]


def run_fused(
    mode: str,
    inputs: Tensor,
    states: States | None,
    weights: Weights,
    *,
    batch_first: bool = True,
    batch_sizes: Tensor | None = None,
    backward_weights: Weights | None = None,
) -> tuple[Tensor, States]:
    """Run all steps in one kernel.

    Args:
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        inputs: The sequence.
        states: (h,), or (h, c) of an LSTM; `None`: zeros, not together with `batch_sizes`.
        weights: In torch's layout.
        batch_first: Whether `inputs` and outputs begin with the batch, else with the steps.
        batch_sizes: Rows alive at each step, on the CPU; then `inputs` is packed data as in `torch.nn.utils.rnn`.
        backward_weights: Those of a second layer that reads the sequence from its end.

    Shape:
        inputs (batch, steps, size), (steps, batch, size) or packed (valid steps, size); states (batch, units) each
        -> outputs of the same form with `units` last, and the last states
        With `backward_weights`: outputs with 2 * units last, all states (2, batch, units) each
    """
    _check_size(inputs, weights)
    parameters = parameter_list(weights)
    if backward_weights is not None:
        parameters += parameter_list(backward_weights)
    # cuDNN has a backward in training mode only
    train = torch.is_grad_enabled() and (inputs.requires_grad or any(t.requires_grad for t in (*parameters, *(states or ()))))
    start: Any
    if states is None:
        zeros = inputs.new_zeros((1 if backward_weights is None else 2, inputs.shape[0 if batch_first else 1], weights.units))
        start = (zeros, zeros) if mode == "lstm" else zeros
    else:
        start = states if backward_weights is not None else tuple(state.unsqueeze(0) for state in states)
        start = start if mode == "lstm" else start[0]
    options = (weights.bias_ih is not None, 1, 0.0, train, backward_weights is not None)
    if batch_sizes is None:
        outputs, *last = _KERNELS[mode](inputs, start, parameters, *options, batch_first)
    else:
        outputs, *last = _KERNELS[mode](inputs, batch_sizes, start, parameters, *options)
    return outputs, tuple(last) if backward_weights is not None else tuple(state.squeeze(0) for state in last)


def run_stack(mode: str, inputs: Tensor, states: States | None, weights: Sequence[Weights], *, batch_first: bool = True) -> tuple[Tensor, States]:
    """Run all steps of several layers of one kind in one kernel.

    Args:
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        inputs: The sequence.
        states: (h,), or (h, c) of LSTMs; `None`: zeros.
        weights: Those of each layer, all of one number of units, with biases or all without.
        batch_first: Whether `inputs` and outputs begin with the batch, else with the steps.

    Shape:
        inputs (batch, steps, size) or (steps, batch, size); states (layers, batch, units) each
        -> the last layer's outputs with `units` last, and the last states (layers, batch, units)
    """
    _check_size(inputs, weights[0])
    parameters = [tensor for each in weights for tensor in parameter_list(each)]
    train = torch.is_grad_enabled() and (inputs.requires_grad or any(t.requires_grad for t in (*parameters, *(states or ()))))
    if states is None:
        zeros = inputs.new_zeros((len(weights), inputs.shape[0 if batch_first else 1], weights[0].units))
        states = (zeros, zeros) if mode == "lstm" else (zeros,)
    start: Any = states if mode == "lstm" else states[0]
    outputs, *last = _KERNELS[mode](inputs, start, parameters, weights[0].bias_ih is not None, len(weights), 0.0, train, False, batch_first)
    return outputs, tuple(last)


def _check_size(inputs: Tensor, weights: Weights) -> None:
    # oneDNN does not: it reads on into other memory
    if inputs.shape[-1] != weights.weight_ih.shape[1]:
        raise RuntimeError(f"A recurrent kernel for inputs of size {weights.weight_ih.shape[1]} got inputs of shape {tuple(inputs.shape)}.")


def parameter_list(weights: Weights) -> list[Tensor]:
    """The weights as the kernels take them: two biases or none."""
    ih, hh, bias_ih, bias_hh = weights
    if bias_ih is None:
        return [ih, hh]
    return [ih, hh, bias_ih, torch.zeros_like(bias_ih) if bias_hh is None else bias_hh]


def flatten_weights(mode: str, tensors: Sequence[Tensor]) -> bool:
    """Lay the weights of a layer side by side in memory, as cuDNN wants them, so that no call has to copy them.

    Args:
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        tensors: weight_ih, weight_hh and, where there are biases, bias_ih and bias_hh; their memory is moved in place.

    Returns:
        Whether it was done: it is not on the CPU, nor for types that cuDNN does not take.
    """
    ih, hh = tensors[0], tensors[1]
    apart = len({t.data_ptr() for t in tensors}) == len(tensors)
    if not (apart and all(t.is_cuda and t.dtype is ih.dtype and torch.backends.cudnn.is_acceptable(t) for t in tensors)):
        return False
    with torch.cuda.device_of(ih), torch.no_grad():
        if torch._use_cudnn_rnn_flatten_weight():
            torch._cudnn_rnn_flatten_weight(list(tensors), len(tensors), ih.shape[1], get_cudnn_mode(mode.upper()), hh.shape[1], 0, 1, True, False)
    return True
