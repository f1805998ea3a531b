"""Training loops of other libraries over torch, where they are installed: skorch, Poutyne, Lightning."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.networks import network
from benchmarks.programs import PROGRAMS
from benchmarks.tasks import Task
from benchmarks.torch_loops import OPTIMIZERS, Tutorial, joined


class Unavailable(Exception):
    """A rival that cannot take part here; the message says why."""


class _Criterion(nn.Module):
    """The loss of a task of one target, as a module."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: Any, y: Any) -> Tensor:
        """The mean over the batch."""
        return self.task.losses(outputs, [*[y] * self.task.inputs, y])[0]


def _one_target(name: str, who: str) -> None:
    if name.startswith("two") or name == "tagger":
        raise Unavailable(f"{who} takes one target for each sample")


class Skorch:
    """skorch: `NeuralNet.partial_fit`, which keeps the loss of the epoch and no accuracy."""

    def __init__(self, name: str, samples: int, device: str = "cpu") -> None:
        _one_target(name, "skorch")
        from skorch import NeuralNet

        program = PROGRAMS[name]
        self.task = task = Task(name, samples, "cpu")
        kind, settings = OPTIMIZERS[program.optimizer]
        settings = {("lr" if key == "lr" else f"optimizer__{key}"): value for key, value in settings.items()}
        options = {"max_epochs": 1, "batch_size": program.batch, "train_split": None, "iterator_train__shuffle": True, "verbose": 0, "device": device}
        self.net = NeuralNet(network(name), criterion=_Criterion, criterion__task=task, optimizer=kind, **settings, **options)
        self.net.initialize()
        self.y = task.columns[-1]
        # skorch gives the parts of a dict to `forward` by name
        self.x: Any = task.columns[0] if task.inputs == 1 else dict(zip(("x", "lengths"), task.columns, strict=False))

    def train(self) -> Any:
        """One epoch."""
        return self.net.partial_fit(self.x, self.y)

    def predict(self) -> Any:
        """Answers for all samples."""
        return joined([self.task.answers(outputs) for outputs in self.net.forward_iter(self.x)])

    def evaluate(self) -> float:
        """Mean loss."""
        total = 0.0
        for batch in self.net.get_iterator(self.net.get_dataset(self.x, self.y)):
            total += self.net.validation_step(batch)["loss"].item() * len(batch[1])
        return total / len(self.y)


class Poutyne:
    """Poutyne: `Model.fit`, `predict` and `evaluate` on tensors, with the accuracy as metric."""

    def __init__(self, name: str, samples: int, device: str = "cpu") -> None:
        _one_target(name, "Poutyne")
        from poutyne import Model

        program = PROGRAMS[name]
        self.task, self.batch, net = Task(name, samples, "cpu"), program.batch, network(name)
        kind, settings = OPTIMIZERS[program.optimizer]
        self.model = Model(net, kind(net.parameters(), **settings), _Criterion(self.task), batch_metrics=[self._accuracy], device=device)
        inputs = self.task.columns[: self.task.inputs]
        self.x, self.y = inputs[0] if len(inputs) == 1 else tuple(inputs), self.task.columns[-1]

    def _accuracy(self, outputs: Any, y: Tensor) -> Tensor:
        return self.task.scores(outputs, [*[y] * self.task.inputs, y])[0] / len(y)

    def train(self) -> Any:
        """One epoch."""
        return self.model.fit(self.x, self.y, epochs=1, batch_size=self.batch, verbose=False)

    def predict(self) -> Any:
        """Answers for all samples."""
        outputs = self.model.predict(self.x, batch_size=self.batch, verbose=False)
        return self.task.answers(torch.from_numpy(np.asarray(outputs))).numpy()

    def evaluate(self) -> Any:
        """Loss and accuracy."""
        return self.model.evaluate(self.x, self.y, batch_size=self.batch, verbose=False)


def lightning(name: str, samples: int, device: str = "cpu") -> Any:
    """Lightning: a module with a training, a test and a predict step, and a `Trainer` that neither logs nor saves."""
    import lightning as package

    class Module(package.LightningModule):
        """The network with its steps."""

        def __init__(self, rival: Tutorial) -> None:
            super().__init__()
            self.net, self.task, self.made = rival.model, rival.task, rival.optimizer

        def _logged(self, batch: Any, stage: str) -> Tensor:
            outputs = self.net(*batch[: self.task.inputs])
            losses = self.task.losses(outputs, batch)
            names = [f"loss_{number}" for number in range(len(losses))]
            scores = [score / len(batch[0]) for score in self.task.scores(outputs, batch)]
            values = dict(zip([*names, *(f"score_{number}" for number in range(len(scores)))], [*losses, *scores], strict=True))
            self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch[0]))
            return losses[0]

        def training_step(self, batch: Any, index: int) -> Tensor:
            """The loss."""
            return self._logged(batch, "train")

        def test_step(self, batch: Any, index: int) -> Tensor:
            """The loss."""
            return self._logged(batch, "test")

        def predict_step(self, batch: Any, index: int) -> Any:
            """The answers."""
            return self.task.answers(self.net(*batch[: self.task.inputs]))

        def configure_optimizers(self) -> Any:
            """The optimizer, the same in every epoch."""
            return self.made

    class Runner:
        """What the benchmark calls."""

        def __init__(self) -> None:
            for logger in ("lightning.pytorch", "lightning.fabric", "lightning"):
                logging.getLogger(logger).setLevel(logging.ERROR)
            self.rival = Tutorial(name, samples, "cpu")
            self.module = Module(self.rival)
            quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
            self.options = {"max_epochs": 1, "accelerator": "gpu" if device == "cuda" else "cpu", "devices": 1, **quiet}

        def _trainer(self) -> Any:
            warnings.simplefilter("ignore")
            return package.Trainer(**self.options)

        def train(self) -> Any:
            """One epoch."""
            trainer = self._trainer()
            trainer.fit(self.module, self.rival.loader(shuffle=True))
            return trainer.callback_metrics

        def predict(self) -> Any:
            """Answers for all samples."""
            return joined(self._trainer().predict(self.module, self.rival.loader(shuffle=False)))

        def evaluate(self) -> Any:
            """Losses and scores."""
            return self._trainer().test(self.module, self.rival.loader(shuffle=False), verbose=False)

    return Runner()
