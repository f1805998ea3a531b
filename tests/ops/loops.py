"""What the written-out loops of LSTM and GRU are compared with the literal step by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from torchkeras.ops import recurrent
from torchkeras.ops.recurrent import HARD_SIGMOID, LINEAR, RELU, SIGMOID, TANH, packed_scan

CURVES: dict[str, Any] = {"tanh": (TANH, torch.tanh), "relu": (RELU, torch.relu), "linear": (LINEAR, lambda x: x)}
GATES: dict[str, Any] = {"sigmoid": (SIGMOID, torch.sigmoid), "hard_sigmoid": (HARD_SIGMOID, lambda x: (0.2 * x + 0.5).clamp(0, 1))}
SIZES = [3, 2, 2, 1]

Run = Callable[..., tuple[Tensor, ...]]


def cases(results: int) -> dict[str, Any]:
    """What hypothesis draws: rows of each step, functions, and which of so many results are asked for gradients."""
    return {
        "sizes": st.lists(st.integers(1, 4), min_size=1, max_size=5).map(lambda sizes: sorted(sizes, reverse=True)),
        "curve": st.sampled_from(list(CURVES)),
        "gate": st.sampled_from(list(GATES)),
        "bias": st.booleans(),
        "asked": st.lists(st.booleans(), min_size=results, max_size=results).filter(any),
        "seed": st.integers(0, 1000),
    }


def tensors_of(gates: int, states: int, sizes: list[int], units: int = 3, size: int = 2, bias: bool = True) -> list[Any]:
    """Data, both weights, the bias (or `None`) and the states."""
    shapes = [(sum(sizes), size), (gates * units, size), (gates * units, units), (gates * units,), *[(sizes[0], units)] * states]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    return tensors if bias else [*tensors[:3], None, *tensors[4:]]


def scanned(step: Any, data: Tensor, sizes: list[int], states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The outputs and last states of a step that autograd sees."""
    each, last = packed_scan(step, data.split(sizes), states)
    return torch.cat(list(each)), *last


def check_literal(written_out: Run, literal: Run, tensors: list[Any], asked: list[bool], **case: Any) -> None:
    """Results and gradients of both are the same."""
    wanted = [tensor for tensor in tensors if tensor is not None]
    found = []
    for run in (written_out, literal):
        results = run(*tensors, **case)
        chosen = [result for result, ask in zip(results, asked, strict=True) if ask]
        weights = [torch.linspace(-1, 2, part.numel(), dtype=torch.float64).view(part.shape) for part in chosen]
        gradients = torch.autograd.grad(chosen, wanted, weights, allow_unused=True, materialize_grads=True)
        found.append([part.detach() for part in (*results, *gradients)])
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-6)  # torch's own hard sigmoid divides by 6 in single precision


def check_gradients(written_out: Run, tensors: list[Any], gate: str) -> None:
    """Gradients, and gradients of gradients, by finite differences."""

    def run(*tensors: Any) -> Any:
        return written_out(*tensors, sizes=SIZES, curve="tanh", gate=gate)

    assert torch.autograd.gradcheck(run, tensors, atol=1e-5)
    assert torch.autograd.gradgradcheck(run, tensors, atol=1e-5)


def check_only_trained(written_out: Run, tensors: list[Any]) -> None:
    """Of all but the recurrent weight, which alone is trained, no gradient is made."""
    data, *rest = [tensor.detach() for tensor in tensors]
    rest[1].requires_grad_()
    written_out(data, *rest, sizes=[2, 2], curve="tanh", gate="hard_sigmoid")[0].sum().backward()
    assert [number for number, tensor in enumerate((data, *rest)) if tensor.grad is not None] == [2]


def watched(monkeypatch: Any, name: str) -> list[int]:
    """A list that grows each time a loop runs: "lstm_loop" or "gru_loop"."""
    seen: list[int] = []
    loop = getattr(recurrent, name).__globals__["_Loop"]
    original = loop.apply
    monkeypatch.setattr(loop, "apply", lambda *args: seen.append(1) or original(*args))
    return seen
