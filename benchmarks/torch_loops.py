"""The rivals written by hand: the tutorial's loop, the tuned loop, and plain Ignite.

Tuned means what somebody does who knows PyTorch well and wants this one network fast: data on the device from the
start, one permutation an epoch, batches taken by index or gathered once an epoch, fused or foreach optimizer,
channels-last views, masked rows moved to the front and cut to the longest, the dense kernel and a gather of each row's
last valid step, losses and metrics summed in tensors that are read once an epoch, `inference_mode` for predicting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.programs import PROGRAMS, data

OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.001, "eps": 1e-7}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-7}),
}


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


def network(name: str) -> nn.Module:
    """The network of a program, which ends in logits."""
    if name == "softmax":
        return nn.Linear(93, 9)
    if name == "mlp":
        return nn.Sequential(nn.Linear(93, 100), nn.ReLU(), nn.Linear(100, 9))
    if name == "cnn":
        convolutions = (nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2))
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
    if name == "lstm":
        return LastStepLSTM(16, 32, 3, 10)
    return LastStepLSTM(64, 200, 1, 1, vocabulary=2000)


class Loop:
    """What the loops share: network, optimizer, data, loss and accuracy."""

    def __init__(self, name: str, samples: int, device: str = "cpu", optimizer_flags: dict[str, bool] | None = None) -> None:
        program = PROGRAMS[name]
        self.name, self.batch, self.device = name, program.batch, torch.device(device)
        x, y = data(name, samples)
        self.x, self.y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
        if name == "cnn":
            self.x = self.x.permute(0, 3, 1, 2)  # a view: contiguous in channels-last memory
        self.lengths: np.ndarray | None = None
        if name == "masked_lstm":
            self.lengths = (x != 0).sum(axis=1)
            order = np.argsort(x == 0, axis=1, kind="stable")
            self.x = torch.from_numpy(np.take_along_axis(x, order, axis=1)).to(device)
        self.model = network(name).to(device)
        kind, settings = OPTIMIZERS[program.optimizer]
        self.optimizer = kind(self.model.parameters(), **settings, **(optimizer_flags or {}))

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Mean cross-entropy of logits."""
        if self.name == "masked_lstm":
            return F.binary_cross_entropy_with_logits(logits.squeeze(1), y)
        return F.cross_entropy(logits, y)

    def right(self, logits: Tensor, y: Tensor) -> Tensor:
        """How many answers are right."""
        return ((logits.squeeze(1) > 0) == (y > 0)).sum() if self.name == "masked_lstm" else (logits.argmax(1) == y).sum()

    def probabilities(self, logits: Tensor) -> Tensor:
        """What a Keras model puts out."""
        return logits.sigmoid() if self.name == "masked_lstm" else logits.softmax(1)

    def predict(self) -> np.ndarray:
        """Predict slice by slice."""
        self.model.eval()
        with torch.inference_mode():
            slices = self.x.split(self.batch)
            if self.lengths is None:
                return torch.cat([self.probabilities(self.model(x)) for x in slices]).cpu().numpy()
            lengths = np.split(self.lengths, range(self.batch, len(self.lengths), self.batch))
            pairs = [(x[:, : rows.max()], torch.from_numpy(rows).to(self.device)) for x, rows in zip(slices, lengths, strict=True)]
            return torch.cat([self.probabilities(self.model(x, rows)) for x, rows in pairs]).cpu().numpy()


class Tuned(Loop):
    """The loop tuned by hand."""

    def __init__(self, name: str, samples: int, device: str, gather: bool, flags: dict[str, bool]) -> None:
        super().__init__(name, samples, device, flags)
        self.gather = gather
        if isinstance(self.model, nn.Sequential) and name == "cnn":
            self.model[5] = FlattenLast()
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.total, self.hits = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)

    def batches(self) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """An epoch's batches: what the model takes, and the labels."""
        order = torch.randperm(len(self.x), device=self.device)
        if self.lengths is not None:
            for rows in order.split(self.batch):
                lengths = self.lengths[rows.cpu().numpy()]
                yield (self.x.index_select(0, rows)[:, : lengths.max()], torch.from_numpy(lengths).to(self.device)), self.y[rows]
        elif self.gather:
            x, y = self.x.index_select(0, order), self.y.index_select(0, order)
            for rows_x, rows_y in zip(x.split(self.batch), y.split(self.batch), strict=True):
                yield (rows_x,), rows_y
        else:
            for rows in order.split(self.batch):
                yield (self.x.index_select(0, rows),), self.y.index_select(0, rows)

    def train(self) -> tuple[float, float]:
        """One epoch: mean loss and accuracy."""
        model, optimizer, total, hits = self.model, self.optimizer, self.total.zero_(), self.hits.zero_()
        model.train()
        for inputs, y in self.batches():
            optimizer.zero_grad(set_to_none=True)
            logits = model(*inputs)
            loss = self.loss(logits, y)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                total.add_(loss, alpha=len(y))
                hits.add_(self.right(logits, y))
        return total.item() / len(self.y), hits.item() / len(self.y)


class Tutorial(Loop):
    """The loop of the tutorials: a DataLoader, and loss and accuracy read every step."""

    def loader(self, shuffle: bool) -> DataLoader[Any]:
        """Batches of the data as one finds them in a tutorial."""
        tensors = [self.x, self.y] if self.lengths is None else [self.x, torch.from_numpy(self.lengths).to(self.device), self.y]
        return DataLoader(TensorDataset(*tensors), batch_size=self.batch, shuffle=shuffle)

    def train(self) -> tuple[float, float]:
        """One epoch: mean loss and accuracy."""
        total, hits = 0.0, 0
        self.model.train()
        for *inputs, y in self.loader(shuffle=True):
            self.optimizer.zero_grad()
            logits = self.model(*inputs)
            loss = self.loss(logits, y)
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(y)
            hits += self.right(logits, y).item()  # type: ignore[assignment]
        return total / len(self.y), hits / len(self.y)


class PlainIgnite(Tutorial):
    """Ignite as its documentation shows it: a supervised trainer with a loss and an accuracy, and an evaluator."""

    def __init__(self, name: str, samples: int, device: str = "cpu") -> None:
        super().__init__(name, samples, device)
        from ignite.engine import Engine
        from ignite.metrics import Accuracy, Average

        self.trainer, self.predictor = Engine(self._step), Engine(self._infer)
        Average(output_transform=lambda output: output[0]).attach(self.trainer, "loss")
        Accuracy(output_transform=lambda output: output[1:], is_multilabel=False).attach(self.trainer, "accuracy")

    def _step(self, engine: Any, batch: list[Tensor]) -> tuple[float, Tensor, Tensor]:
        *inputs, y = batch
        self.model.train()
        self.optimizer.zero_grad()
        logits = self.model(*inputs)
        loss = self.loss(logits, y)
        loss.backward()
        self.optimizer.step()
        return loss.item(), ((logits.squeeze(1) > 0).long() if self.name == "masked_lstm" else logits).detach(), y.long()

    def _infer(self, engine: Any, batch: list[Tensor]) -> Tensor:
        self.model.eval()
        with torch.no_grad():
            return self.probabilities(self.model(*batch[:-1]))

    def train(self) -> tuple[float, float]:
        """One epoch: mean loss and accuracy."""
        state = self.trainer.run(self.loader(shuffle=True), max_epochs=1)
        return state.metrics["loss"], state.metrics["accuracy"]

    def predict(self) -> np.ndarray:
        """Predict by an engine that keeps every output."""
        from ignite.engine import Events

        outputs: list[Tensor] = []
        with self.predictor.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output)):
            self.predictor.run(self.loader(shuffle=False))
        return torch.cat(outputs).cpu().numpy()


def tuned(name: str, samples: int, device: str = "cpu") -> Tuned:
    """The quickest of the tuned loops: batches by index or gathered, optimizer fused, foreach or plain, tried for some steps each."""
    trial = min(samples, max(3 * PROGRAMS[name].batch, samples // 8))
    kinds: list[dict[str, bool]] = [{"foreach": True}, {"foreach": False}]
    if PROGRAMS[name].optimizer != "rmsprop":  # of which torch has no fused form
        kinds.append({"fused": True})
    choices = [(gather, flags) for gather in ((False,) if name == "masked_lstm" else (True, False)) for flags in kinds]
    loops = [Tuned(name, trial, device, *choice) for choice in choices]
    took = [math.inf] * len(loops)
    for _ in range(4):
        took = [min(before, _seconds(loop.train)) for before, loop in zip(took, loops, strict=True)]
    return Tuned(name, samples, device, *choices[took.index(min(took))])


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
