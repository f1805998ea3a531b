"""Recurrent layers one after the other: what a mask moves is moved once for all of them, and put back behind the last."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.ops.recurrent.choice import choose_cut, choose_form, cost_of_a_step
from torchkeras.ops.recurrent.kernels import run_stack
from torchkeras.ops.recurrent.order import StepOrder, every_step, known_lengths, remembered_order
from torchkeras.ops.recurrent.recurrence import Recurrence, finish, last_output, put_back, run_moved
from torchkeras.ops.recurrent.runs import lengths_on_host
from torchkeras.ops.recurrent.steps import States
from torchkeras.ops.recurrent.weights import Weights


class Link(NamedTuple):
    """One layer of a chain.

    Attributes:
        recurrence: How its cell runs; by row.
        units: Size of each state and of the output.
        states: Number of states, which start as zeros.
    """

    recurrence: Recurrence
    units: int
    states: int


def run_chain(
    links: Sequence[Link],
    inputs: Tensor,
    mask: Tensor | None = None,
    *,
    table: Tensor | None = None,
    sparse: bool = False,
    return_sequences: bool = True,
    masked_output: str = "output",
) -> Tensor | None:
    """Run layers on the outputs of one another, all steps of each.

    What a layer puts out at masked steps is not made between them: the next one passes over it.

    Args:
        links: The layers.
        inputs: (batch, steps, size); with a `table` (batch, steps), of ids.
        mask: (batch, steps), True where a step counts.
        table: (ids, size) the vectors to look up, at valid steps alone.
        sparse: Whether the table's gradient holds only the rows looked up.
        return_sequences: Whether the outputs of all steps are wanted, or the last alone.
        masked_output: What a masked step of the last layer puts out; see `run`.

    Returns:
        The outputs; `None` where nothing is to be gained, so that the layers should run one by one.
    """
    lengths = None if mask is None else lengths_on_host(mask, known_lengths(mask))
    if mask is None or (lengths is not None and min(lengths) == mask.shape[1]):
        if len(links) < 2 or not _are_alike(links, inputs):
            return None
        data = inputs if table is None else F.embedding(inputs, table, sparse=sparse)
        outputs, last = run_stack(str(links[0].recurrence.mode), data, None, _weights(links))
        return outputs if return_sequences else last[0][-1]
    form, order = _order(links, inputs if table is None else table, mask, lengths)
    if order is None:
        return None
    data = inputs.flatten(0, 1).index_select(0, order.source)
    if table is not None:
        data = F.embedding(data, table, sparse=sparse)
    parts, ended = _run_links(links, data, order, form, 0 if return_sequences else 1)
    initial = parts[0].new_zeros((inputs.shape[0], links[-1].units))
    if return_sequences:
        return put_back(parts, initial, order, masked_output)
    return last_output(finish(ended[:1], (initial,), order)[0], order, masked_output)


def _order(links: Sequence[Link], like: Tensor, mask: Tensor, lengths: list[int] | None) -> tuple[str, StepOrder | None]:
    """The form that is best for all layers, and the slots; no slots where there is no such form."""
    forms = {choose_form(link.recurrence.mode, like.dtype, mask, lengths) for link in links}
    form = forms.pop()
    if forms or form == "scan":
        return form, None
    sizes = [like.shape[-1], *(link.units for link in links)]
    cost = sum(cost_of_a_step(units, size) for size, units in pairwise(sizes)) / len(links)
    cut = every_step if form == "packed" else choose_cut(like, links[0].recurrence.mode, cost, lengths)
    return form, remembered_order(mask, lengths, cut, go_backwards=False)


def _run_links(links: Sequence[Link], data: Tensor, order: StepOrder, form: str, count: int) -> tuple[list[Tensor], States]:
    """The last layer's outputs in the slots, and its first `count` last states by descending length."""
    if form == "dense" and len(links) > 1 and _are_alike(links, data):
        return _run_alike(links, data, order, count)
    parts: list[Tensor] = []
    ended: States = ()
    for number, link in enumerate(links, 1):
        if parts:
            data = torch.cat(parts) if len(parts) > 1 else parts[0]
        start = (data.new_zeros((order.sizes[0][1], link.units)),) * link.states
        parts, ended = run_moved(link.recurrence, data, start, order, form, count if number == len(links) else 0)
    return parts, ended


def _run_alike(links: Sequence[Link], data: Tensor, order: StepOrder, count: int) -> tuple[list[Tensor], States]:
    """All layers in one call of a fused kernel for each block."""
    weights, states = _weights(links), None
    parts: list[Tensor] = []
    ended: list[Tensor] = []
    blocks = data.split([span * rows for span, rows in order.sizes])
    for (span, rows), block, ends in zip(order.sizes, blocks, order.ends, strict=True):
        if states is not None and rows < states[0].shape[1]:
            states = tuple(state[:, :rows] for state in states)
        outputs, states = run_stack(str(links[0].recurrence.mode), block.view(span, rows, -1), states, weights, batch_first=False)
        parts.append(outputs.reshape(span * rows, -1))
        if count:
            ended.append(parts[-1].index_select(0, ends))
    return parts, (torch.cat(ended[::-1]) if len(ended) > 1 else ended[0],) if count else ()


def _weights(links: Sequence[Link]) -> list[Weights]:
    return [link.recurrence.weights for link in links if link.recurrence.weights is not None]


def _are_alike(links: Sequence[Link], inputs: Tensor) -> bool:
    """Whether one call of a fused kernel runs all of them. cuDNN wants all weights of a call in one piece of memory; theirs are apart."""
    first = links[0].recurrence
    if inputs.device.type != "cpu" or first.mode is None or first.weights is None:
        return False
    units, bias = links[0].units, first.weights.bias_ih is None
    for link in links:
        own = link.recurrence
        if own.mode != first.mode or own.weights is None or link.units != units or (own.weights.bias_ih is None) != bias:
            return False
    return True
