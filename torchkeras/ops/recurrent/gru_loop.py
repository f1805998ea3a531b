"""All steps of a GRU whose reset gate acts before the matrix product, and its gradient, written out: no fused kernel has it.

As in the loop of the LSTM, whatever does not depend on the step before is computed for all steps at once. A step takes six operations
on the way forth and seven on the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.ops.recurrent.lstm_loop import Curve, before, differentiable, last_of_rows
from torchkeras.ops.recurrent.scan import packed_scan
from torchkeras.ops.recurrent.steps import States, gru_step
from torchkeras.ops.recurrent.weights import Weights


def gru_loop(inputs: Tensor, states: States, sizes: Sequence[int], *, weights: Weights, curve: Curve, gate: Curve) -> tuple[Tensor, States]:
    """Run all steps.

    Args:
        inputs: The rows of each step one after the other.
        states: (h,) of the rows of the first step.
        sizes: Rows of each step; their number never grows.
        weights: In torch's layout, of which the second bias is left out.
        curve: The activation, without a scale.
        gate: The activation of the gates.

    Shape:
        inputs (slots, size); states (rows, units) -> (slots, units), and the last states
    """
    outputs, hidden = _Loop.apply(inputs, *weights[:3], states[0], tuple(sizes), curve, gate)
    return outputs, (hidden,)


class _Loop(torch.autograd.Function):
    """Gates come as r z n: those that open are in one piece, and so are those that a gradient reaches at once."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor | None,
        hidden: Tensor,
        sizes: tuple[int, ...],
        curve: Curve,
        gate: Curve,
    ) -> tuple[Tensor, Tensor]:
        units = hidden.shape[1]
        gates = F.linear(inputs, _scaled(weight_ih, units, gate), None if bias is None else _scaled(bias, units, gate))
        recurrent = _scaled(weight_hh, units, gate).t()
        for_gates, for_candidate = recurrent[:, : 2 * units].contiguous(), recurrent[:, 2 * units :].contiguous()
        outputs, kept = (gates.new_empty((len(gates), units)) for _ in range(2))
        views = (gates[:, : 2 * units], *gates.split(units, 1), outputs, kept)
        now = hidden
        for rows, opened, reset, update, candidate, h, part in zip(sizes, *(torch.split_with_sizes(view, sizes) for view in views), strict=True):
            old = now[:rows]
            opened.addmm_(old, for_gates)
            gate.write(opened, opened)
            torch.mul(reset, old, out=part)
            candidate.addmm_(part, for_candidate)
            curve.write(candidate, candidate)
            now = torch.lerp(candidate, old, update, out=h)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, bias, hidden, gates, outputs, kept)
        ctx.asked = sizes, curve, gate
        ctx.set_materialize_grads(False)
        return outputs, last_of_rows(outputs, sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        *given, gates, outputs, kept = ctx.saved_tensors
        sizes, curve, gate = ctx.asked
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted
            return (*_by_autograd(ctx, given, grads), None, None, None)
        inputs, weight_ih, weight_hh, _, hidden = given
        units = hidden.shape[1]
        reset, update, candidate = gates.split(units, 1)
        old = before(outputs, hidden, sizes)
        # at first the slope of what a gradient is handed over from: of r * h over the sum in r, of a step's output over those in z and n
        over_sums = torch.cat((old, old - candidate, 1 - update), 1)
        gate.slope(gates[:, : 2 * units], over_sums[:, : 2 * units])
        curve.slope(candidate, over_sums[:, 2 * units :])
        over_h = torch.zeros_like(hidden) if grads[1] is None else grads[1].clone()
        for_gates, for_candidate = weight_hh.split((2 * units, units))
        each = [None] * len(sizes) if grads[0] is None else grads[0].split(sizes)
        parts = (over_sums[:, : 2 * units], over_sums[:, units:].unflatten(1, (2, units)), *over_sums.split(units, 1)[::2], reset, update)
        steps = zip(sizes, each, *(torch.split_with_sizes(part, sizes) for part in parts), strict=True)
        for rows, own, opened, direct, for_reset, for_new, r, z in reversed(list(steps)):
            dh = over_h[:rows]
            if own is not None:
                dh.add_(own)
            direct.mul_(dh.unsqueeze(1))
            over_part = for_new @ for_candidate
            for_reset.mul_(over_part)
            dh.mul_(z).addcmul_(over_part, r).addmm_(opened, for_gates)
        wanted = ctx.needs_input_grad
        over_hh = None
        if wanted[2]:
            over_hh = torch.cat((over_sums[:, : 2 * units].t() @ old, over_sums[:, 2 * units :].t() @ kept))
        return (
            over_sums @ weight_ih if wanted[0] else None,
            over_sums.t() @ inputs if wanted[1] else None,
            over_hh,
            over_sums.sum(0) if wanted[3] else None,
            over_h,
            None,
            None,
            None,
        )


def _by_autograd(ctx: Any, inputs: Sequence[Any], grads: tuple[Tensor | None, ...]) -> list[Tensor | None]:
    """The gradients as autograd finds them, which can be differentiated again."""
    sizes, curve, gate = ctx.asked
    data, weight_ih, weight_hh, bias, hidden = inputs

    def step(now: Tensor, held: States, _: tuple[Any, ...]) -> tuple[Tensor, States]:
        weights = Weights(weight_ih, weight_hh)
        return gru_step(now, held, weights=weights, activation=curve.function, recurrent_activation=gate.function, reset_after=False)

    each, last = packed_scan(step, F.linear(data, weight_ih, bias).split(sizes), (hidden,))
    return differentiable(ctx, inputs, (torch.cat(each), *last), grads)


def _scaled(weight: Tensor, units: int, gate: Curve) -> Tensor:
    """The weights with those of the gates that open scaled."""
    if gate.scale == 1.0:
        return weight
    scaled = weight.clone()
    scaled[: 2 * units].mul_(gate.scale)
    return scaled
