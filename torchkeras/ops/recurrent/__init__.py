"""Recurrence on tensors: fused kernels, loops over time, masks of any pattern."""

from torchkeras.ops.recurrent.both import Both, run_both
from torchkeras.ops.recurrent.chain import Link, run_chain
from torchkeras.ops.recurrent.convolution import conv_lstm_step, convolve
from torchkeras.ops.recurrent.counts import hand_on_counts, note_count, with_noted_count
from torchkeras.ops.recurrent.gru_loop import gru_loop
from torchkeras.ops.recurrent.kernels import flatten_weights, run_fused
from torchkeras.ops.recurrent.lstm_loop import HARD_SIGMOID, LINEAR, RELU, SIGMOID, TANH, lstm_loop
from torchkeras.ops.recurrent.order import StepOrder, known_lengths, order_steps, set_known_lengths
from torchkeras.ops.recurrent.recurrence import Recurrence
from torchkeras.ops.recurrent.runs import FORMS, MASKED_OUTPUTS, Result, run
from torchkeras.ops.recurrent.scan import masked_scan, packed_scan, scan
from torchkeras.ops.recurrent.steps import gru_step, lstm_step, project, simple_rnn_step
from torchkeras.ops.recurrent.weights import GATES, Weights, swap_gates, weights_from_keras, weights_to_keras

__all__ = [
    "FORMS",
    "GATES",
    "HARD_SIGMOID",
    "LINEAR",
    "MASKED_OUTPUTS",
    "RELU",
    "SIGMOID",
    "TANH",
    "Both",
    "Link",
    "Recurrence",
    "Result",
    "StepOrder",
    "Weights",
    "conv_lstm_step",
    "convolve",
    "flatten_weights",
    "gru_loop",
    "gru_step",
    "hand_on_counts",
    "known_lengths",
    "lstm_loop",
    "lstm_step",
    "masked_scan",
    "note_count",
    "order_steps",
    "packed_scan",
    "project",
    "run",
    "run_both",
    "run_chain",
    "run_fused",
    "scan",
    "set_known_lengths",
    "simple_rnn_step",
    "swap_gates",
    "weights_from_keras",
    "weights_to_keras",
    "with_noted_count",
]
