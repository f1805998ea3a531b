"""Emitters of the layers over steps, images and volumes.

torch's kernels want the channels as axis 1. A value keeps that order from layer to layer; only what needs Keras' order permutes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchkeras import layers
from torchkeras.exporting.table import Call, emits
from torchkeras.exporting.texts import one_or_all
from torchkeras.exporting.writer import Made, Value
from torchkeras.ops.windows import Pads, divide_pads, pads_of_pool


def images(call: Call) -> tuple[str, bool]:
    """The input with its channels as axis 1, and whether in Keras they are last."""
    if call.layer._channels_first:
        return call.x.text, False
    return call.x.channels_first, True


def sizes_of(call: Call) -> list[int | None]:
    """Sizes of the axes of space, `None` where unknown."""
    return [call.x.shape[axis] for axis in call.layer._space]


def padded(call: Call) -> tuple[str, tuple[int, ...], bool]:
    """The image, padded with what the kernel cannot pad by itself; what the kernel shall pad; whether the channels are last in Keras."""
    layer = call.layer
    image, moved = images(call)
    if layer._pads is not None:
        return _with_zeros(image, layer._rest), layer._kernel_padding, moved
    sizes = sizes_of(call)
    if None not in sizes:
        inside, rest = divide_pads(layer._find_pads(sizes))
        return _with_zeros(image, rest), inside, moved
    name = call.named("image", image)
    texts: list[str] = []
    for number in reversed(range(layer.rank)):  # torch counts from the last axis
        total = same_total(call, name, number, layer._reach[number], layer.strides[number])
        texts += [f"{total} // 2", f"{total} - {total} // 2"]
    return f"F.pad({name}, ({', '.join(texts)}))", (0,) * layer.rank, moved


def same_total(call: Call, image: str, axis: int, reach: int, stride: int) -> str:
    """A variable with what "same" adds in all to an axis of space whose size shows at each call."""
    surplus = f"-{image}.shape[{axis + 2}] % {stride}"
    if reach >= stride:
        return call.writer.assign(f"{call.key}_pad", f"{surplus} + {reach - stride}" if reach > stride else surplus)
    return call.writer.assign(f"{call.key}_pad", f"torch.sym_max({surplus} - {stride - reach}, 0)")


def _with_zeros(image: str, pads: Pads | None) -> str:
    if pads is None:
        return image
    flat = [side for pad in reversed(pads) for side in pad]
    return f"F.pad({image}, {tuple(flat)})"


def _arguments(**options: tuple[str, str]) -> str:
    """Keyword arguments, without those that have torch's default: name=(text, default)."""
    return "".join(f", {name}={text}" for name, (text, default) in options.items() if text != default)


def _kernel(call: Call, kind: str, channels: Sequence[int], padding: Sequence[int], *, groups: int = 1, bias: bool = True) -> str:
    layer = call.layer
    options = _arguments(
        stride=(one_or_all(layer.strides), "1"),
        padding=(one_or_all(padding), "0"),
        dilation=(one_or_all(layer.dilation_rate), "1"),
        groups=(repr(groups), "1"),
        bias=(repr(bias), "True"),
    )
    return f"nn.{kind}{layer.rank}d({channels[0]}, {channels[1]}, {one_or_all(layer.kernel_size)}{options})"


@emits(
    layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.AtrousConvolution1D, layers.AtrousConvolution2D,
)  # fmt: skip
def convolution(call: Call) -> Made:
    """`nn.Conv1d`, `2d`, `3d`."""
    layer, x = call.layer, call.x
    if x.rank > layer.rank + 2:  # the axes before are all batch axes
        last = x.rank - layer.rank - 1
        name = call.named("input", x.text)
        flat = Value(call.writer.assign(f"{call.key}_flat", f"{name}.flatten(0, {last - 1})"), (None, *x.shape[last:]))
        made = convolution(Call(call.writer, layer, call.key, flat))
        assert isinstance(made, Made)
        sizes = ", ".join(f"{name}.shape[{axis}]" for axis in range(last))
        return Made(f"{Value(made.text, flat.shape, made.moved).text}.unflatten(0, ({sizes}))")
    image, padding, moved = padded(call)
    channels = layer.weight.shape[1] * layer.groups
    text = _kernel(call, "Conv", (channels, layer.filters), padding, groups=layer.groups, bias=layer.use_bias)
    part = call.part(text, {"weight": layer.weight, "bias": layer.bias})
    return call.activated(Made(f"{part}({image})", moved))


@emits(layers.DepthwiseConv1D, layers.DepthwiseConv2D)
def depthwise(call: Call) -> Made:
    """A convolution with as many groups as channels."""
    layer = call.layer
    image, padding, moved = padded(call)
    outputs = layer.weight.shape[0]
    groups = outputs // layer.depth_multiplier
    part = call.part(
        _kernel(call, "Conv", (groups, outputs), padding, groups=groups, bias=layer.use_bias), {"weight": layer.weight, "bias": layer.bias}
    )
    return call.activated(Made(f"{part}({image})", moved))


@emits(layers.SeparableConv1D, layers.SeparableConv2D)
def separable(call: Call) -> Made:
    """A depthwise convolution, and one of windows of 1."""
    layer = call.layer
    image, padding, moved = padded(call)
    between = layer.depthwise_weight.shape[0]
    groups = between // layer.depth_multiplier
    text = _kernel(call, "Conv", (groups, between), padding, groups=groups, bias=False)
    each = call.part(text, {"weight": layer.depthwise_weight}, suffix="depthwise")
    mix = f"nn.Conv{layer.rank}d({between}, {layer.filters}, 1{'' if layer.use_bias else ', bias=False'})"
    all_of_them = call.part(mix, {"weight": layer.pointwise_weight, "bias": layer.bias}, suffix="pointwise")
    return call.activated(Made(f"{all_of_them}({each}({image}))", moved))


@emits(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose, layers.Deconvolution2D)
def transposed(call: Call) -> Made:
    """`nn.ConvTranspose1d`, `2d`, `3d`, and a cut where Keras has fewer on the far side."""
    layer = call.layer
    image, moved = images(call)
    options = _arguments(
        stride=(one_or_all(layer.strides), "1"),
        padding=(one_or_all(layer._kernel_padding), "0"),
        output_padding=(one_or_all(layer._more), "0"),
        bias=(repr(layer.use_bias), "True"),
        dilation=(one_or_all(layer.dilation_rate), "1"),
    )
    channels = f"{layer.weight.shape[0]}, {layer.filters}"
    text = f"nn.ConvTranspose{layer.rank}d({channels}, {one_or_all(layer.kernel_size)}{options})"
    made = f"{call.part(text, {'weight': layer.weight, 'bias': layer.bias})}({image})"
    if any(layer._drop):
        made += f"[..., {', '.join(f':-{drop}' if drop else ':' for drop in layer._drop)}]"
    return call.activated(Made(made, moved))


@emits(
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
)  # fmt: skip
def pooling(call: Call) -> Made:
    """`nn.MaxPool` and `nn.AvgPool`."""
    layer = call.layer
    largest = "Max" in type(layer).__name__
    image, moved = images(call)
    window, strides = layer.pool_size, layer.strides
    kind = f"{'Max' if largest else 'Avg'}Pool{layer.rank}d"
    if layer.padding != "same":
        options = _arguments(stride=(one_or_all(strides), one_or_all(window)))
        return Made(f"{call.part(f'nn.{kind}({one_or_all(window)}{options})')}({image})", moved)
    sizes = sizes_of(call)
    if None in sizes and max(strides) > 1:
        return Made(_pooled_by_size(call, image, largest), moved)
    near, surplus = pads_of_pool(tuple(size or 1 for size in sizes), window, strides)  # where all strides are 1, sizes do not matter
    options = _arguments(stride=(one_or_all(strides), one_or_all(window)), padding=(one_or_all(near), "0"))
    counting = "" if largest else ", count_include_pad=False"
    made = f"{call.part(f'nn.{kind}({one_or_all(window)}{options}, ceil_mode=True{counting})')}({image})"
    if any(surplus):
        made += f"[..., {', '.join('1:' if one else ':' for one in surplus)}]"
    return Made(made, moved)


def _pooled_by_size(call: Call, image: str, largest: bool) -> str:
    """A pool with "same" whose padding depends on a size that shows at each call only."""
    layer = call.layer
    name = call.named("image", image)
    near, cuts = [], []
    for number, (size, stride) in enumerate(zip(layer.pool_size, layer.strides, strict=True)):
        if stride == 1:  # the far side gets one more where the sum is odd: it is put on both, and the first output is cut off
            near.append(str(size // 2))
            cuts.append("1:" if (size - 1) % 2 else ":")
        else:
            near.append(f"{same_total(call, name, number, size, stride)} // 2")
            cuts.append(":")
    comma = "," if len(near) == 1 else ""
    arguments = f"{name}, {layer.pool_size}, {layer.strides}, ({', '.join(near)}{comma})"
    if largest:
        made = f"F.max_pool{layer.rank}d({arguments}, ceil_mode=True)"
    else:
        made = f"F.avg_pool{layer.rank}d({arguments}, ceil_mode=True, count_include_pad=False)"
    return made if set(cuts) == {":"} else f"{made}[..., {', '.join(cuts)}]"


@emits(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D)
def cropping(call: Call) -> Made:
    """A slice."""
    layer, x = call.layer, call.x
    cuts = {x.axis(axis): cut for axis, cut in zip(layer._space, _by_axis(layer, layer.cropping), strict=True)}
    last = max(cuts)
    parts = [_cut(*cuts.get(axis, (0, 0))) for axis in range(last + 1)]
    return Made(f"{x.name}[{', '.join(parts)}]", x.moved)


def _by_axis(layer: Any, sides: Any) -> Any:
    """(near side, far side) of each axis of space."""
    return (sides,) if layer.rank == 1 else sides


def _cut(near: int, far: int) -> str:
    return f"{near or ''}:{-far if far else ''}"


@emits(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
def zero_padding(call: Call) -> Made:
    """`F.pad`."""
    layer, x = call.layer, call.x
    pads = {x.axis(axis): pad for axis, pad in zip(layer._space, _by_axis(layer, layer.padding), strict=True)}
    flat: list[int] = []
    for axis in range(x.rank - 1, min(pads) - 1, -1):  # torch counts from the last axis
        flat += pads.get(axis, (0, 0))
    return Made(f"F.pad({x.name}, {tuple(flat)})", x.moved)


@emits(layers.UpSampling1D)
def up_sampling_1d(call: Call) -> Made:
    """Repeated steps."""
    return Made(f"{call.x.name}.repeat_interleave({call.layer.size}, {call.x.axis(1)})", call.x.moved)


@emits(layers.UpSampling2D, layers.UpSampling3D)
def up_sampling(call: Call) -> Made:
    """`nn.Upsample`, or what Keras 2.2.4 calls bilinear."""
    layer = call.layer
    image, moved = images(call)
    bilinear = getattr(layer, "interpolation", "nearest") == "bilinear"
    if not bilinear or layer._half_pixel:
        mode = "bilinear" if bilinear else "nearest" if max(layer.size) <= 40 else "nearest-exact"
        factors = ", ".join(f"{float(factor)}" for factor in layer.size)
        part = call.part(f"nn.Upsample(scale_factor=({factors}), mode={mode!r}{', align_corners=False' if bilinear else ''})")
        return Made(f"{part}({image})", moved)
    name = call.named("image", image)
    rows, columns = (
        call.writer.assign(f"{call.key}_{what}", f"{name}.shape[{axis}] * {layer.size[axis - 2]}") for axis, what in ((2, "rows"), (3, "columns"))
    )
    more = f'F.pad({name}, (0, 1, 0, 1), mode="replicate")'
    return Made(f'F.interpolate({more}, ({rows} + 1, {columns} + 1), mode="bilinear", align_corners=True)[:, :, :-1, :-1]', moved)


@emits(
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
)
def global_pooling(call: Call) -> Made:
    """The largest entry or the mean over the space."""
    axes = tuple(sorted(call.x.axis(axis) for axis in call.layer._space))
    reduce = "amax" if "Max" in type(call.layer).__name__ else "mean"
    return Made(f"{call.x.name}.{reduce}({one_or_all(axes) if len(axes) == 1 else axes})")
