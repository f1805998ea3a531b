"""Emitters of the normalizations."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras import layers
from torchkeras.exporting.table import Call, emits
from torchkeras.exporting.texts import one_or_all
from torchkeras.exporting.writer import Made, Value


@emits(layers.LayerNormalization)
def layer_normalization(call: Call) -> Made:
    """`nn.LayerNorm`, around which other axes than the last move."""
    layer, x = call.layer, call.x
    given: list[Any] = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    axes = sorted({axis % x.rank for axis in given})
    sizes = tuple(int(x.shape[axis]) for axis in axes)  # type: ignore[arg-type]
    state = {name: None if one is None else _reshaped(one, sizes) for name, one in (("weight", layer.weight), ("bias", layer.bias))}
    shape = one_or_all(sizes) if len(sizes) == 1 else repr(sizes)
    frozen = []
    if layer.weight is None and layer.bias is None:
        options = ", elementwise_affine=False"
    else:
        options = "" if layer.bias is not None else ", bias=False"
        if layer.weight is None:
            state["weight"] = torch.ones_like(layer.bias.detach()).reshape(sizes)
            frozen = ["weight"]
    part = call.part(f"nn.LayerNorm({shape}, eps={layer.epsilon!r}{options})", state, frozen=frozen)
    last = list(range(x.rank - len(axes), x.rank))
    if axes == last:
        return Made(f"{part}({x.text})")
    return Made(f"{part}({x.text}.movedim({axes}, {last})).movedim({last}, {axes})")


def _reshaped(parameter: Any, sizes: tuple[int, ...]) -> Any:
    if tuple(parameter.shape) == sizes:
        return parameter
    return torch.nn.Parameter(parameter.detach().reshape(sizes), parameter.requires_grad)


@emits(layers.BatchNormalization)
def batch_normalization(call: Call) -> Made:
    """`nn.BatchNorm1d`, `2d`, `3d`; a frozen one uses its statistics in training, too."""
    layer, x = call.layer, call.x
    if not layer._by_kernel:
        call.refuse("nn.BatchNorm has no renorm, virtual_batch_size, adjustment or several axes.")
    if x.rank > 5:
        call.refuse(f"nn.BatchNorm takes up to 5 axes, but its input has {x.rank}.")
    size = layer.running_mean.numel()
    state, frozen = {"running_mean": layer.running_mean, "running_var": layer.running_var}, []
    options = f"eps={layer.epsilon!r}, momentum={round(1 - layer.momentum, 12)!r}"
    if layer.weight is None and layer.bias is None:
        options += ", affine=False"
    else:
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            state[name] = getattr(layer, name)
            if state[name] is None:
                state[name] = torch.full_like(layer.running_mean, value)
                frozen.append(name)
    state["num_batches_tracked"] = layer._buffers.get("num_batches_tracked", torch.tensor(0))
    part = call.part(f"nn.BatchNorm{max(x.rank - 2, 1)}d({size}, {options})", state, frozen=frozen)
    if call.writer.in_inference or (not layer.trainable and layer._frozen_is_inference):  # in training mode, too
        statistics = f"{part}.running_mean, {part}.running_var, {part}.weight, {part}.bias"
        template = f"F.batch_norm({{0}}, {statistics}, eps={layer.epsilon!r})"
    else:
        template = f"{part}({{0}})"
    return _along_axis_1(template, x, layer._axis % x.rank)


def _along_axis_1(template: str, x: Value, axis: int) -> Made:
    """A function that wants the channels as axis 1, for channels that Keras has elsewhere."""
    if axis == x.rank - 1 and 3 <= x.rank <= 5:
        return Made(template.format(x.channels_first), True)
    if axis == 1:
        return Made(template.format(x.text))
    return Made(f"{template.format(f'{x.text}.movedim({axis}, 1)')}.movedim(1, {axis})")
