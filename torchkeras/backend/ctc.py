"""Connectionist temporal classification: the cost. Source: Graves et al. (2006); `decoding.py` has the way back."""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import config
from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.generations import choose
from torchkeras.layers.symbolic import in_trial

# stands for log(0): its exponential is 0 in every float type, and no gradient turns into NaN on the way
_LOG_ZERO: Final = -1e30


def log_probabilities(y_pred: Any) -> Tensor:
    """Logarithms of predictions, kept finite as the chosen release does."""
    epsilon = choose("backend.ctc_epsilon")
    return (as_tensor(y_pred) + (config.epsilon() if epsilon is None else epsilon)).log()


@recorded
def ctc_label_dense_to_sparse(labels: Any, label_lengths: Any) -> Tensor:
    """Labels as a sparse tensor; it waits for the device, since the number of labels depends on the data.

    Args:
        labels: (batch, longest) class ids.
        label_lengths: (batch,) number of ids in each row that count.
    """
    labels, lengths = as_tensor(labels), as_tensor(label_lengths)
    if in_trial():
        return torch.empty_like(labels)  # graphs know sparse tensors by their shape only
    counted = torch.arange(labels.shape[1], device=labels.device) < lengths.to(labels.device).reshape(-1, 1)
    return torch.sparse_coo_tensor(counted.nonzero().T, labels[counted], tuple(labels.shape), is_coalesced=True, check_invariants=False)


@recorded
def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Tensor:
    """Minus the log-probability of each text, over all ways to spread it over the steps; infinite where the steps are too few.

    Args:
        y_true: (batch, longest) class ids; the last class stands for "nothing new" and is no id.
        y_pred: (batch, steps, classes) probabilities; they are scaled to sum to 1.
        input_length: (batch, 1) number of steps that count.
        label_length: (batch, 1) number of ids that count.

    Shape: -> (batch, 1). Unit: nats.
    """
    scores = log_probabilities(y_pred)
    log_probs = torch.log_softmax(scores, -1).transpose(0, 1)  # (steps, batch, classes)
    targets = as_tensor(y_true).to(scores.device).long()
    steps, labels = (as_tensor(length).to(scores.device).long().reshape(-1) for length in (input_length, label_length))
    blank = scores.shape[-1] - 1
    if scores.device.type == "cpu" and not torch.compiler.is_compiling():
        cost = F.ctc_loss(log_probs, targets, steps, labels, blank=blank, reduction="none")
    else:
        cost = _cost(log_probs, targets, steps, labels, blank)
    return cost.unsqueeze(1)


def _cost(log_probs: Tensor, targets: Tensor, steps: Tensor, labels: Tensor, blank: int) -> Tensor:
    """The cost without a look at the lengths on the host: torch's kernel would wait for them there."""
    batch, longest = targets.shape
    width = 2 * longest + 1
    path = targets.new_full((batch, width), blank)
    path[:, 1::2] = targets.clamp(0, blank)
    # a label may follow the label before it without a blank between them, unless they are the same
    direct = torch.cat([torch.zeros_like(path[:, :2], dtype=torch.bool), (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])], dim=1)
    emitted = log_probs.gather(2, path.expand(log_probs.shape[0], -1, -1))
    start = torch.arange(width, device=path.device) < 2
    reached = torch.where(start, emitted[0], _LOG_ZERO)
    for number in range(1, log_probs.shape[0]):
        one, two = F.pad(reached, (1, 0), value=_LOG_ZERO)[:, :-1], F.pad(reached, (2, 0), value=_LOG_ZERO)[:, :width]
        ways = torch.stack([reached, one, torch.where(direct, two, _LOG_ZERO)])
        reached = torch.where((number < steps).unsqueeze(1), ways.logsumexp(0) + emitted[number], reached)
    last = (2 * labels).unsqueeze(1)
    before = torch.where(last > 0, reached.gather(1, (last - 1).clamp(min=0)), _LOG_ZERO)
    cost = -torch.logaddexp(reached.gather(1, last), before).squeeze(1)
    return torch.where(cost > -0.5 * _LOG_ZERO, torch.inf, cost)
