"""Programs whose runs are killed: small models, and every kind of data, callback and mode."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

import torchkeras
from torchkeras import callbacks, layers, metrics, models, optimizers, utils
from torchkeras.layers import Input
from torchkeras.preprocessing.ragged import Ragged
from torchkeras.training.ahead import SLOW

PROGRAMS: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {}


def program(function: Callable[[Path], tuple[Any, dict[str, Any]]]) -> Callable[[Path], tuple[Any, dict[str, Any]]]:
    """Decorator: one of the programs."""
    PROGRAMS[function.__name__] = function
    return function


def numbers(samples: int = 18, size: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features, and targets that follow from them."""
    source = np.random.RandomState(seed)
    x = source.standard_normal((samples, size)).astype("float32")
    return x, (x @ source.standard_normal((size, 1))).astype("float32")


def dense(optimizer: Any = "sgd", dropout: float = 0.3, **compile: Any) -> Any:
    """A small net."""
    parts: list[Any] = [layers.Dense(5, activation="relu", input_shape=(4,)), layers.Dropout(dropout), layers.Dense(1)]
    model = models.Sequential(parts)
    model.compile(optimizer, "mse", **{"metrics": ["mae"], **compile})
    return model


def on_arrays(model: Any, **fit: Any) -> tuple[Any, dict[str, Any]]:
    """Trained on arrays."""
    x, y = numbers()
    return model, {"x": x, "y": y, "batch_size": 4, "epochs": 3, **fit}


# -- data at hand


@program
def arrays(folder: Path) -> Any:
    return on_arrays(dense("adam"), validation_data=numbers(7, seed=1))


@program
def arrays_in_order(folder: Path) -> Any:
    return on_arrays(dense(), shuffle=False, validation_split=0.2)


@program
def arrays_by_whole_batches(folder: Path) -> Any:
    return on_arrays(dense(), shuffle="batch")


@program
def some_steps_of_arrays(folder: Path) -> Any:
    return on_arrays(dense(), steps_per_epoch=3)


@program
def weighted(folder: Path) -> Any:
    x, y = numbers()
    model = dense(weighted_metrics=["mae"])
    return model, {
        "x": x,
        "y": y,
        "batch_size": 4,
        "epochs": 3,
        "sample_weight": np.linspace(0.1, 2, 18),
        "validation_freq": 2,
        "validation_split": 0.2,
    }


@program
def ragged(folder: Path) -> Any:
    source = np.random.RandomState(2)
    rows = [source.randint(1, 9, length) for length in source.randint(1, 7, 18)]
    model = models.Sequential([layers.Embedding(9, 3, mask_zero=True), layers.LSTM(4, dropout=0.2), layers.Dense(1)])
    model.compile("rmsprop", "mse")
    return model, {"x": Ragged(rows, bucket=True), "y": numbers()[1], "batch_size": 4, "epochs": 3}


@program
def memory_map(folder: Path) -> Any:
    x, y = numbers()
    path = folder / "x.npy"
    if not path.exists():
        np.save(path, x.astype("float64"))
    return dense(), {"x": np.load(path, mmap_mode="r"), "y": y, "batch_size": 4, "epochs": 3}


@program
def tensors(folder: Path) -> Any:
    x, y = numbers()
    return dense(), {"x": TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), "batch_size": 5, "epochs": 3}


# -- loaders


class Noisy(Dataset[Any]):
    """Samples with noise from torch's, NumPy's and its own generator."""

    def __init__(self) -> None:
        self.x, self.y = numbers()
        self.own = np.random.default_rng(4)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        noise = torch.rand(4).numpy() + np.random.rand(4) + self.own.random(4)
        return self.x[index] + noise.astype("float32"), self.y[index]


class Endless(IterableDataset[Any]):
    """Samples of a number that only their end tells."""

    def __iter__(self) -> Iterator[Any]:
        x, y = numbers()
        order = torch.randperm(18)
        for index in order:
            yield x[index] + np.float32(random.random()), y[index]


@program
def loader(folder: Path) -> Any:
    return dense(), {"x": DataLoader(Noisy(), 4, shuffle=True), "epochs": 3}


@program
def loader_with_a_generator(folder: Path) -> Any:
    source = torch.Generator().manual_seed(3)
    return dense("adam"), {
        "x": DataLoader(Noisy(), 4, shuffle=True, generator=source),
        "epochs": 3,
        "validation_data": DataLoader(Noisy(), 4, shuffle=True),
    }


@program
def loader_over_epochs(folder: Path) -> Any:
    data = Noisy()
    return dense(), {"x": DataLoader(data, 4, sampler=RandomSampler(data, replacement=True)), "steps_per_epoch": 3, "epochs": 5}


@program
def loader_of_unknown_length(folder: Path) -> Any:
    return dense(), {"x": DataLoader(Endless(), 4), "epochs": 3}


@program
def dataset(folder: Path) -> Any:
    return dense(), {"x": Noisy(), "batch_size": 4, "epochs": 3}


# -- sequences


class Batches(utils.Sequence):
    """Batches that are augmented, and shuffled after each epoch."""

    def __init__(self, size: int = 4) -> None:
        self.x, self.y = numbers()
        self.order = np.arange(18)
        self.size = size
        self.own = np.random.RandomState(1)

    def __len__(self) -> int:
        return -(-18 // self.size)

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows] + np.random.rand(len(rows), 1).astype("float32") + np.float32(self.own.rand()), self.y[rows]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)
        self.order = self.order[self.own.permutation(18)]


class Remembering(Batches):
    """A Sequence that says where it stands."""

    def state_dict(self) -> dict[str, Any]:
        return {"order": self.order, "own": self.own.get_state(legacy=False)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order = state["order"]
        self.own.set_state(state["own"])

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        self.order = self.order[::-1].copy()


@program
def sequence_in_the_loop(folder: Path) -> Any:
    return dense(), {"x": Batches(), "epochs": 3, "workers": 0, "validation_data": Batches(5)}


@program
def sequence_by_a_thread(folder: Path) -> Any:
    return dense("adam"), {"x": Batches(), "epochs": 3, "validation_data": numbers(7, seed=1)}


@program
def sequence_in_order(folder: Path) -> Any:
    return dense(), {"x": Batches(), "epochs": 4, "shuffle": False, "steps_per_epoch": 3}


@program
def sequence_that_remembers(folder: Path) -> Any:
    return dense(), {"x": Remembering(), "epochs": 3}


# -- generators


def batches(noise: Callable[[], float], order: Callable[[int], Any]) -> Iterator[Any]:
    """Batches without end."""
    x, y = numbers()
    while True:
        rows = np.asarray(order(18))
        for start in range(0, 18, 5):
            yield x[rows[start : start + 5]] + np.float32(noise()), y[rows[start : start + 5]]


class Seekable:
    """An iterator that goes to any of its batches."""

    def __init__(self) -> None:
        self.number = 0
        self.x, self.y = numbers()

    def __iter__(self) -> Seekable:
        return self

    def __next__(self) -> Any:
        rows = np.random.default_rng(self.number).permutation(18)[:4]
        self.number += 1
        return self.x[rows], self.y[rows]

    def seek(self, number: int) -> None:
        self.number = number


class Stateful(Seekable):
    """An iterator that says where it stands."""

    seek = None  # type: ignore[assignment]

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.number = state["number"]


@program
def generator_on_numpy(folder: Path) -> Any:
    return dense(), {"x": batches(np.random.rand, np.random.permutation), "steps_per_epoch": 3, "epochs": 4}


@program
def generator_on_torch(folder: Path) -> Any:
    source = batches(lambda: float(torch.rand(())), torch.randperm)  # dropout draws from the same generator
    return dense(), {"x": source, "steps_per_epoch": 3, "epochs": 4}


@program
def generator_of_its_own(folder: Path) -> Any:
    source, rng = random.Random(3), np.random.default_rng(2)
    given = batches(source.random, rng.permutation)
    valid = batches(np.random.rand, np.random.permutation)
    return dense(), {"x": given, "steps_per_epoch": 3, "epochs": 4, "validation_data": valid, "validation_steps": 2}


def slowly() -> float:
    """A number, some time later: a thread reads a generator of such."""
    time.sleep(2 * SLOW)
    return np.random.rand()


@program
def generator_ahead(folder: Path) -> Any:
    source, valid = batches(slowly, np.random.permutation), batches(slowly, np.random.permutation)
    return dense(), {"x": source, "steps_per_epoch": 5, "epochs": 3, "validation_data": valid, "validation_steps": 4}


@program
def generator_on_torch_ahead(folder: Path) -> Any:
    return dense(), {"x": batches(slowly, torch.randperm), "steps_per_epoch": 6, "epochs": 2}  # drawn for every fourth batch


@program
def generator_ahead_of_the_end(folder: Path) -> Any:
    x, y = numbers()
    rng = np.random.default_rng(1)
    source = ((x[rows], y[rows]) for rows in (rng.permutation(18)[: 4 + int(0 * slowly())] for _ in range(9)))
    return dense(), {"x": source, "steps_per_epoch": 3, "epochs": 3, "workers": 3}


@program
def seekable_ahead(folder: Path) -> Any:
    class Slow(Seekable):
        def __next__(self) -> Any:
            slowly()
            return super().__next__()

    return dense(), {"x": Slow(), "steps_per_epoch": 5, "epochs": 3}


@program
def seekable(folder: Path) -> Any:
    return dense(), {"x": Seekable(), "steps_per_epoch": 4, "epochs": 3, "validation_data": Seekable(), "validation_steps": 2}


@program
def stateful_source(folder: Path) -> Any:
    return dense(), {"x": Stateful(), "steps_per_epoch": 4, "epochs": 3, "validation_data": Stateful(), "validation_steps": 2, "workers": 2}


# -- modes of training


@program
def accumulated(folder: Path) -> Any:
    return on_arrays(dense("adam", gradient_accumulation_steps=3))


@program
def half_precision(folder: Path) -> Any:
    return on_arrays(dense("adam", mixed_precision="mixed_bfloat16", gradient_accumulation_steps=2))


@program
def scaled(folder: Path) -> Any:
    return on_arrays(dense("adam", mixed_precision="mixed_float16"))


@program
def scheduled_by_batches(folder: Path) -> Any:
    def make(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=15)

    return on_arrays(dense(torch.optim.AdamW, lr_scheduler=(make, "batch")))


@program
def scheduled_by_epochs(folder: Path) -> Any:
    return on_arrays(dense(optimizers.SGD(0.1, momentum=0.9), lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)))


@program
def schedule(folder: Path) -> Any:
    return on_arrays(dense(optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 4, 0.5), amsgrad=True)))


@program
def own_step(folder: Path) -> Any:
    class Own(models.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.drop, self.two = layers.Dense(4), layers.Dropout(0.3), layers.Dense(1)
            self.seen = metrics.Mean(name="seen")

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.two(self.drop(self.one(inputs), training=training))

        def train_step(self, data: Any) -> Any:
            found = super().train_step(data)
            self.seen.update_state(found["loss"])
            return {**found, "seen": self.seen.result()}

    model = Own()
    model.compile("adam", "mse")
    return on_arrays(model)


@program
def anomalies_looked_for(folder: Path) -> Any:
    return on_arrays(dense("nadam", detect_anomaly=True))


# -- layers with states of their own


@program
def stateful_layer(folder: Path) -> Any:
    x = np.random.RandomState(0).standard_normal((16, 3, 2)).astype("float32")
    model = models.Sequential([layers.LSTM(3, stateful=True, batch_input_shape=(4, 3, 2)), layers.Dropout(0.2, seed=5), layers.Dense(1)])
    model.compile("sgd", "mse")

    class Reset(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.reset_states()

    return model, {"x": x, "y": x[:, 0, :1], "batch_size": 4, "epochs": 3, "shuffle": False, "callbacks": [Reset()]}


@program
def masked(folder: Path) -> Any:
    x = np.random.RandomState(0).randint(0, 6, (18, 5))
    model = models.Sequential(
        [layers.Embedding(6, 3, mask_zero=True), layers.GRU(3, recurrent_dropout=0.2), layers.Dense(1, kernel_constraint="max_norm")]
    )
    model.compile("adagrad", "mse")
    return model, {"x": x, "y": numbers()[1], "batch_size": 4, "epochs": 3}


@program
def two_outputs(folder: Path) -> Any:
    inputs = Input((4,))
    hidden = layers.Dense(4, activation="relu", kernel_regularizer="l2", activity_regularizer="l1")(inputs)
    hidden = layers.BatchNormalization()(hidden)
    hidden = layers.GaussianNoise(0.1)(hidden)
    model = models.Model(inputs, [layers.Dense(1, name="first")(hidden), layers.Dense(1, name="second")(hidden)])
    model.compile("adam", "mse", loss_weights=[1, 0.3], metrics={"first": ["mae", metrics.RootMeanSquaredError()]})
    x, y = numbers()
    return model, {"x": x, "y": [y, -y], "batch_size": 4, "epochs": 3}


# -- callbacks


class Mean(callbacks.Callback):
    """A user's callback that remembers."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.found: list[float] = []
        self.sum = np.zeros(2)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.sum = self.sum + [logs["loss"], np.random.rand()]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(float(self.sum[0]))
        logs["sum"] = float(self.sum.sum())
        logs["count"] = len(self.found)

    def state_dict(self) -> dict[str, Any]:
        return {"found": self.found, "sum": self.sum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.found, self.sum = state["found"], state["sum"]


@program
def with_callbacks(folder: Path) -> Any:
    found = [
        callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
        callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=1.0),
        callbacks.ModelCheckpoint(folder / "best.h5", save_best_only=True, save_weights_only=True),
        callbacks.CSVLogger(folder / "log.csv"),
        callbacks.TerminateOnNaN(),
        Mean(),
    ]
    return on_arrays(dense("adam"), callbacks=found, validation_split=0.2, epochs=4)


@program
def stopped_early(folder: Path) -> Any:
    stop = callbacks.EarlyStopping("val_mae", min_delta=100.0, patience=2, restore_best_weights=True)
    return on_arrays(dense("adam"), callbacks=[stop], validation_split=0.2, epochs=9)


# -- other releases


@program
def keras2(folder: Path) -> Any:
    torchkeras.set_keras_version("2.2.4")
    return on_arrays(dense("adam"), validation_split=0.2)


@program
def keras2_by_whole_batches(folder: Path) -> Any:
    torchkeras.set_keras_version("2.2.4")
    return on_arrays(dense("rmsprop"), shuffle="batch", callbacks=[callbacks.BaseLogger()])


@program
def keras1(folder: Path) -> Any:
    torchkeras.set_keras_version("1.2.2")
    return on_arrays(dense("adadelta"))
