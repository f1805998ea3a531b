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
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.networks import network
from benchmarks.programs import PROGRAMS
from benchmarks.tasks import Columns, Task

OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.01}),
    "adam": (torch.optim.Adam, {"lr": 0.001, "eps": 1e-7}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-7}),
}


def joined(answers: list[Any]) -> Any:
    """The answers of all batches as arrays."""
    if isinstance(answers[0], Tensor):
        return torch.cat(answers).cpu().numpy()
    return [torch.cat(parts).cpu().numpy() for parts in zip(*answers, strict=True)]


class Loop:
    """What the loops share: network, optimizer, data.

    Args:
        name: The program.
        samples: Rows of data.
        device: Where to train.
        flags: Of the optimizer.
        network: As `networks.network` takes it.
    """

    def __init__(self, name: str, samples: int, device: str = "cpu", flags: dict[str, bool] | None = None, **options: Any) -> None:
        program = PROGRAMS[name]
        self.name, self.batch, self.device, self.samples = name, program.batch, torch.device(device), samples
        self.task = Task(name, samples, device)
        self.model = network(name, **options).to(device)
        kind, settings = OPTIMIZERS[program.optimizer]
        self.optimizer = kind(self.model.parameters(), **settings, **(flags or {}))

    def slices(self) -> Iterator[Columns]:
        """All data in its order, slice by slice."""
        task = self.task
        for first, batch in enumerate(zip(*(column.split(self.batch) for column in task.columns), strict=True)):
            start = first * self.batch
            yield list(batch) if task.lengths is None else task.cut(list(batch), np.arange(start, start + len(batch[0])))

    def predict(self) -> Any:
        """Predict slice by slice."""
        task, model = self.task, self.model
        model.eval()
        with torch.inference_mode():
            return joined([task.answers(model(*batch[: task.inputs])) for batch in self.slices()])

    def means(self, losses: list[Tensor], scores: list[Tensor]) -> list[float]:
        """Of sums over an epoch, read at last: the losses and scores a sample."""
        return [loss.item() / self.samples for loss in losses] + [score.item() / self.task.counted for score in scores]

    def evaluate(self) -> list[float]:
        """Losses and scores of all data, added up in tensors."""
        task, model = self.task, self.model
        model.eval()
        losses: list[Tensor] = []
        scores: list[Tensor] = []
        with torch.inference_mode():
            for batch in self.slices():
                outputs = model(*batch[: task.inputs])
                count = len(batch[0])
                found, right = task.losses(outputs, batch), task.scores(outputs, batch)
                if losses:
                    for total, value in zip(losses, found, strict=True):
                        total.add_(value, alpha=count)
                    for total, value in zip(scores, right, strict=True):
                        total.add_(value)
                else:
                    losses, scores = [value * count for value in found], list(right)
        return self.means(losses, scores)


class Tuned(Loop):
    """The loop tuned by hand.

    Args:
        gather: Whether an epoch's data is put into its order at once, or batch by batch.
    """

    def __init__(self, name: str, samples: int, device: str, gather: bool, flags: dict[str, bool], packed: bool = True) -> None:
        super().__init__(name, samples, device, flags, tuned=True, packed=packed)
        self.gather = gather

    def batches(self) -> Iterator[Columns]:
        """An epoch's batches in a new order."""
        task = self.task
        order = torch.randperm(self.samples, device=self.device)
        if self.gather:
            columns = [column.index_select(0, order) for column in task.columns]
            for batch in zip(*(column.split(self.batch) for column in columns), strict=True):
                yield list(batch)
            return
        for rows in order.split(self.batch):
            columns = [column.index_select(0, rows) for column in task.columns]
            yield columns if task.lengths is None else task.cut(columns, rows.cpu().numpy())

    def train(self) -> list[float]:
        """One epoch: losses and scores."""
        task, model, optimizer, inputs = self.task, self.model, self.optimizer, self.task.inputs
        losses: list[Tensor] = []
        scores: list[Tensor] = []
        model.train()
        for batch in self.batches():
            optimizer.zero_grad(set_to_none=True)
            outputs = model(*batch[:inputs])
            found = task.losses(outputs, batch)
            found[0].backward()
            optimizer.step()
            with torch.no_grad():
                count = len(batch[0])
                right = task.scores(outputs, batch)
                if losses:
                    for total, value in zip(losses, found, strict=True):
                        total.add_(value, alpha=count)
                    for total, value in zip(scores, right, strict=True):
                        total.add_(value)
                else:
                    losses, scores = [value * count for value in found], list(right)
        return self.means(losses, scores)


class Tutorial(Loop):
    """The loop of the tutorials: a DataLoader, and losses and scores read every step."""

    def loader(self, shuffle: bool) -> DataLoader[Any]:
        """Batches of the data as one finds them in a tutorial."""
        return DataLoader(TensorDataset(*self.task.columns), batch_size=self.batch, shuffle=shuffle)

    def step(self, batch: Columns) -> tuple[Any, tuple[Tensor, ...]]:
        """Outputs and losses of a batch that was trained on."""
        self.optimizer.zero_grad()
        outputs = self.model(*batch[: self.task.inputs])
        losses = self.task.losses(outputs, batch)
        losses[0].backward()
        self.optimizer.step()
        return outputs, losses

    def train(self) -> list[float]:
        """One epoch: losses and scores."""
        totals: list[float] = []
        self.model.train()
        for batch in self.loader(shuffle=True):
            outputs, losses = self.step(batch)
            values = [loss.item() * len(batch[0]) for loss in losses] + [score.item() for score in self.task.scores(outputs, batch)]
            totals = [total + value for total, value in zip(totals, values, strict=True)] if totals else values
        return [total / self.samples for total in totals]


class PlainIgnite(Tutorial):
    """Ignite as its documentation shows it: an engine with the averages of losses and scores over a DataLoader."""

    def __init__(self, name: str, samples: int, device: str = "cpu") -> None:
        super().__init__(name, samples, device)
        from ignite.engine import Engine
        from ignite.metrics import Average

        self.trainer, self.tester, self.predictor = Engine(self._step), Engine(self._test), Engine(self._infer)
        for engine in (self.trainer, self.tester):
            for number in range(len(self._test(engine, [column[:2] for column in self.task.columns]))):
                Average(output_transform=lambda output, number=number: output[number]).attach(engine, f"value_{number}")

    def _values(self, outputs: Any, losses: tuple[Tensor, ...], batch: Columns) -> list[float]:
        return [loss.item() for loss in losses] + [score.item() / len(batch[0]) for score in self.task.scores(outputs, batch)]

    def _step(self, engine: Any, batch: Columns) -> list[float]:
        self.model.train()
        return self._values(*self.step(batch), batch)

    def _test(self, engine: Any, batch: Columns) -> list[float]:
        self.model.eval()
        with torch.no_grad():
            outputs = self.model(*batch[: self.task.inputs])
            return self._values(outputs, self.task.losses(outputs, batch), batch)

    def _infer(self, engine: Any, batch: Columns) -> Any:
        self.model.eval()
        with torch.no_grad():
            return self.task.answers(self.model(*batch[: self.task.inputs]))

    def train(self) -> list[float]:
        """One epoch: losses and scores."""
        return list(self.trainer.run(self.loader(shuffle=True), max_epochs=1).metrics.values())

    def evaluate(self) -> list[float]:
        """Losses and scores of all data."""
        return list(self.tester.run(self.loader(shuffle=False), max_epochs=1).metrics.values())

    def predict(self) -> Any:
        """Predict by an engine that keeps every output."""
        from ignite.engine import Events

        outputs: list[Any] = []
        with self.predictor.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output)):
            self.predictor.run(self.loader(shuffle=False))
        return joined(outputs)


def tuned(name: str, samples: int, device: str = "cpu") -> Tuned:
    """The quickest of the tuned loops: batches by index or gathered, optimizer fused, foreach or plain, tried for some steps each."""
    trial = min(samples, max(3 * PROGRAMS[name].batch, samples // 8))
    kinds: list[dict[str, bool]] = [{"foreach": True}, {"foreach": False}]
    if PROGRAMS[name].optimizer != "rmsprop":  # of which torch has no fused form
        kinds.append({"fused": True})
    padded = Task(name, 1).lengths is not None
    choices = [(gather, flags, packed) for gather in ((False,) if padded else (True, False)) for flags in kinds for packed in (True, False)]
    choices = [choice for choice in choices if choice[2] or name == "tagger"]
    loops = [Tuned(name, trial, device, *choice) for choice in choices]
    took = [math.inf] * len(loops)
    for _ in range(4):
        took = [min(before, _seconds(loop.train)) for before, loop in zip(took, loops, strict=True)]
    return Tuned(name, samples, device, *choices[took.index(min(took))])


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
