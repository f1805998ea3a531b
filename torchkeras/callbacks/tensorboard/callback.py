"""`TensorBoard`: write what happens in training for TensorBoard to show."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torchkeras.callbacks.arguments import positional
from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.callbacks.tensorboard.board import Board
from torchkeras.callbacks.tensorboard.parts import Activations, GraphWriter, Part, ProfilePart, ResourcesPart, WeightsPart, write_description
from torchkeras.callbacks.tensorboard.profiling import batch_range
from torchkeras.callbacks.tensorboard.projector import Projector
from torchkeras.callbacks.tensorboard.scalars import BatchScalars, epoch_scalars
from torchkeras.generations import choose


class TensorBoard(Callback):
    """Writes losses, metrics and more for TensorBoard; `tensorboard --logdir logs` shows them.

    Scalars have Keras' tags: `epoch_loss`, ... in the runs `train` and `validation`; in Keras 1 and 2 `loss`, `val_loss`, ... in one run. Nothing
    of it makes a training step wait for the device. A disk that is full is one warning, and training goes on. Under torchrun the first process
    alone writes. Ignite's TensorboardLogger is not used: it knows neither these runs and tags nor graphs, pictures, the projector, profiles and
    hyper-parameters, and takes another package where that is installed; it can be attached to `model.trainer` all the same.

    Args:
        log_dir: Folder of the runs.
        histogram_freq: Epochs between two histograms (and norms) of the weights; 0: none.
        write_graph: Whether to write the model's graph; of a subclassed model it is what its first batch shows.
        write_images: Whether to write weights as pictures, with their histograms.
        update_freq: "epoch"; "batch" or a number: write values of batches, too, every so many batches (in Keras 2: samples).
        profile_batch: The batch to profile, or a pair of the first and the last, counted from 1 over all epochs; 0: none. The trace goes to
            `<run>/profile/`, the table of the heaviest operators to the Text page. (tf.keras profiles batch 2 unless told not to.)
        embeddings_freq: Epochs between two tables of embeddings for the projector; 0: none.
        embeddings_metadata: The file with the labels of all embeddings, or by layer name a file or the labels themselves.
        write_grads: Whether to write histograms and norms of the gradients of the epoch's first batch, with those of the weights.
        batch_size: Of how many samples, the first ones of the validation, the layers' outputs are shown as histograms, with those of the weights;
            `None`: 32 in Keras 1 and 2, and in tf.keras, which shows none, no histograms.
        embeddings_layer_names: Layers to show in the projector; `None`: all embeddings.
        embeddings_data: Inputs whose outputs at these layers are shown; `None`: the embeddings' tables.
        hparams: Hyper-parameters of this run for the HParams page, by name. The page compares the folders below the one that TensorBoard is started
            on: give each run a `log_dir` of its own in it.
        hook: Called as `hook(board, epoch)` after each epoch, to add what one likes: `board.image(...)`, `board.confusion_matrix(...)`, ...
        write_text: Whether to write the model's summary, its config and the optimizer's as text.
        write_resources: Whether to write memory, the GPU's load, and the times of a step's parts, each epoch.

    Raises:
        ValueError: an argument out of range, or names of layers that are not there.
        OSError: when training begins, a `log_dir` that cannot be written.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `TensorBoard`.
    """

    state_names: ClassVar[tuple[str, ...]] = ("seen", "written_at")

    @positional(
        *("log_dir", "histogram_freq", "batch_size", "write_graph", "write_grads", "write_images"),
        *("embeddings_freq", "embeddings_layer_names", "embeddings_metadata", "embeddings_data", "update_freq"),
        keras1=("log_dir", "histogram_freq", "write_graph", "write_images"),
    )
    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | str | Sequence[int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, Any] | None = None,
        *,
        write_grads: bool = False,
        batch_size: int | None = None,
        embeddings_layer_names: Sequence[str] | None = None,
        embeddings_data: Any = None,
        hparams: Mapping[str, Any] | None = None,
        hook: Callable[[Board, int], Any] | None = None,
        write_text: bool = True,
        write_resources: bool = True,
    ) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = _frequency("histogram_freq", histogram_freq)
        self.embeddings_freq = _frequency("embeddings_freq", embeddings_freq)
        self.update_freq: Any = 1 if update_freq == "batch" else update_freq
        if self.update_freq != "epoch" and _frequency("update_freq", self.update_freq) == 0:
            raise ValueError("TensorBoard takes update_freq='epoch', 'batch' or a number of at least 1, but got 0.")
        self.write_graph, self.write_images, self.write_grads = write_graph, write_images, write_grads
        self.write_text, self.write_resources = write_text, write_resources
        self.profile_batch = batch_range(profile_batch)
        self.embeddings_metadata, self.embeddings_data = embeddings_metadata, embeddings_data
        self.embeddings_layer_names = embeddings_layer_names
        self.hparams = hparams
        self.hook = hook
        self.one_run = choose("tensorboard.runs") == "one"
        self.batch_size = 32 if batch_size is None and self.one_run else batch_size
        self.seen = 0  # batches of training, in Keras 1 and 2 samples
        self.board: Board | None = None
        self._scalars = BatchScalars(self.update_freq, self.one_run)
        self._parts: list[Part] = []
        self._projector: Projector | None = None

    @property
    def written_at(self) -> int:
        """What `seen` was when values of a batch were written last."""
        return self._scalars.written_at

    @written_at.setter
    def written_at(self, value: int) -> None:
        self._scalars.written_at = value

    def state_dict(self) -> dict[str, Any]:
        """How far the run is; values of batches that wait are written, since who goes on from here will not."""
        if self.board is not None:
            self._scalars.write(self.board)
            self.board.flush()
        return super().state_dict()

    def listens(self, hook: str) -> bool:
        """Batches matter only where their values are written, or some of them are profiled."""
        profiled = bool(self.profile_batch[1]) and "train_batch" in hook
        written = self.update_freq != "epoch" and hook == "on_train_batch_end"
        return "batch" not in hook or (is_chief() and (profiled or written))

    # -- training

    def on_train_begin(self, logs: Any = None) -> None:
        self.close()
        self.seen = 0
        if not is_chief():
            return
        self.board = board = Board(self.log_dir, self.one_run)
        _ = board["train"]  # a folder that cannot be written is told of now
        self._scalars.start()
        if self.embeddings_freq:
            self._projector = Projector(self.log_dir, self.model, self.embeddings_layer_names, self.embeddings_metadata, self.embeddings_data)
        parts: list[Any] = [
            GraphWriter(board, self.model) if self.write_graph else None,
            WeightsPart(board, self.model, self.histogram_freq, self.write_images, self.write_grads) if self.histogram_freq else None,
            Activations(board, self.model, self.histogram_freq, self.batch_size) if self.histogram_freq and self.batch_size else None,
            ProfilePart(board, *self.profile_batch) if self.profile_batch[1] else None,
            ResourcesPart(board, self.model) if self.write_resources else None,
        ]
        self._parts = [part for part in parts if part is not None]
        if self.write_text:
            write_description(board, self.model)
        if self.hparams is not None:
            board.start_session(self.hparams, self.params.get("metrics") or ())
        board.flush()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for part in self._parts:
            part.epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        for part in self._parts:
            part.batch_begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for part in self._parts:
            part.batch_end()
        if self.board is not None and self.update_freq != "epoch":
            self.seen += self._scalars.size(logs)
            self._scalars.add(self.board, self.seen, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        for part in self._parts:
            part.test_begin()

    def on_test_end(self, logs: Any = None) -> None:
        for part in self._parts:
            part.test_end()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        board = self.board
        if board is None:
            return
        self._scalars.write(board)
        step = self.seen if self.one_run and self.update_freq != "epoch" else epoch
        epoch_scalars(board, self.model, step, logs or {})
        for part in self._parts:
            part.epoch_end(epoch)
        if self._projector is not None and epoch % self.embeddings_freq == 0:
            self._projector.write()
        if self.hook is not None:
            self.hook(board, epoch)
        board.flush()

    def on_train_end(self, logs: Any = None) -> None:
        for part in self._parts:
            part.train_end()
        self._close_board(well=True)

    def close(self) -> None:
        """Stop what still listens or profiles, and close the files."""
        self._close_board(well=False)

    def _close_board(self, well: bool) -> None:
        parts, self._parts = self._parts, []
        for part in parts:
            part.close()
        self._projector = None
        board, self.board = self.board, None
        if board is not None:
            self._scalars.write(board)
            board.close(well)


def _frequency(name: str, value: Any) -> int:
    """A number of epochs, batches or samples, at least 0."""
    if value is False or value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        also = "'epoch', 'batch' or " if name == "update_freq" else ""
        raise ValueError(f"TensorBoard takes {name} as {also}a number of at least 0, but got {value!r}.")
    return value
