"""`python -m benchmarks graph`: what a functional model's forward adds to its layers, in microseconds a node.

Each model is run beside the same calls of the same layers, written out by hand in a function (without the masks, which the model also hands on).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import harness
from torchkeras import layers as tk
from torchkeras.models import Model

GOAL = 3e-6  # seconds a node
NODES = 24
WIDTH = 4
_call = nn.Module.__call__


@dataclass(frozen=True)
class Workload:
    """A graph, and the same by hand.

    Attributes:
        name: What the table calls it.
        model: The functional model.
        by_hand: A function of the same input that calls the model's layers in turn.
        data: The input.
    """

    name: str
    model: Model
    by_hand: Callable[[Any], Any]
    data: Any

    @property
    def nodes(self) -> int:
        """Number of calls of layers."""
        return len(self.model._graph().steps)


class Doubled(tk.Layer):
    """A layer that takes `training`, as users write them."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return inputs + inputs


def chain() -> Workload:
    """One layer after another."""
    start = value = tk.Input((WIDTH,))
    layers = [tk.Dense(WIDTH) for _ in range(NODES)]
    for layer in layers:
        value = layer(value)

    def by_hand(x: Tensor) -> Tensor:
        for layer in layers:
            x = _call(layer, x)
        return x

    return Workload("chain", Model(start, value), by_hand, torch.ones(2, WIDTH))


def residual() -> Workload:
    """Blocks of a layer and a sum with what came before."""
    start = value = tk.Input((WIDTH,))
    blocks = [(tk.Dense(WIDTH), tk.Add()) for _ in range(NODES // 2)]
    for dense, add in blocks:
        value = add([value, dense(value)])

    def by_hand(x: Tensor) -> Tensor:
        for dense, add in blocks:
            x = _call(add, [x, _call(dense, x)])
        return x

    return Workload("residual", Model(start, value), by_hand, torch.ones(2, WIDTH))


def branches() -> Workload:
    """Several inputs, branches that join, several outputs by name."""
    starts = [tk.Input((WIDTH,)), tk.Input((WIDTH,))]
    left, right, join, sums = [], [], tk.Concatenate(), tk.Average()
    a, b = starts
    for _ in range(NODES // 2 - 1):
        left.append(tk.Dense(WIDTH))
        right.append(tk.Dense(WIDTH))
        a, b = left[-1](a), right[-1](b)
    model = Model(starts, {"joined": join([a, b]), "mean": sums([a, b])})

    def by_hand(x: list[Tensor]) -> dict[str, Tensor]:
        a, b = x
        for first, second in zip(left, right, strict=True):
            a, b = _call(first, a), _call(second, b)
        return {"joined": _call(join, [a, b]), "mean": _call(sums, [a, b])}

    return Workload("branches", model, by_hand, [torch.ones(2, WIDTH), torch.ones(2, WIDTH)])


def _mixed(value: Any, start: Any) -> list[Any]:
    """Five operations; the last is the result."""
    doubled = value * 2
    summed = doubled + start
    cut, mean = summed[:, 1:], value.mean(1, keepdim=True)
    return [doubled, summed, cut, mean, torch.cat([cut, mean], -1)]


def _operations() -> tuple[Model, list[list[Any]]]:
    start = value = tk.Input((WIDTH,))
    rows = []
    for _ in range(NODES // 4):
        made = _mixed(value, start)
        value = made[-1]
        rows.append([one.keras_history[0] for one in made])
    return Model(start, value), rows


def operations() -> Workload:
    """Operators and torch functions, beside the layers that they are recorded as."""
    model, rows = _operations()

    def by_hand(x: Tensor) -> Tensor:
        value = x
        for double, add, cut, mean, cat in rows:
            value = _call(cat, [_call(cut, _call(add, [_call(double, value), x])), _call(mean, value)])
        return value

    return Workload("torch operations", model, by_hand, torch.ones(2, WIDTH))


def functions() -> Workload:
    """The same beside the bare functions: to know what being a layer costs them."""

    def by_hand(x: Tensor) -> Tensor:
        value = x
        for _ in range(NODES // 4):
            value = _mixed(value, x)[-1]
        return value

    return Workload("torch operations beside bare functions", _operations()[0], by_hand, torch.ones(2, WIDTH))


def own_layers() -> Workload:
    """A user's layers, which take `training`, with a second input every other time."""
    start = value = tk.Input((WIDTH,))
    layers = [Doubled() for _ in range(NODES)]
    for layer in layers:
        value = layer(value)

    def by_hand(x: Tensor) -> Tensor:
        for layer in layers:
            x = _call(layer, x, training=layer.training)
        return x

    return Workload("layers with training", Model(start, value), by_hand, torch.ones(2, WIDTH))


def raw_modules() -> Workload:
    """Modules of torch.nn."""
    start = value = tk.Input((WIDTH,))
    layers = [nn.Linear(WIDTH, WIDTH) for _ in range(NODES // 2)]
    sums = [tk.Add() for _ in range(NODES // 2)]
    for layer, add in zip(layers, sums, strict=True):
        value = add([layer(value), start])

    def by_hand(x: Tensor) -> Tensor:
        value = x
        for layer, add in zip(layers, sums, strict=True):
            value = _call(add, [_call(layer, value), x])
        return value

    return Workload("raw modules", Model(start, value), by_hand, torch.ones(2, WIDTH))


def masked() -> Workload:
    """Masks travel along."""
    start = tk.Input((3, WIDTH))
    first = tk.Masking()
    layers = [tk.Activation("linear") for _ in range(NODES)]
    value = first(start)
    for layer in layers:
        value = layer(value)

    def by_hand(x: Tensor) -> Tensor:
        x = _call(first, x)
        for layer in layers:
            x = _call(layer, x)
        return x

    return Workload("masks", Model(start, value), by_hand, torch.ones(2, 3, WIDTH))


WORKLOADS = (chain, residual, branches, operations, own_layers, raw_modules, masked)
INFORMATION = (functions,)  # beside something else than the layers: no goal


def run(rounds: int, clock: Callable[[], float], seconds: float) -> list[list[str]]:
    """A row for each workload: its name, number of nodes, time by hand and what the plan adds a node, in microseconds."""
    rows = []
    for make in (*WORKLOADS, *INFORMATION):
        work = make()
        contestants = {"by hand": lambda work=work: work.by_hand(work.data), "model": lambda work=work: work.model(work.data)}
        with torch.no_grad():
            found = harness.compare(contestants, baseline="by hand", rounds=rounds, clock=clock, least_seconds=seconds, warmup=3)
        per_node = [1e6 / work.nodes * value for value in (found.excess("model").median, found.excess("model").low, found.excess("model").high)]
        base = found.time("by hand").median * 1e6 / work.nodes
        verdict = "" if make in INFORMATION else "yes" if per_node[0] <= GOAL * 1e6 else "no"
        rows.append([work.name, str(work.nodes), f"{base:.2f}", f"{per_node[0]:.2f} ({per_node[1]:.2f} to {per_node[2]:.2f})", verdict])
    return rows


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks graph", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one measurement, at least")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu on a machine that is busy with other work")
    options = parser.parse_args(arguments)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    with harness.threads(1):
        rows = run(options.rounds, clock, options.seconds)
    header = ["graph", "nodes", "by hand, us a node", "the plan adds, us a node", f"at most {GOAL * 1e6:.0f}"]
    print(harness.machine(), "\n", harness.markdown_table(header, rows), sep="\n")
    return 0 if all(row[-1] != "no" for row in rows) else 1
