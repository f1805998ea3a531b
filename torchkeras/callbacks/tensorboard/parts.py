"""What a TensorBoard callback writes beside scalars: each part listens to the moments it needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from torchkeras.callbacks.tensorboard.board import Board
from torchkeras.callbacks.tensorboard.graph import Watch, graph_event, keras_summary, model_json
from torchkeras.callbacks.tensorboard.profiling import Profile
from torchkeras.callbacks.tensorboard.projector import watch_outputs
from torchkeras.callbacks.tensorboard.resources import StepTimes, memory_values
from torchkeras.callbacks.tensorboard.weights import Gradients, histogram, write_weights
from torchkeras.utils.model_boxes import boxes_of, has_graph

_LONGEST_TEXT = 65_536  # characters of a config


class Part:
    """One thing to write; every moment is empty until it is overridden."""

    def epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""

    def batch_begin(self) -> None:
        """Before a batch of training, where the callback listens to them."""

    def batch_end(self) -> None:
        """After a batch of training, where the callback listens to them."""

    def test_begin(self) -> None:
        """Before a validation."""

    def test_end(self) -> None:
        """After a validation."""

    def epoch_end(self, epoch: int) -> None:
        """After an epoch and its validation."""

    def train_end(self) -> None:
        """After training that ended well."""

    def close(self) -> None:
        """Listen no more."""


class GraphWriter(Part):
    """The model's graph: at once where it is known, else from the first batch.

    Args:
        board: Where to.
        model: The model.
    """

    def __init__(self, board: Board, model: Any) -> None:
        self.board = board
        self._handles: list[Any] = []
        if has_graph(model):
            self._write(boxes_of(model))
            if hasattr(model, "get_config"):
                board.add("train", keras_summary(model), 0)
        elif isinstance(model, torch.nn.Module) and getattr(model, "_compiled_call_impl", None) is None:
            self._watch = Watch(model)
            self._handles = [model.register_forward_hook(self._first_batch), self._watch]

    def _first_batch(self, *unused: Any) -> None:
        boxes = self._watch.boxes
        self.close()
        self._write(boxes)

    def _write(self, boxes: list[Any]) -> None:
        self.board["train"]._get_file_writer().add_event(graph_event(boxes))

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []


class WeightsPart(Part):
    """Histograms, norms and pictures of weights, and those of gradients.

    Args:
        board: Where to.
        model: Whose weights.
        freq: Epochs between two of them.
        images: Whether pictures, too.
        grads: Whether gradients, too.
    """

    def __init__(self, board: Board, model: Any, freq: int, images: bool, grads: bool) -> None:
        self.board, self.model, self.freq, self.images, self.grads = board, model, freq, images, grads
        self._gradients: Gradients | None = None

    def epoch_begin(self, epoch: int) -> None:
        if self.grads and epoch % self.freq == 0 and hasattr(self.model.optimizer, "register_step_pre_hook"):
            self._gradients = Gradients(self.model.optimizer, self.model)

    def epoch_end(self, epoch: int) -> None:
        if epoch % self.freq == 0:
            write_weights(self.board["train"], self.model, epoch, self.images)
        if self._gradients is not None:
            gradients = self._gradients
            self.close()
            gradients.write(self.board["train"], epoch)

    def close(self) -> None:
        if self._gradients is not None:
            self._gradients.remove()
            self._gradients = None


class Activations(Part):
    """Histograms of what the layers put out in a validation, as Keras 1 and 2 write them.

    Args:
        board: Where to.
        model: Whose layers.
        freq: Epochs between two of them.
        samples: How many samples of the validation count.
    """

    def __init__(self, board: Board, model: Any, freq: int, samples: int) -> None:
        self.board, self.freq, self.samples = board, freq, samples
        self.layers = {layer.name: layer for layer in getattr(model, "layers", ()) if hasattr(layer, "name")}
        self._epoch = 0
        self._watch: Any = None
        self._found: Mapping[str, list[np.ndarray]] = {}

    def epoch_begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._found = {}

    def test_begin(self) -> None:
        if self._epoch % self.freq == 0 and self._watch is None:
            self._watch = watch_outputs(self.layers, self.samples)
            self._found = self._watch.__enter__()

    def test_end(self) -> None:
        self.close()

    def epoch_end(self, epoch: int) -> None:
        for name, parts in self._found.items():
            if parts:
                histogram(self.board["train"], f"{name}_out", torch.from_numpy(np.concatenate([part.ravel() for part in parts])), epoch)
        self._found = {}

    def close(self) -> None:
        if self._watch is not None:
            watch, self._watch = self._watch, None
            watch.__exit__(None, None, None)


class ProfilePart(Part):
    """A profile of the batches first..last, counted from 1 over all epochs.

    Args:
        board: Where to.
        first, last: The batches.
    """

    def __init__(self, board: Board, first: int, last: int) -> None:
        self.board, self.first, self.last = board, first, last
        self._batch = 0
        self._profile: Profile | None = None

    def batch_begin(self) -> None:
        self._batch += 1
        if self._batch == self.first:
            self._profile = Profile(self.first)

    def batch_end(self) -> None:
        if self._batch >= self.last:
            self._stop()

    def _stop(self) -> None:
        if self._profile is not None:
            profile, self._profile = self._profile, None
            tag, table, _ = profile.stop(self._batch, os.path.join(self.board.folder("train"), "profile"))
            self.board.text(tag, table, self._batch)

    def train_end(self) -> None:
        self._stop()

    def close(self) -> None:
        if self._profile is not None:
            self._profile.drop()
            self._profile = None


class ResourcesPart(Part):
    """Memory, load, and the times of a step's parts, each epoch.

    Args:
        board: Where to.
        model: Which trains.
    """

    def __init__(self, board: Board, model: Any) -> None:
        self.board = board
        first = next(model.parameters(), None) if hasattr(model, "parameters") else None
        self.device = torch.device("cpu") if first is None else first.device
        engine = getattr(model, "trainer", None)
        self._times = None if engine is None else StepTimes(engine, getattr(model, "optimizer", None), self.device)

    def epoch_begin(self, epoch: int) -> None:
        if self._times is not None:
            self._times.start_epoch()

    def epoch_end(self, epoch: int) -> None:
        values = memory_values(self.device)
        if self._times is not None:
            values.update(self._times.values())
        for name, value in values.items():
            self.board["train"].add_scalar(f"resources/{name}", value, epoch)

    def close(self) -> None:
        if self._times is not None:
            self._times.remove()
            self._times = None


def write_description(board: Board, model: Any) -> None:
    """The model's summary, its config and the optimizer's as text."""
    if getattr(model, "built", False) and hasattr(model, "summary"):
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        board.text("model/summary", _code("\n".join(lines)))
    if has_graph(model) and hasattr(model, "get_config"):
        board.text("model/config", _code(json.dumps(json.loads(model_json(model)), indent=2)))
    optimizer: Any = getattr(model, "optimizer", None)
    if hasattr(optimizer, "get_config"):
        config = {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}
        board.text("optimizer/config", _code(json.dumps(config, indent=2, default=str)))


def _code(text: str) -> str:
    """Text as a block of code in Markdown, cut where it is very long."""
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "\n... (cut)"
    return "\n".join(f"    {line}" for line in text.splitlines())
