"""Emitters of the layers without space or time: dense, activations, dropout and noise, shapes, embedding."""

from __future__ import annotations

import torch

from torchkeras import layers
from torchkeras.exporting.table import Call, emits
from torchkeras.exporting.writer import Made


@emits(layers.Dense, layers.TimeDistributedDense)
def dense(call: Call) -> Made:
    """`nn.Linear` over the last axis."""
    layer = call.layer
    bias = "" if layer.use_bias else ", bias=False"
    linear = call.part(f"nn.Linear({layer.weight.shape[1]}, {layer.units}{bias})", {"weight": layer.weight, "bias": layer.bias})
    return call.activated(Made(f"{linear}({call.x.text})"))


@emits(layers.Activation)
def activation(call: Call) -> Made:
    """The activation alone."""
    return call.activated(Made(call.x.name, call.x.moved))


@emits(layers.ActivityRegularization)
def same(call: Call) -> Made:
    """Nothing: the penalty is a matter of the loss."""
    return call.elementwise("{0}")


@emits(layers.LeakyReLU)
def leaky_relu(call: Call) -> Made:
    """`F.leaky_relu`."""
    return call.elementwise(f"F.leaky_relu({{0}}, {call.layer.alpha!r})")


@emits(layers.ELU)
def elu(call: Call) -> Made:
    """`F.elu`."""
    return call.elementwise(f"F.elu({{0}}, {call.layer.alpha!r})")


@emits(layers.ThresholdedReLU)
def thresholded_relu(call: Call) -> Made:
    """`F.threshold`."""
    return call.elementwise(f"F.threshold({{0}}, {call.layer.theta!r}, 0.0)")


@emits(layers.Softmax)
def softmax(call: Call) -> Made:
    """`torch.softmax` along the axis."""
    return Made(f"torch.softmax({call.x.name}, {call.x.axis(call.layer.axis)})", call.x.moved)


@emits(layers.ReLU)
def relu(call: Call) -> Made:
    """A rectifier with slope, bound and threshold, in the shortest words."""
    slope, bound, threshold = call.layer.negative_slope, call.layer.max_value, call.layer.threshold
    if threshold == 0 and bound is None:
        return call.elementwise("torch.relu({0})" if slope == 0 else f"F.leaky_relu({{0}}, {slope!r})")
    positive = "torch.relu({0})" if threshold == 0 else f"F.threshold({{0}}, {threshold!r}, 0.0)"
    if bound is not None:
        positive = "F.relu6({0})" if bound == 6 and threshold == 0 and slope == 0 else f"{positive}.clamp(0, {bound!r})"
    return call.elementwise(positive if slope == 0 else f"{positive} - {slope!r} * torch.relu({threshold!r} - {{0}})")


@emits(layers.PReLU)
def prelu(call: Call) -> Made:
    """`nn.PReLU` where there is one slope a channel, else its formula."""
    layer, x = call.layer, call.x
    shared = {axis % x.rank for axis in layer.shared_axes or ()}
    own = [axis for axis in range(1, x.rank) if axis not in shared]
    if len(own) != 1:
        weight = call.parameter(layer.weight, "weight")
        name = call.named("input", x.text)
        return Made(f"torch.where({name} > 0, {name}, {weight} * {name})")
    weight = layer.weight
    flat = torch.nn.Parameter(weight.detach().reshape(-1), weight.requires_grad)
    part = call.part(f"nn.PReLU({flat.numel()})", {"weight": flat})
    place = x.axis(own[0])
    if place == 1:
        return Made(f"{part}({x.name})", x.moved)
    return Made(f"{part}({x.name}.movedim({place}, 1)).movedim(1, {place})", x.moved)


@emits(layers.Dropout)
def dropout(call: Call) -> Made:
    """`nn.Dropout`; with a `noise_shape`, of ones of that shape."""
    layer, x = call.layer, call.x
    if not 0 < layer.rate < 1 or call.writer.in_inference:
        return call.elementwise("{0}")
    part = call.part(f"nn.Dropout({layer.rate!r})")
    if layer.noise_shape is None:
        return call.elementwise(f"{part}({{0}})")
    sizes = ", ".join(f"{x.name}.shape[{x.axis(axis)}]" if size is None else repr(size) for axis, size in enumerate(layer.noise_shape))
    name = call.named("input", x.text)
    return Made(f"{name} * {part}({name}.new_ones(({sizes},)))")


@emits(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
def spatial_dropout(call: Call) -> Made:
    """`nn.Dropout1d`, `2d`, `3d`, which want the channels as axis 1."""
    layer, x = call.layer, call.x
    if not 0 < layer.rate < 1 or call.writer.in_inference:
        return call.elementwise("{0}")
    part = call.part(f"nn.Dropout{layer.spatial_axes}d({layer.rate!r})")
    if layer.data_format == "channels_first":
        return Made(f"{part}({x.text})")
    return Made(f"{part}({x.channels_first})", True)


@emits(layers.AlphaDropout)
def alpha_dropout(call: Call) -> Made:
    """`nn.AlphaDropout`."""
    if call.layer.noise_shape is not None:
        call.refuse("it has a noise_shape, which nn.AlphaDropout has not.")
    if not 0 < call.layer.rate < 1 or call.writer.in_inference:
        return call.elementwise("{0}")
    return call.elementwise(f"{call.part(f'nn.AlphaDropout({call.layer.rate!r})')}({{0}})")


@emits(layers.GaussianNoise, layers.GaussianDropout)
def gaussian(call: Call) -> Made:
    """Noise whose deviation is 0 in inference."""
    layer = call.layer
    if isinstance(layer, layers.GaussianNoise):
        deviation, template = layer.stddev, "{0} + {1} * torch.randn_like({0})"
    else:
        deviation = (layer.rate / (1 - layer.rate)) ** 0.5 if 0 < layer.rate < 1 else 0.0
        template = "{0} + {1} * {0} * torch.randn_like({0})"
    if deviation == 0 or call.writer.in_inference:
        return call.elementwise("{0}")
    # train() and eval() switch submodules alone: a dropout of everything tells which it is
    part = call.part("nn.Dropout(1.0)")
    switch = call.writer.assign(f"{call.key}_deviation", f"{deviation!r} * (1 - {part}({call.x.name}.new_ones(())))  # 0 in eval()")
    return Made(template.format(call.x.name, switch), call.x.moved)


@emits(layers.Flatten)
def flatten(call: Call) -> Made:
    """All axes behind the batch as one."""
    x = call.x
    if x.rank == 1:
        return Made(f"{x.name}.unsqueeze(1)")
    if call.layer.data_format == "channels_first" and x.rank > 2:
        return Made(f"{x.text}.movedim(1, -1).flatten(1)")
    return Made(f"{x.text}.flatten(1)")


@emits(layers.Reshape)
def reshape(call: Call) -> Made:
    """The same values in another shape."""
    target = "".join(f", {size}" for size in call.layer.target_shape)
    return Made(f"{call.x.text}.reshape({call.x.name}.shape[0]{target})")


@emits(layers.Permute)
def permute(call: Call) -> Made:
    """The axes in another order."""
    return Made(f"{call.x.text}.permute(0, {', '.join(map(str, call.layer.dims))})")


@emits(layers.RepeatVector)
def repeat_vector(call: Call) -> Made:
    """The vector as every step."""
    return Made(f"{call.x.text}.unsqueeze(1).expand(-1, {call.layer.n}, -1)")


@emits(layers.Masking)
def masking(call: Call) -> Made:
    """Masked steps as zeros; the mask itself goes nowhere."""
    name = call.named("input", call.x.text)
    return Made(f"{name} * ({name} != {call.layer.mask_value!r}).any(-1, keepdim=True)")


@emits(layers.Embedding)
def embedding(call: Call) -> Made:
    """`nn.Embedding` of whole numbers."""
    layer = call.layer
    sparse = ", sparse=True" if layer.sparse_gradients else ""
    part = call.part(f"nn.Embedding({layer.input_dim}, {layer.output_dim}{sparse})", {"weight": layer.weight})
    return Made(f"{part}({call.x.text}.long())")
