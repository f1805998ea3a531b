"""A slow, literal reading of Keras' masked loop, in Keras' layouts: what the library must equal."""

from __future__ import annotations

import torch

STATES = {"lstm": 2, "gru": 1, "gru_before": 1, "rnn_tanh": 1, "rnn_relu": 1}
GATES = {"lstm": 4, "gru": 3, "gru_before": 3, "rnn_tanh": 1, "rnn_relu": 1}


def keras_weights(mode, size, units, dtype=torch.float64, bias=True):
    """Random weights (kernel, recurrent_kernel, bias) in Keras' layout."""
    wide = GATES[mode] * units
    shapes = [(size, wide), (units, wide)]
    if bias:
        shapes.append((2, wide) if mode == "gru" else (wide,))
    weights = [(torch.randn(shape, dtype=dtype) * 0.5).requires_grad_() for shape in shapes]
    return weights if bias else [*weights, None]


def one_step(mode, x, states, kernel, recurrent, bias):
    """One row, one step, gate by gate: x (size,), states (units,)."""
    h = states[0]
    units = h.shape[0]
    column = [slice(n * units, (n + 1) * units) for n in range(GATES[mode])]
    if mode == "gru":
        b_in, b_rec = bias if bias is not None else (torch.zeros(3 * units, dtype=x.dtype),) * 2
        z = torch.sigmoid(x @ kernel[:, column[0]] + b_in[column[0]] + h @ recurrent[:, column[0]] + b_rec[column[0]])
        r = torch.sigmoid(x @ kernel[:, column[1]] + b_in[column[1]] + h @ recurrent[:, column[1]] + b_rec[column[1]])
        hh = torch.tanh(x @ kernel[:, column[2]] + b_in[column[2]] + r * (h @ recurrent[:, column[2]] + b_rec[column[2]]))
        return [z * h + (1 - z) * hh]
    b = bias if bias is not None else torch.zeros(kernel.shape[1], dtype=x.dtype)
    if mode == "gru_before":
        z = torch.sigmoid(x @ kernel[:, column[0]] + b[column[0]] + h @ recurrent[:, column[0]])
        r = torch.sigmoid(x @ kernel[:, column[1]] + b[column[1]] + h @ recurrent[:, column[1]])
        hh = torch.tanh(x @ kernel[:, column[2]] + b[column[2]] + (r * h) @ recurrent[:, column[2]])
        return [z * h + (1 - z) * hh]
    if mode == "lstm":
        i, f, g, o = (x @ kernel[:, c] + h @ recurrent[:, c] + b[c] for c in column)
        c = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c), c]
    activation = torch.tanh if mode == "rnn_tanh" else torch.relu
    return [activation(x @ kernel + h @ recurrent + b)]


def masked_loop(mode, x, states, weights, mask=None, go_backwards=False, masked_output="output"):
    """All rows, one after the other: (last, outputs, states), the outputs in the order of processing."""
    batch, steps = x.shape[:2]
    rows, finals = [], []
    for b in range(batch):
        now = [state[b] for state in states]
        outputs = []
        times = range(steps - 1, -1, -1) if go_backwards else range(steps)
        for t in times:
            if mask is None or mask[b, t]:
                now = one_step(mode, x[b, t], now, *weights)
                outputs.append(now[0])
            elif masked_output == "state":
                outputs.append(now[0])
            elif masked_output == "zeros" or not outputs:
                outputs.append(torch.zeros_like(now[0]))
            else:
                outputs.append(outputs[-1])
        rows.append(torch.stack(outputs))
        finals.append(now)
    outputs = torch.stack(rows)
    return outputs[:, -1], outputs, tuple(torch.stack(each) for each in zip(*finals, strict=True))
