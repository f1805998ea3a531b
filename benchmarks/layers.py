"""`python -m benchmarks layers`: forward and backward of each layer over the nearest layer of torch.nn, worst ratio first."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import harness
from torchkeras import layers as tk

RATIO_GOAL = 1.05
EXCESS_GOAL = 5e-6  # seconds, where the input is tiny
SIZES = {  # (batch, channels, length of each axis of space) by rank
    "tiny": {1: (2, 4, 16), 2: (2, 4, 8), 3: (2, 4, 6)},
    "usual": {1: (16, 32, 128), 2: (16, 32, 28), 3: (4, 16, 16)},
}


@dataclass(frozen=True)
class Pair:
    """A layer and the layer of torch.nn nearest to it.

    Attributes:
        name: What the table calls it.
        rank: Axes of space of the input; 0: (batch, channels).
        ours: Makes our layer for a number of channels.
        theirs: Makes theirs. It gets the same numbers in (batch, channels, *space).
    """

    name: str
    rank: int
    ours: Callable[[int], nn.Module]
    theirs: Callable[[int], nn.Module]


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

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


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


def _convolutions() -> list[Pair]:
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


def _pools() -> list[Pair]:
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


def _resizing() -> list[Pair]:
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


def pairs() -> list[Pair]:
    """All layers that are compared."""
    return [*_convolutions(), *_pools(), *_resizing()]


def step(layer: nn.Module, inputs: Tensor, cotangent: Tensor, wanted: list[Tensor]) -> Any:
    """One pass forward and backward."""
    return torch.autograd.grad(layer(inputs), wanted, cotangent)


def contestants(pair: Pair, size: str) -> dict[str, Callable[[], Any]]:
    """Ours, theirs, and theirs on data in torch's channels-last memory format where there is one."""
    batch, channels, length = SIZES[size][max(pair.rank, 1)]
    data = torch.randn(batch, *(length,) * pair.rank, channels)
    swapped = data.movedim(-1, 1).contiguous()
    ours, theirs = pair.ours(channels), pair.theirs(channels)
    first = getattr(ours, "data_format", "channels_last") == "channels_first"
    contest = {"ours": (ours, swapped.clone() if first else data), "theirs": (theirs, swapped)}
    if pair.rank in (2, 3) and not first:
        memory = torch.channels_last if pair.rank == 2 else torch.channels_last_3d
        contest["theirs, channels last"] = (pair.theirs(channels).to(memory_format=memory), swapped.contiguous(memory_format=memory))  # type: ignore[call-overload]
    calls: dict[str, Callable[[], Any]] = {}
    for name, (layer, inputs) in contest.items():
        inputs = inputs.requires_grad_()
        output = layer(inputs)
        wanted = [inputs, *(parameter for parameter in layer.parameters() if parameter.requires_grad)]
        calls[name] = functools.partial(step, layer, inputs, torch.randn_like(output), wanted)
    return calls


def main(arguments: list[str]) -> int:
    """Print the table; 1 where a layer misses the goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks layers", description=__doc__)
    parser.add_argument("--only", default="", help="layers whose name has this in it")
    parser.add_argument("--size", choices=list(SIZES), action="append", help="sizes of the input (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.02, help="length of one measurement (default: %(default)s)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for a busy machine (default: %(default)s)")
    options = parser.parse_args(arguments)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    rows = []
    print(f"{harness.machine()}; {options.rounds} interleaved rounds, {options.threads} threads, {options.clock} clock.")
    with harness.threads(options.threads):
        for pair in pairs():
            for size in options.size or SIZES:
                if options.only.lower() in pair.name.lower():
                    calls = contestants(pair, size)
                    result = harness.compare(calls, baseline="theirs", rounds=options.rounds, warmup=3, least_seconds=options.seconds, clock=clock)
                    rows.append((pair.name, size, result))
    rows.sort(key=lambda row: row[2].ratio("ours").median, reverse=True)
    missed = [row for row in rows if not _met(row[2])]
    lines = [
        [
            f"{name}, {size}{'' if _met(result) else ' (missed)'}",
            f"{result.time('theirs').median * 1e6:.0f}",
            str(result.ratio("ours")),
            f"{result.excess('ours').median * 1e6:+.1f}",
            f"{result.ratio('theirs, channels last').median:.2f}" if "theirs, channels last" in result.seconds else "",
        ]
        for name, size, result in rows
    ]
    print(harness.markdown_table(["layer, input", "torch.nn, us", "ours / torch.nn", "ours more, us", "torch.nn, channels last / torch.nn"], lines))
    print(f"{len(rows) - len(missed)} of {len(rows)} are within {RATIO_GOAL} of torch.nn, or {EXCESS_GOAL * 1e6:.0f} us of it.")
    return 1 if missed else 0


def _met(result: harness.Comparison) -> bool:
    return result.ratio("ours").median <= RATIO_GOAL or result.excess("ours").median <= EXCESS_GOAL
