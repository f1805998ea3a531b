"""All steps of an LSTM, and its gradient, written out: for activations that the fused kernels lack.

Autograd would record a dozen operations and more a step. Here a step takes seven on the way forth and five on the way back, since
whatever does not depend on the step before is computed for all steps at once: the slopes of the activations, and the gradient of
the recurrent weights in one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras.ops.recurrent.scan import packed_scan
from torchkeras.ops.recurrent.steps import Activation, States, lstm_gates
from torchkeras.ops.recurrent.weights import Weights

_hardsigmoid = torch._C._nn.hardsigmoid  # the one that can write into a given tensor


class Curve(NamedTuple):
    """An activation, and its slope as a function of its output.

    Attributes:
        function: The activation as autograd takes it, twice.
        write: (scaled input, where to).
        slope: (output, factor): multiplies the factor in place.
        scale: What the input is multiplied with first.
    """

    function: Activation
    write: Callable[[Tensor, Tensor], Any]
    slope: Callable[[Tensor, Tensor], Any]
    scale: float = 1.0


def _through(function: Callable[..., Any]) -> Callable[[Tensor, Tensor], Any]:
    return lambda inputs, out: function(inputs, out=out)


SIGMOID: Final = Curve(torch.sigmoid, _through(torch.sigmoid), lambda output, factor: factor.mul_(output).mul_(1 - output))
HARD_SIGMOID: Final = Curve(
    lambda x: (0.2 * x + 0.5).clamp(0, 1), _through(_hardsigmoid), lambda output, factor: factor.mul_((output - 0.5).abs_() < 0.5).mul_(0.2), 1.2
)
TANH: Final = Curve(torch.tanh, _through(torch.tanh), lambda output, factor: factor.mul_(1 - output * output))
RELU: Final = Curve(torch.relu, lambda inputs, out: torch.clamp_min(inputs, 0, out=out), lambda output, factor: factor.mul_(output > 0))
LINEAR: Final = Curve(lambda x: x, lambda inputs, out: out if out is inputs else out.copy_(inputs), lambda output, factor: factor)


def lstm_loop(inputs: Tensor, states: States, sizes: Sequence[int], *, weights: Weights, curve: Curve, gate: Curve) -> tuple[Tensor, States]:
    """Run all steps.

    Args:
        inputs: The rows of each step one after the other.
        states: (h, c) of the rows of the first step.
        sizes: Rows of each step; their number never grows.
        weights: In torch's layout, of which the second bias is left out.
        curve: The activation, without a scale.
        gate: The activation of the gates.

    Shape:
        inputs (slots, size); states (rows, units) -> (slots, units), and the last states
    """
    outputs, hidden, carry = _Loop.apply(inputs, *weights[:3], *states, tuple(sizes), curve, gate)
    return outputs, (hidden, carry)


def takes_loop(*tensors: Tensor) -> bool:
    """Whether a gradient that is written out can stand in for autograd's: not for compilers, torch.func, forward mode and autocast."""
    return not (
        torch.compiler.is_compiling()
        or tensors[0].device.type == "meta"
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled(tensors[0].device.type)
        or any(tensor.dtype is not tensors[0].dtype for tensor in tensors)
    )


class _Loop(torch.autograd.Function):
    """Inside, gates come as o i f g: those that open are in one piece, and so are those that a gradient reaches through the carry."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor | None,
        hidden: Tensor,
        carry: Tensor,
        sizes: tuple[int, ...],
        curve: Curve,
        gate: Curve,
    ) -> tuple[Tensor, Tensor, Tensor]:
        units = hidden.shape[1]
        own = _roll(weight_ih, units, gate.scale)
        gates = F.linear(inputs, own, None if bias is None else _roll(bias, units, gate.scale))
        recurrent = _roll(weight_hh, units, gate.scale).t().contiguous()
        outputs, carries, shown = (gates.new_empty((len(gates), units)) for _ in range(3))
        views = (gates, gates[:, : 3 * units], *_quarters(gates, units), outputs, carries, shown)
        now, kept = hidden, carry
        for rows, sums, opened, show, write, keep, candidate, h, c, s in zip(
            sizes, *(torch.split_with_sizes(view, sizes) for view in views), strict=True
        ):
            sums.addmm_(now[:rows], recurrent)
            gate.write(opened, opened)
            curve.write(candidate, candidate)
            torch.mul(kept[:rows], keep, out=c).addcmul_(write, candidate)
            curve.write(c, s)
            torch.mul(show, s, out=h)
            now, kept = h, c
        ctx.save_for_backward(inputs, weight_ih, weight_hh, bias, hidden, carry, gates, outputs, carries, shown)
        ctx.asked = sizes, curve, gate
        ctx.set_materialize_grads(False)
        return outputs, last_of_rows(outputs, sizes), last_of_rows(carries, sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        *given, gates, outputs, carries, shown = ctx.saved_tensors
        sizes, curve, gate = ctx.asked
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted
            return (*_by_autograd(ctx, given, grads), None, None, None)
        inputs, weight_ih, weight_hh, _, hidden, carry = given
        units = hidden.shape[1]
        write, keep, candidate = _quarters(gates, units)[1:]
        over_sums = torch.empty_like(gates)  # at first the slope of a step's output, or carry, over the sum in each gate
        for part, factor in zip(_quarters(over_sums, units), (shown, candidate, before(carries, carry, sizes), write), strict=True):
            part.copy_(factor)
        gate.slope(gates[:, : 3 * units], over_sums[:, : 3 * units])
        curve.slope(candidate, over_sums[:, 3 * units :])
        over_h, over_c = (torch.zeros_like(hidden) if grad is None else grad.clone() for grad in grads[1:])
        weight = _roll(weight_hh, units)
        rise = curve.slope(shown, gates[:, :units].clone())  # of an output over its carry
        each = [None] * len(sizes) if grads[0] is None else grads[0].split(sizes)
        views = (over_sums, over_sums[:, :units], over_sums[:, units:].unflatten(1, (3, units)), rise, keep)
        steps = zip(sizes, each, *(torch.split_with_sizes(view, sizes) for view in views), strict=True)
        for rows, own, sums, out, rest, slope, kept in reversed(list(steps)):
            dh, dc = over_h[:rows], over_c[:rows]
            if own is not None:
                dh.add_(own)
            dc.addcmul_(dh, slope)
            out.mul_(dh)
            rest.mul_(dc.unsqueeze(1))
            dc.mul_(kept)
            torch.mm(sums, weight, out=dh)
        wanted = ctx.needs_input_grad
        return (
            over_sums @ _roll(weight_ih, units) if wanted[0] else None,
            _unroll(over_sums.t() @ inputs, units) if wanted[1] else None,
            _unroll(over_sums.t() @ before(outputs, hidden, sizes), units) if wanted[2] else None,
            _unroll(over_sums.sum(0), units) if wanted[3] else None,
            over_h,
            over_c,
            None,
            None,
            None,
        )


def _by_autograd(ctx: Any, inputs: Sequence[Any], grads: tuple[Tensor | None, ...]) -> list[Tensor | None]:
    """The gradients as autograd finds them, which can be differentiated again."""
    sizes, curve, gate = ctx.asked
    data, weight_ih, weight_hh, bias, *states = inputs

    def step(now: Tensor, held: States, _: tuple[Any, ...]) -> tuple[Tensor, States]:
        return lstm_gates(torch.addmm(now, held[0], weight_hh.t()), held[1], curve.function, gate.function)

    each, last = packed_scan(step, F.linear(data, weight_ih, bias).split(sizes), tuple(states))
    return differentiable(ctx, inputs, (torch.cat(each), *last), grads)


def differentiable(ctx: Any, inputs: Sequence[Any], outputs: Sequence[Tensor], grads: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Gradients of outputs that autograd has recorded, for those inputs of a `Function` that want one, as what can be differentiated again."""
    given = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if grad is not None]
    wanted = [tensor for tensor, needed in zip(inputs, ctx.needs_input_grad, strict=False) if needed]
    found = iter(torch.autograd.grad([o for o, _ in given], wanted, [g for _, g in given], create_graph=True, allow_unused=True))
    return [next(found) if needed else None for needed in ctx.needs_input_grad[: len(inputs)]]


def _roll(weight: Tensor, units: int, scale: float = 1.0) -> Tensor:
    """Gates i f g o as o i f g, all but g scaled."""
    rolled = torch.cat((weight[3 * units :], weight[: 3 * units]))
    if scale != 1.0:
        rolled[: 3 * units].mul_(scale)
    return rolled


def _unroll(weight: Tensor, units: int) -> Tensor:
    return torch.cat((weight[units:], weight[:units]))


def _quarters(tensor: Tensor, units: int) -> tuple[Tensor, ...]:
    return tensor.split(units, 1)


def before(each: Tensor, first: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """What every slot has of the step before: of `each` slot's values, at the first step `first`."""
    return torch.cat((first, *(part[:rows] for part, rows in zip(each.split(sizes), sizes[1:], strict=False))))


def last_of_rows(each: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Of `each` slot's values those of every row's last step."""
    if sizes[0] == sizes[-1]:
        return each[-sizes[0] :].clone()
    parts = [part[following:] for part, rows, following in zip(each.split(sizes), sizes, (*sizes[1:], 0), strict=True) if rows > following]
    return torch.cat(parts[::-1])
