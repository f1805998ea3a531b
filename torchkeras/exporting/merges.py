"""Emitters of the layers that make one tensor of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from torchkeras import layers
from torchkeras.exporting.table import Call, emits
from torchkeras.exporting.writer import Made, Value


def _aligned(call: Call) -> tuple[list[str], bool]:
    """The inputs' texts, of one rank and in one order of axes, and whether that is torch's."""
    values = call.several
    rank = max(value.rank for value in values)
    if all(value.rank == rank for value in values):
        if all(value.moved for value in values):
            return [value.name for value in values], True
        return [value.text for value in values], False
    return [_with_axes(value, rank) for value in values], False


def _with_axes(value: Value, rank: int) -> str:
    """An input with axes of 1 put behind the batch."""
    if value.rank == rank:
        return value.text
    return f"{value.text}[:, {'None, ' * (rank - value.rank)}...]"


def _by_operator(operator: str) -> Callable[[list[str]], str]:
    return lambda texts: f" {operator} ".join(texts)


def _by_function(name: str) -> Callable[[list[str]], str]:
    return lambda texts: functools.reduce(lambda first, second: f"torch.{name}({first}, {second})", texts)


RULES: dict[type, Callable[[list[str]], str]] = {
    layers.Add: _by_operator("+"),
    layers.Subtract: _by_operator("-"),
    layers.Multiply: _by_operator("*"),
    layers.Average: lambda texts: f"({' + '.join(texts)}) / {len(texts)}",
    layers.Maximum: _by_function("maximum"),
    layers.Minimum: _by_function("minimum"),
}
MODES = {"sum": layers.Add, "mul": layers.Multiply, "ave": layers.Average, "max": layers.Maximum}  # of Keras 1


@emits(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
def merge(call: Call) -> Made:
    """An operator between all inputs."""
    texts, moved = _aligned(call)
    return Made(RULES[type(call.layer)](texts), moved)


@emits(layers.Concatenate)
def concatenate(call: Call) -> Made:
    """`torch.cat`."""
    return _joined(call.several, call.layer.axis)


def _joined(values: Sequence[Value], axis: int) -> Made:
    if all(value.moved for value in values):
        return Made(f"torch.cat(({', '.join(value.name for value in values)}), {values[0].axis(axis)})", True)
    return Made(f"torch.cat(({', '.join(value.text for value in values)}), {axis})")


@emits(layers.Dot)
def dot(call: Call) -> Made:
    """`torch.einsum` over the axis of each."""
    first, second = call.several
    pair = [axis % value.rank for axis, value in zip(call.layer._pair, (first, second), strict=True)]
    texts = [first.text, second.text]
    if call.layer.normalize:
        texts = [f"F.normalize({text}, dim={axis}, eps=1e-6)" for text, axis in zip(texts, pair, strict=True)]
    return Made(_product(call, texts, pair))


def _product(call: Call, texts: list[str], pair: Sequence[int]) -> str:
    """Sum of products along an axis of each of two tensors, sample by sample."""
    ranks = [value.rank for value in call.several]
    if ranks == [2, 2]:
        return f"({texts[0]} * {texts[1]}).sum(1, keepdim=True)"
    letters = "abcdefgh"
    one = ["n", *letters[: ranks[0] - 1]]
    two = ["n", *letters[ranks[0] - 1 : ranks[0] + ranks[1] - 2]]
    one[pair[0]] = two[pair[1]] = "k"
    rest = "".join(letter for letter in (*one, *two[1:]) if letter != "k")
    return f'torch.einsum("{"".join(one)},{"".join(two)}->{rest}", {texts[0]}, {texts[1]})'


@emits(layers.Merge)
def merge_of_keras_1(call: Call) -> Made:
    """The modes of Keras 1."""
    layer = call.layer
    if callable(layer.mode):
        call.refuse(f"its mode is the function {layer.mode!r}.")
    if layer.mode == "concat":
        return _joined(call.several, layer.concat_axis)
    if layer.mode in MODES:
        texts, moved = _aligned(call)
        return Made(RULES[MODES[layer.mode]](texts), moved)
    values = call.several
    texts = [value.text for value in values]
    pair = layer._pair([value.shape for value in values])
    if layer.mode == "cos":
        call.refuse('its mode is "cos". Use Dot(axes, normalize=True) instead.')
    return Made(_product(call, texts, pair))
