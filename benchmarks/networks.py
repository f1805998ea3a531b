"""The networks of the benchmark as one writes them in PyTorch; all end in logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.programs import TAGS, VOCABULARY


class FlattenLast(nn.Module):
    """Flatten pictures in the order they have in channels-last memory: a view, where nn.Flatten copies."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, height * width * channels)."""
        return x.permute(0, 2, 3, 1).flatten(1)


class LastStepLSTM(nn.Module):
    """A stack of LSTM whose last step, or last valid step, goes to a dense layer."""

    def __init__(self, size: int, units: int, depth: int, outputs: int, vocabulary: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, size) if vocabulary else None
        self.lstm = nn.LSTM(size, units, depth, batch_first=True)
        self.dense = nn.Linear(units, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits of (batch, steps, size), or of ids (batch, steps) with the number of valid steps in front."""
        steps, _ = self.lstm(x if self.embedding is None else self.embedding(x))
        if lengths is None:
            return self.dense(steps[:, -1])
        return self.dense(steps[torch.arange(len(steps), device=steps.device), lengths - 1])


class Tagger(nn.Module):
    """Embedding, a GRU in both directions, and logits for each step of rows whose valid steps stand in front.

    Args:
        packed: Whether the rows go through `pack_padded_sequence`, or the backward direction reads a copy with the valid steps turned around,
            so that both directions run the dense kernel.
    """

    def __init__(self, packed: bool = True) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(VOCABULARY, 64)
        self.there = nn.GRU(64, 64, batch_first=True, bidirectional=packed)
        self.back = None if packed else nn.GRU(64, 64, batch_first=True)
        self.dense = nn.Linear(128, TAGS)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, steps) ids and the number of valid steps -> (batch, steps, tags)."""
        words = self.embedding(x)
        if self.back is None:
            rows = nn.utils.rnn.pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
            steps, _ = nn.utils.rnn.pad_packed_sequence(self.there(rows)[0], batch_first=True, total_length=x.shape[1])
            return self.dense(steps)
        places = torch.arange(x.shape[1], device=x.device)
        turned = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
        flat = (turned + x.shape[1] * torch.arange(len(x), device=x.device)[:, None]).view(-1)
        ahead, _ = self.there(words)
        behind, _ = self.back(words.flatten(0, 1).index_select(0, flat).view(words.shape))
        behind = behind.flatten(0, 1).index_select(0, flat).view(behind.shape)
        return self.dense(torch.cat((ahead, behind), 2))


class Block(nn.Module):
    """A residual block; where it halves the picture, its input passes by a convolution of size 1."""

    def __init__(self, before: int, channels: int, strides: int) -> None:
        super().__init__()
        self.first, self.second = convolved(before, channels, 3, strides), convolved(channels, channels, 3)
        self.passed = nn.Identity() if strides == 1 else convolved(before, channels, 1, strides)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, before, height, width) -> (batch, channels, height / strides, width / strides)."""
        return F.relu(self.second(F.relu(self.first(x))) + self.passed(x))


def convolved(before: int, channels: int, size: int, strides: int = 1) -> nn.Sequential:
    """A convolution and the normalization of its batch; "same" with strides has its zeros on the far side, which no kernel of torch pads alone."""
    normalized = nn.BatchNorm2d(channels, eps=0.001, momentum=0.01)
    if strides > 1 and size > 1:
        return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(before, channels, size, strides, bias=False), normalized)
    return nn.Sequential(nn.Conv2d(before, channels, size, strides, size // 2, bias=False), normalized)


def resnet() -> nn.Module:
    """Three residual blocks."""
    blocks = (Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
    return nn.Sequential(convolved(3, 16, 3), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class TwoByTwo(nn.Module):
    """Two inputs, one hidden layer, class logits and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.ids, self.numbers = nn.Linear(113, 100), nn.Linear(100, 9), nn.Linear(100, 1)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, 93) and (batch, 20) -> (batch, 9) and (batch, 1)."""
        hidden = F.relu(self.hidden(torch.cat((first, second), 1)))
        return self.ids(hidden), self.numbers(hidden)


def network(name: str, tuned: bool = False, packed: bool = True) -> nn.Module:
    """The network of a program.

    Args:
        name: The program.
        tuned: Whether pictures and weights of convolutions lie in channels-last memory, all the way.
        packed: How the tagger runs both directions.
    """
    if name == "softmax":
        return nn.Linear(93, 9)
    if name == "mlp":
        return nn.Sequential(nn.Linear(93, 100), nn.ReLU(), nn.Linear(100, 9))
    if name.startswith("two"):
        return TwoByTwo()
    if name in ("cnn", "resnet"):
        convolutions = (nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2))
        dense = (FlattenLast() if tuned else nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
        made = resnet() if name == "resnet" else nn.Sequential(*convolutions, *dense)
        return made.to(memory_format=torch.channels_last) if tuned else made  # type: ignore[call-overload,no-any-return]
    if name == "lstm":
        return LastStepLSTM(16, 32, 3, 10)
    if name == "tagger":
        return Tagger(packed)
    return LastStepLSTM(64, 200, 1, 1, vocabulary=VOCABULARY)
