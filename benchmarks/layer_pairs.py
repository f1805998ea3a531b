"""Layers beside the nearest of torch.nn, for `python -m benchmarks layers`: those over steps, images and volumes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchkeras import layers as tk

SIZES = {  # (batch, channels, length of each axis of space) by rank
    "tiny": {1: (2, 4, 16), 2: (2, 4, 8), 3: (2, 4, 6)},
    "usual": {1: (16, 32, 128), 2: (16, 32, 28), 3: (4, 16, 16)},
}
Contestants = dict[str, tuple[nn.Module, list[Any]]]  # a layer and the arguments of a call: tensors, or one list of them


@dataclass(frozen=True)
class Pair:
    """A layer over space and the layer of torch.nn nearest to it.

    Attributes:
        name: What the table calls it.
        rank: Axes of space of the input.
        ours: Makes our layer for a number of channels.
        theirs: Makes theirs. It gets the same numbers in (batch, channels, *space).
        training: Whether both run in training mode.
    """

    name: str
    rank: int
    ours: Callable[[int], nn.Module]
    theirs: Callable[[int], nn.Module]
    training: bool = False

    def contestants(self, size: str) -> Contestants:
        """Ours, theirs, theirs on data in torch's channels-last memory format where there is one, and theirs by hand on data in Keras' layout."""
        batch, channels, length = SIZES[size][self.rank]
        data = torch.randn(batch, *(length,) * self.rank, channels)
        swapped = data.movedim(-1, 1).contiguous()
        ours, theirs = self.ours(channels).train(self.training), self.theirs(channels).train(self.training)
        first = getattr(ours, "data_format", "channels_last") == "channels_first"
        found: Contestants = {"ours": (ours, [swapped.clone() if first else data]), "theirs": (theirs, [swapped])}
        if self.rank in (2, 3) and not first:
            memory = torch.channels_last if self.rank == 2 else torch.channels_last_3d
            other = self.theirs(channels).train(self.training)
            other(swapped)  # some make their weights now
            other.to(memory_format=memory)  # type: ignore[call-overload]
            found["theirs, channels last"] = (other, [swapped.contiguous(memory_format=memory)])
        if not first:
            kernel = self.theirs(channels).train(self.training)
            kernel(swapped)
            if self.rank in (2, 3):
                kernel.to(memory_format=torch.channels_last if self.rank == 2 else torch.channels_last_3d)  # type: ignore[call-overload]
            found["by hand"] = (ByHand(kernel, self.rank), [data.clone()])
        return found


class ByHand(nn.Module):
    """A layer of torch.nn for data in Keras' layout, in as few steps as Python allows: permuted, the code of its `forward`, permuted back.

    What it takes more than the bare layer is the price of the layout; what ours takes more than it is ours.
    """

    def __init__(self, layer: nn.Module, rank: int) -> None:
        super().__init__()
        self.layer = layer
        there, back = (0, rank + 1, *range(1, rank + 1)), (0, *range(2, rank + 2), 1)
        code: Callable[[Tensor], Tensor] = layer.forward
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            code = functools.partial(F.batch_norm, **_statistics(layer))

        def run(inputs: Tensor) -> Tensor:
            outputs = code(inputs.permute(there))
            return outputs.permute(back) if outputs.dim() > 2 else outputs

        self.run = run

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.run(inputs)


def _statistics(layer: Any) -> dict[str, Any]:
    """What F.batch_norm takes of a layer, which counts its updates beside that."""
    return {
        "running_mean": layer.running_mean,
        "running_var": layer.running_var,
        "weight": layer.weight,
        "bias": layer.bias,
        "training": layer.training,
        "momentum": layer.momentum,
        "eps": layer.eps,
    }


class Pad(nn.Module):
    """Zeros on the far side before a torch.nn layer: how "same" with strides is written by hand."""

    def __init__(self, pads: tuple[int, ...], layer: nn.Module) -> None:
        super().__init__()
        self.pads, self.layer = pads, layer

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(nn.functional.pad(inputs, self.pads))


class Cut(nn.Module):
    """The last entries of the space cut off after a torch.nn layer: how "same" is written by hand for a transposed convolution."""

    def __init__(self, layer: nn.Module, rank: int) -> None:
        super().__init__()
        self.layer, self.cut = layer, (..., *(slice(None, -1),) * rank)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)[self.cut]


class Function(nn.Module):
    """A function of torch as a layer, where torch.nn has none."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def made(cls: Any, *args: Any, channels: int = 0, **kwargs: Any) -> Callable[[int], nn.Module]:
    """Makes a layer of a class for a number of channels, which stands so many times before the other arguments."""
    return lambda number: cls(*(number,) * channels, *args, **kwargs)


def padded(pads: tuple[int, ...], layer: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Makes the layer with zeros before it."""
    return lambda number: Pad(pads, layer(number))


def cut(rank: int, layer: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Makes the layer with the last entries cut off after it."""
    return lambda number: Cut(layer(number), rank)


def flattened(layer: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Makes the layer with nn.Flatten after it."""
    return lambda number: nn.Sequential(layer(number), nn.Flatten())


def convolutions() -> list[Pair]:
    """Convolutions, transposed and channel by channel."""
    found = []
    for rank in (1, 2, 3):
        name = f"Conv{rank}D"
        conv, back = getattr(tk, name), getattr(tk, f"{name}Transpose")
        theirs, their_back = getattr(nn, f"Conv{rank}d"), getattr(nn, f"ConvTranspose{rank}d")
        found += [
            Pair(f"{name} 3 valid", rank, made(conv, 3, channels=1), made(theirs, 3, channels=2)),
            Pair(f"{name} 3 same", rank, made(conv, 3, padding="same", channels=1), made(theirs, 3, padding=1, channels=2)),
            Pair(f"{name} 3 same, strides 2", rank, made(conv, 3, 2, "same", channels=1), padded((0, 1) * rank, made(theirs, 3, 2, channels=2))),
            Pair(f"{name} 1", rank, made(conv, 1, channels=1), made(theirs, 1, channels=2)),
            Pair(f"{name}Transpose 2 valid, strides 2", rank, made(back, 2, 2, channels=1), made(their_back, 2, 2, channels=2)),
            Pair(f"{name}Transpose 3 same, strides 2", rank, made(back, 3, 2, "same", channels=1), cut(rank, made(their_back, 3, 2, channels=2))),
        ]
    return [
        *found,
        Pair("Conv1D 3 causal", 1, made(tk.Conv1D, 3, padding="causal", channels=1), padded((2, 0), made(nn.Conv1d, 3, channels=2))),
        Pair(
            "Conv2D 3 same, channels_first",
            2,
            made(tk.Conv2D, 3, padding="same", data_format="channels_first", channels=1),
            made(nn.Conv2d, 3, padding=1, channels=2),
        ),
        Pair("Conv2D 2 same", 2, made(tk.Conv2D, 2, padding="same", channels=1), padded((0, 1, 0, 1), made(nn.Conv2d, 2, channels=2))),
        *_channelwise(1, nn.Conv1d),
        *_channelwise(2, nn.Conv2d),
    ]


def _channelwise(rank: int, conv: Any) -> list[Pair]:
    def depthwise(number: int, bias: bool = True) -> nn.Module:
        return conv(number, number, 3, padding=1, groups=number, bias=bias)

    def separable(number: int) -> nn.Module:
        return nn.Sequential(depthwise(number, bias=False), conv(number, number, 1))

    return [
        Pair(f"DepthwiseConv{rank}D 3 same", rank, made(getattr(tk, f"DepthwiseConv{rank}D"), 3, padding="same"), depthwise),
        Pair(f"SeparableConv{rank}D 3 same", rank, made(getattr(tk, f"SeparableConv{rank}D"), 3, padding="same", channels=1), separable),
    ]


def pools() -> list[Pair]:
    """Pools of windows and of the whole space."""
    found = []
    for rank in (1, 2, 3):
        for name, theirs in (("Max", f"MaxPool{rank}d"), ("Average", f"AvgPool{rank}d")):
            cls, whole = getattr(tk, f"{name}Pooling{rank}D"), getattr(tk, f"Global{name}Pooling{rank}D")
            found += [
                Pair(f"{name}Pooling{rank}D 2", rank, made(cls, 2), made(getattr(nn, theirs), 2)),
                Pair(f"Global{name}Pooling{rank}D", rank, made(whole), flattened(made(getattr(nn, f"Adaptive{theirs}"), 1))),
            ]
        most = getattr(nn, f"MaxPool{rank}d")
        found.append(Pair(f"MaxPooling{rank}D 3 same", rank, made(getattr(tk, f"MaxPooling{rank}D"), 3, 1, "same"), made(most, 3, 1, padding=1)))
    return found


def resizing() -> list[Pair]:
    """Enlarging, padding and cropping."""
    found = []
    for rank in (1, 2, 3):
        up, pad, crop = (getattr(tk, f"{name}{rank}D") for name in ("UpSampling", "ZeroPadding", "Cropping"))
        inner = (..., *(slice(1, -1),) * rank)
        found += [
            Pair(f"UpSampling{rank}D 2", rank, made(up, 2), made(nn.Upsample, scale_factor=2)),
            Pair(f"ZeroPadding{rank}D 1", rank, made(pad, 1), made(nn.ConstantPad1d, (1, 1) * rank, 0.0)),
            Pair(f"Cropping{rank}D 1", rank, made(crop, 1), made(Function, functools.partial(_part, inner))),
        ]
    bilinear = made(tk.UpSampling2D, interpolation="bilinear")
    return [*found, Pair("UpSampling2D 2, bilinear", 2, bilinear, made(nn.UpsamplingBilinear2d, scale_factor=2))]


def _part(index: Any, inputs: Tensor) -> Tensor:
    return inputs[index]


def channels() -> list[Pair]:
    """What treats each channel for itself: normalization, dropout of channels, activations with a weight a channel; local convolutions."""
    found = []
    for rank in (1, 2, 3):
        norm, drop = getattr(nn, f"BatchNorm{rank}d"), getattr(nn, f"Dropout{rank}d")
        found += [
            Pair(f"BatchNormalization of {rank + 2} axes", rank, made(tk.BatchNormalization), made(norm, channels=1), training=True),
            Pair(f"BatchNormalization of {rank + 2} axes, inference", rank, made(tk.BatchNormalization), made(norm, channels=1)),
            Pair(f"SpatialDropout{rank}D", rank, made(getattr(tk, f"SpatialDropout{rank}D"), 0.5), made(drop, 0.5), training=True),
        ]
    first = made(tk.BatchNormalization, axis=1)
    return [
        *found,
        Pair("PReLU, shared over space", 2, made(tk.PReLU, shared_axes=[1, 2]), made(nn.PReLU, channels=1)),
        Pair("LocallyConnected1D 3", 1, made(tk.LocallyConnected1D, 3, channels=1), lambda number: Local(number, 3, 1)),
        Pair("LocallyConnected2D 3", 2, made(tk.LocallyConnected2D, 3, channels=1), lambda number: Local(number, 3, 2)),
        Pair("BatchNormalization, axis 1", 2, _in_channels_first(first), made(nn.BatchNorm2d, channels=1), training=True),
    ]


def _in_channels_first(layer: Callable[[int], Any]) -> Callable[[int], nn.Module]:
    def make(number: int) -> nn.Module:
        own = layer(number)
        own.data_format = "channels_first"
        return own

    return make


class Local(nn.Module):
    """A convolution with a kernel for each place, as it is written by hand: the windows, and a matrix product for each place."""

    def __init__(self, channels: int, window: int, rank: int) -> None:
        super().__init__()
        self.window, self.rank = window, rank
        self.weight, self.bias = nn.UninitializedParameter(), nn.UninitializedParameter()

    def forward(self, inputs: Tensor) -> Tensor:
        windows = inputs
        for axis in range(2, 2 + self.rank):
            windows = windows.unfold(axis, self.window, 1)
        batch, number, *space = windows.shape[: 2 + self.rank]
        places = windows.reshape(batch, number, -1, self.window**self.rank).permute(2, 0, 1, 3).flatten(2)  # (places, batch, channels * window)
        if isinstance(self.weight, nn.UninitializedParameter):
            self.weight.materialize((places.shape[0], places.shape[2], number))
            self.bias.materialize((places.shape[0], 1, number))  # type: ignore[attr-defined]
            nn.init.normal_(self.weight)
            nn.init.zeros_(self.bias)
        return torch.baddbmm(self.bias, places, self.weight).permute(1, 2, 0).unflatten(2, space)


def over_space() -> Sequence[Pair]:
    """All layers over space that are compared."""
    return [*convolutions(), *pools(), *resizing(), *channels()]
