"""Layers beside the nearest of torch.nn, for `python -m benchmarks layers`: those that take both sides' data in one layout."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.layer_pairs import Contestants, Function
from torchkeras import layers as tk

Maker = Callable[[int], Any]
Inputs = list[Tensor]


@dataclass(frozen=True)
class Twin:
    """A layer and the layer of torch.nn (or a few lines by hand) nearest to it, on the same data.

    Attributes:
        name: What the table calls it.
        inputs: Makes the inputs for a size ("tiny", "usual").
        ours: Makes our layer for the size of the last axis.
        theirs: Makes theirs.
        training: Whether both run in training mode.
        several: Whether our layer is called on a list of the inputs; otherwise on each as an argument, as theirs is.
    """

    name: str
    inputs: Callable[[str], Inputs]
    ours: Maker
    theirs: Maker
    training: bool = False
    several: bool = False

    def contestants(self, size: str) -> Contestants:
        """Ours and theirs."""
        data = self.inputs(size)
        last = data[0].shape[-1]
        own: list[Any] = [one.clone() for one in data]
        return {
            "ours": (self.ours(last).train(self.training), [own] if self.several else own),
            "theirs": (self.theirs(last).train(self.training), data),
        }


def _shaped(count: int, tiny: tuple[int, ...], usual: tuple[int, ...], size: str) -> Inputs:
    return [torch.randn(tiny if size == "tiny" else usual) for _ in range(count)]


def _ids(size: str) -> Inputs:
    return [torch.randint(0, 1000, (2, 8) if size == "tiny" else (32, 128))]


vectors = functools.partial(_shaped, 1, (8, 16), (256, 512))
steps = functools.partial(_shaped, 1, (2, 8, 16), (32, 128, 64))
images = functools.partial(_shaped, 1, (2, 8, 8, 4), (16, 28, 28, 32))


def several(count: int) -> Callable[[str], Inputs]:
    """Inputs for a layer that takes so many."""
    return functools.partial(_shaped, count, (8, 16), (256, 512))


def by_hand(function: Callable[..., Tensor]) -> Maker:
    """Makes a function of torch as a layer."""
    return lambda last: Function(function)


def core() -> list[Twin]:
    """Dense, Activation, Dropout and the layers that only reshape."""
    return [
        Twin("Dense", vectors, tk.Dense, lambda last: nn.Linear(last, last)),
        Twin("Dense, relu", vectors, lambda last: tk.Dense(last, "relu"), lambda last: nn.Sequential(nn.Linear(last, last), nn.ReLU())),
        Twin("Dense over steps", steps, tk.Dense, lambda last: nn.Linear(last, last)),
        Twin("Activation relu", vectors, lambda _: tk.Activation("relu"), lambda _: nn.ReLU()),
        Twin("Activation tanh", vectors, lambda _: tk.Activation("tanh"), lambda _: nn.Tanh()),
        Twin("Activation softmax", vectors, lambda _: tk.Activation("softmax"), lambda _: nn.Softmax(-1)),
        Twin("Dropout", vectors, lambda _: tk.Dropout(0.5), lambda _: nn.Dropout(0.5), training=True),
        Twin("Dropout, inference", vectors, lambda _: tk.Dropout(0.5), lambda _: nn.Dropout(0.5)),
        Twin("Flatten", images, lambda _: tk.Flatten(), lambda _: nn.Flatten()),
        Twin("Reshape", vectors, lambda _: tk.Reshape((2, -1)), lambda _: nn.Unflatten(1, (2, -1))),
        Twin("Permute", images, lambda _: tk.Permute((3, 1, 2)), by_hand(lambda x: x.permute(0, 3, 1, 2))),
        Twin("RepeatVector", vectors, lambda _: tk.RepeatVector(3), by_hand(lambda x: x.unsqueeze(1).repeat(1, 3, 1))),
        Twin("Lambda", vectors, lambda _: tk.Lambda(torch.sin), by_hand(torch.sin)),
        Twin("ActivityRegularization", vectors, lambda _: tk.ActivityRegularization(l2=0.1), lambda _: Penalty()),
        Twin("Masking", steps, lambda _: tk.Masking(), by_hand(_masked)),
    ]


class Penalty(nn.Module):
    """Keeps the penalty of a sample on its input for the loss and hands the input on, as a loop by hand does."""

    def forward(self, inputs: Tensor) -> Tensor:
        self.penalty = 0.1 * inputs.square().sum() / inputs.shape[0]
        return inputs


def _masked(inputs: Tensor) -> Tensor:
    counts = (inputs != 0).any(-1)
    return inputs * counts.unsqueeze(-1)


def merges() -> list[Twin]:
    """Layers that take several inputs."""
    two, three = several(2), several(3)

    def merge(name: str, inputs: Callable[[str], Inputs], function: Callable[..., Tensor], *args: Any) -> Twin:
        return Twin(name, inputs, lambda _: getattr(tk, name)(*args), by_hand(function), several=True)

    return [
        merge("Add", two, torch.add),
        merge("Subtract", two, torch.sub),
        merge("Multiply", two, torch.mul),
        merge("Average", three, lambda a, b, c: (a + b + c) / 3),
        merge("Maximum", two, torch.maximum),
        merge("Minimum", two, torch.minimum),
        merge("Concatenate", three, lambda *inputs: torch.cat(inputs, -1)),
        merge("Dot", two, lambda a, b: (a * b).sum(-1, keepdim=True), 1),
    ]


def normalization_and_tables() -> list[Twin]:
    """Normalization of vectors, LayerNormalization, Embedding."""
    return [
        Twin("BatchNormalization of 2 axes", vectors, lambda _: tk.BatchNormalization(), nn.BatchNorm1d, training=True),
        Twin("BatchNormalization of 2 axes, inference", vectors, lambda _: tk.BatchNormalization(), nn.BatchNorm1d),
        Twin("LayerNormalization", steps, lambda _: tk.LayerNormalization(), nn.LayerNorm),
        Twin("LayerNormalization of vectors", vectors, lambda _: tk.LayerNormalization(), nn.LayerNorm),
        Twin("Embedding", _ids, lambda _: tk.Embedding(1000, 32), lambda _: nn.Embedding(1000, 32)),
        Twin("Embedding, mask_zero", _ids, lambda _: tk.Embedding(1000, 32, mask_zero=True), lambda _: WithMask(nn.Embedding(1000, 32))),
    ]


class WithMask(nn.Module):
    """An embedding and the mask of its ids, as a loop by hand makes it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, ids: Tensor) -> Tensor:
        self.mask = ids != 0
        return self.layer(ids)


def noise_and_activations() -> list[Twin]:
    """Noise, and the activations that are layers."""

    def noisy(name: str, theirs: Maker) -> Twin:
        return Twin(name, vectors, lambda _: getattr(tk, name)(0.5), theirs, training=True)

    def activation(name: str, theirs: Maker, *args: Any) -> Twin:
        return Twin(name, vectors, lambda _: getattr(tk, name)(*args), theirs)

    return [
        noisy("GaussianNoise", by_hand(lambda x: x + torch.randn_like(x) * 0.5)),
        noisy("GaussianDropout", by_hand(lambda x: x * (torch.randn_like(x) + 1))),
        noisy("AlphaDropout", lambda _: nn.AlphaDropout(0.5)),
        activation("LeakyReLU", lambda _: nn.LeakyReLU(0.3)),
        activation("ELU", lambda _: nn.ELU()),
        activation("ThresholdedReLU", lambda _: nn.Threshold(1.0, 0.0)),
        activation("Softmax", lambda _: nn.Softmax(-1)),
        activation("ReLU", lambda _: nn.ReLU()),
        Twin("ReLU, max_value 6", vectors, lambda _: tk.ReLU(6.0), lambda _: nn.ReLU6()),
        Twin("PReLU", vectors, lambda _: tk.PReLU(), nn.PReLU),
    ]


def attentions() -> list[Twin]:
    """Attention of one head, of many, additive."""

    def dot(query: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query.unsqueeze(1), value.unsqueeze(1), value.unsqueeze(1), scale=1.0).squeeze(1)

    pair = functools.partial(_shaped, 2, (2, 8, 16), (16, 64, 64))
    return [
        Twin("Attention", pair, lambda _: tk.Attention(), by_hand(dot), several=True),
        Twin("AdditiveAttention", pair, lambda _: tk.AdditiveAttention(), Additive, several=True),
        Twin("MultiHeadAttention", pair, lambda last: tk.MultiHeadAttention(4, last // 4), lambda last: Heads(last, 4)),
    ]


class Additive(nn.Module):
    """Additive attention in a few lines by hand."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(size))

    def forward(self, query: Tensor, value: Tensor) -> Tensor:
        scores = torch.tanh(query.unsqueeze(2) + value.unsqueeze(1)) @ self.scale
        return torch.softmax(scores, -1) @ value


class Heads(nn.Module):
    """nn.MultiheadAttention of a query over a value."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(size, heads, batch_first=True)

    def forward(self, query: Tensor, value: Tensor) -> Tensor:
        return self.layer(query, value, value, need_weights=False)[0]


def on_one_layout() -> Sequence[Twin]:
    """All layers that are compared on the same data."""
    return [*core(), *merges(), *normalization_and_tables(), *noise_and_activations(), *attentions()]
