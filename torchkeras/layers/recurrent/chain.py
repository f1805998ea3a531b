"""Recurrent layers in a row, and an Embedding before them, run at once where nobody looks in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from torchkeras.layers.embeddings import Embedding
from torchkeras.layers.symbolic import in_trial
from torchkeras.ops.recurrent import run_chain


def run_in_a_row(layers: Sequence[Any], inputs: Tensor, mask: Any) -> tuple[Tensor, Any] | None:
    """Run layers on the outputs of one another.

    Args:
        layers: An Embedding or none, then `RNN` layers.
        inputs: Of the first one.
        mask: Of the inputs, or `None`.

    Returns:
        The last layer's output and its mask; `None` where the layers have to be called one by one: somebody waits for the calls
        (hooks), a layer keeps states or drops inputs, or nothing is to be gained.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or in_trial() or any(map(is_watched, layers)):
        return None
    links = [layer.as_link(last=layer is layers[-1]) for layer in layers if not isinstance(layer, Embedding)]
    if None in links:
        return None
    table, sparse = None, False
    head = layers[0]
    if isinstance(head, Embedding):
        if not _can_head(head, inputs):
            return None
        mask, table, sparse = head.compute_mask(inputs, mask), head.weight, head.sparse_gradients
        inputs = inputs if inputs.dtype in (torch.int64, torch.int32) else inputs.long()
    if inputs.dim() != (3 if table is None else 2) or inputs.shape[1] == 0:
        return None
    if mask is not None and (not isinstance(mask, Tensor) or mask.dtype is not torch.bool or mask.shape != inputs.shape[:2]):
        return None
    last = layers[-1]
    try:
        outputs = run_chain(
            links, inputs, mask, table=table, sparse=sparse, return_sequences=last.return_sequences, masked_output=last.rule_for_masked_steps
        )
    except IndexError:  # an id out of range, which the Embedding's own call names
        return None
    return None if outputs is None else (outputs, last.compute_mask(outputs, mask))


def is_watched(layer: nn.Module) -> bool:
    """Whether somebody waits for the calls of a layer, by hooks, or has put another function in their place."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks or _has_any_global_hook()
    return bool(hooks) or "forward" in layer.__dict__ or layer._compiled_call_impl is not None


def _can_head(head: Embedding, inputs: Tensor) -> bool:
    own = type(head)
    plain = own.call is Embedding.call and own.compute_mask is Embedding.compute_mask and own.forward is Embedding.forward
    return plain and head.built and not (head.checks_ids and inputs.device.type != "cpu")
