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
    states: States,
    weights: Weights,
    *,
    batch_first: bool = True,
    batch_sizes: Tensor | None = None,
) -> tuple[Tensor, States]:
    """Run all steps in one kernel.

    Args:
        mode: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        inputs: The sequence.
        states: (h,), or (h, c) of an LSTM.
        weights: In torch's layout.
        batch_first: Whether `inputs` and outputs begin with the batch, else with the steps.
        batch_sizes: Rows alive at each step, on the CPU; then `inputs` is packed data as in `torch.nn.utils.rnn`.

    Shape:
        inputs (batch, steps, size), (steps, batch, size) or packed (valid steps, size); states (batch, units) each
        -> outputs of the same form with `units` last, and the last states
    """
    tracked = inputs.requires_grad or any(t is not None and t.requires_grad for t in (*weights, *states))
    options = (weights.bias_ih is not None, 1, 0.0, torch.is_grad_enabled() and tracked, False)  # cuDNN has a backward in training mode only
    start: Any = tuple(state.unsqueeze(0) for state in states)
    start = start if mode == "lstm" else start[0]
    kernel = _KERNELS[mode]
    if batch_sizes is None:
        outputs, *last = kernel(inputs, start, parameter_list(weights), *options, batch_first)
    else:
        outputs, *last = kernel(inputs, batch_sizes, start, parameter_list(weights), *options)
    return outputs, tuple(state.squeeze(0) for state in last)


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
