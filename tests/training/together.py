"""What the processes of `test_processes` run: one Keras program each time, the same in one process and in two.

Usage: together.py CASE RESULT: trains, evaluates and predicts, and the first process writes what came out to RESULT.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import torchkeras
from tests.training.threads import tell_at_exit
from torchkeras import layers, models
from torchkeras.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torchkeras.callbacks.base import is_chief

RANK = int(os.environ.get("RANK", 0))


def data(samples: int, seed: int = 0) -> tuple[Any, Any]:
    """Features and class ids."""
    random = np.random.RandomState(seed)
    return random.standard_normal((samples, 6)).astype("float32"), random.randint(0, 3, samples)


def dense(**layer: Any) -> Any:
    """A small net whose first weights differ from process to process until training begins."""
    torchkeras.random.set_random_seed(RANK)
    net = models.Sequential([layers.Dense(8, activation="relu", input_shape=(6,), **layer), layers.Dense(3, activation="softmax")])
    torchkeras.random.set_random_seed(5 + RANK)  # the order of the first process counts
    return net


def results(net: Any, history: Any, x: Any, y: Any, batch: int = 8) -> dict[str, Any]:
    """What is compared."""
    return {
        "history": history.history,
        "weights": [weight.tolist() for weight in net.get_weights()],
        "evaluate": net.evaluate(x, y, batch_size=batch, verbose=0),
        "predict": np.asarray(net.predict(x, batch_size=batch)).tolist(),
    }


def arrays() -> dict[str, Any]:
    """25 samples in batches of 8: the last batch has one sample, for two processes."""
    x, y = data(25)
    net = dense(kernel_regularizer="l2", activity_regularizer="l1")
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    weight = np.linspace(0.5, 1.5, 25)
    history = net.fit(x, y, batch_size=8, epochs=3, validation_data=data(9, 1), sample_weight=weight, verbose=0)
    found = results(net, history, x, y)
    found["on_batch"] = net.train_on_batch(x[:7], y[:7])
    return found


def accumulated() -> dict[str, Any]:
    """Three batches to an update, the last one of a single batch."""
    x, y = data(28)
    net = dense()
    net.compile("sgd", "sparse_categorical_crossentropy", gradient_accumulation_steps=3)
    return results(net, net.fit(x, y, batch_size=8, epochs=2, verbose=0), x, y)


def keras2() -> dict[str, Any]:
    """The rules of Keras 2.2.4: masked and weighted losses are divided by what counts; orders come from NumPy."""
    torchkeras.set_keras_version("2.2.4")
    torchkeras.random.set_random_seed(RANK)
    net = models.Sequential([layers.Masking(input_shape=(5, 2)), layers.LSTM(4, return_sequences=True), layers.Dense(1)])
    net.compile("sgd", "mse", metrics=["mae"], sample_weight_mode=None)
    random = np.random.RandomState(3)
    x = random.standard_normal((17, 5, 2)).astype("float32")
    x[:, 3:][random.rand(17, 2) < 0.7] = 0.0
    y = random.standard_normal((17, 5, 1)).astype("float32")
    weight = (random.rand(17) < 0.6).astype("float32")
    np.random.seed(RANK)
    history = net.fit(x, y, batch_size=8, epochs=2, sample_weight=weight, verbose=0)
    return results(net, history, x, y)


def summed() -> dict[str, Any]:
    """Losses that add up, and batches from a generator that the other process never reads."""
    x, y = data(20)
    net = dense()
    net.compile("sgd", torch.nn.CrossEntropyLoss(reduction="sum"), metrics=["sparse_categorical_crossentropy"])

    def batches() -> Any:
        if RANK:
            raise AssertionError("only the first process reads")
        while True:
            for start in range(0, 20, 7):
                yield x[start : start + 7], y[start : start + 7]

    history = net.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0)
    return results(net, history, x, y)


def sampled() -> dict[str, Any]:
    """A loader whose sampler has shared out the samples: each process reads its own."""
    x, y = data(24)
    net = dense()
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    count = int(os.environ.get("WORLD_SIZE", 1))
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    sampler: Any = torch.utils.data.DistributedSampler(pairs, count, RANK, shuffle=False)
    history = net.fit(torch.utils.data.DataLoader(pairs, 8 // count, sampler=sampler), epochs=2, verbose=0)
    return results(net, history, x, y)


def stopped() -> dict[str, Any]:
    """Early stopping, and one process that wants to stop."""

    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            alone = "RANK" not in os.environ
            self.model.stop_training = epoch == 2 and (alone or RANK == 1)

    x, y = data(16)
    net = dense()
    net.compile("sgd", "sparse_categorical_crossentropy")
    history = net.fit(x, y, batch_size=8, epochs=9, verbose=0, callbacks=[EarlyStopping("loss", patience=8), Stop()])
    return results(net, history, x, y)


def normalized() -> dict[str, Any]:
    """Batch statistics of all processes."""
    x, y = data(25)
    torchkeras.random.set_random_seed(RANK)
    parts = [layers.Dense(5, input_shape=(6,)), layers.experimental.SyncBatchNormalization(), layers.Dense(3, activation="softmax")]
    net = models.Sequential(parts)
    net.compile("sgd", "sparse_categorical_crossentropy")
    return results(net, net.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0), x, y)


def sharded() -> dict[str, Any]:
    """Weights in shards: activity regularizers, sample weights, a metric; files of whole weights, written once and read by all."""
    x, y = data(25)
    net = dense(activity_regularizer="l1")
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], distribute="fsdp")
    weight = np.linspace(0.5, 1.5, 25)
    path = sys.argv[2] + "_{epoch}.h5"
    callbacks = [ModelCheckpoint(path, save_weights_only=True)]
    history = net.fit(x, y, batch_size=8, epochs=3, validation_data=data(9, 1), sample_weight=weight, verbose=0, callbacks=callbacks)
    if "RANK" in os.environ:
        assert net.weights_are_sharded
        local = sum(parameter.to_local().numel() for parameter in net.parameters())
        assert local < sum(parameter.numel() for parameter in net.parameters())  # about half of them
    found = results(net, history, x, y)
    found["on_batch"] = net.train_on_batch(x[:7], y[:7])
    found["after"] = np.concatenate([part.ravel() for part in net.get_weights()]).tolist()
    net.load_weights(path.format(epoch=3))
    found["loaded"] = np.concatenate([part.ravel() for part in net.get_weights()]).tolist()
    net.compile("sgd", "sparse_categorical_crossentropy", distribute="fsdp")
    found["compiled_anew"] = net.fit(x, y, batch_size=8, verbose=0).history["loss"]
    return found


def sharded_sequences() -> dict[str, Any]:
    """Masks, a recurrent layer, and a functional model whose layer is called twice."""
    torchkeras.random.set_random_seed(RANK)
    inputs = layers.Input((5,))
    words = layers.Embedding(7, 4, mask_zero=True)
    hidden = layers.LSTM(4, return_sequences=True)(words(inputs))
    shared = layers.Dense(4)
    outputs = layers.Dense(2)(shared(shared(layers.LSTM(4)(hidden))))
    net = models.Model(inputs, outputs)
    net.compile("rmsprop", "mse", distribute="fsdp")
    random = np.random.RandomState(3)
    x, y = random.randint(0, 7, (17, 5)), random.standard_normal((17, 2)).astype("float32")
    return results(net, net.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0), x, y)


def dying() -> dict[str, Any]:
    """The second process ends in the middle of an epoch."""

    class Die(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if RANK == 1 and batch == 1:
                os._exit(3)

    x, y = data(64)
    net = dense()
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.fit(x, y, batch_size=8, epochs=50, verbose=1, callbacks=[Die()])
    return {}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    case.__name__: case for case in (arrays, accumulated, keras2, summed, sampled, stopped, normalized, sharded, sharded_sequences, dying)
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    tell_at_exit(Path(sys.argv[2]).with_name(f"threads-{RANK}"))
    # several cases in one go: starting the processes takes longer than running them
    found = {}
    for name in sys.argv[1].split(","):
        found[name] = CASES[name]()
        torchkeras.set_keras_version("2.4.0")
    if is_chief():
        with open(sys.argv[2], "w") as file:
            json.dump(found, file)
