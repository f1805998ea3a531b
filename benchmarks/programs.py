"""The Keras programs of the benchmark: one source for torchkeras and for every genuine Keras.

Run as a script, this file serves one program to the benchmark over a pipe, from whatever Python and
Keras it is started with; hence it needs nothing of the other files and runs on Python 3.7.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Program(NamedTuple):
    """One workload: its data's size and the model, as a Keras user writes it."""

    title: str
    batch: int
    samples: int
    optimizer: str
    loss: str
    layers: Callable[[Any], list[Any]]  # from the `layers` module of a Keras to the stack


def softmax_regression(layers: Any) -> list[Any]:
    """93 features to 9 classes."""
    return [layers.Dense(9, activation="softmax", input_shape=(93,))]


def mlp(layers: Any) -> list[Any]:
    """93 features, 100 hidden units, 9 classes."""
    return [layers.Dense(100, activation="relu", input_shape=(93,)), layers.Dense(9, activation="softmax")]


def cnn(layers: Any) -> list[Any]:
    """Two convolutions, a pool and two dense layers on 28x28x1 pictures."""
    return [
        layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]


def stacked_lstm(layers: Any) -> list[Any]:
    """Three LSTM of 32 units on 8 steps of 16 features."""
    return [
        layers.LSTM(32, return_sequences=True, input_shape=(8, 16)),
        layers.LSTM(32, return_sequences=True),
        layers.LSTM(32),
        layers.Dense(10, activation="softmax"),
    ]


def masked_lstm(layers: Any) -> list[Any]:
    """Embedding and an LSTM of 200 units over padded sentences."""
    return [layers.Embedding(2000, 64, mask_zero=True), layers.LSTM(200), layers.Dense(1, activation="sigmoid")]


SPARSE = "sparse_categorical_crossentropy"
PROGRAMS = {
    "softmax": Program("softmax regression 93->9, sgd (32)", 32, 61878, "sgd", SPARSE, softmax_regression),
    "mlp": Program("MLP 93->100->9, adam (128)", 128, 61878, "adam", SPARSE, mlp),
    "cnn": Program("CNN 28x28x1: 2 conv, pool, 2 dense, adam (128)", 128, 1280, "adam", SPARSE, cnn),
    "lstm": Program("three stacked LSTM 32 on 8x16, rmsprop (64)", 64, 6400, "rmsprop", SPARSE, stacked_lstm),
    "masked_lstm": Program("Embedding + LSTM 200, 80 steps, 55 % valid, adam (32)", 32, 640, "adam", "binary_crossentropy", masked_lstm),
}
SHAPES = {"softmax": (93,), "mlp": (93,), "cnn": (28, 28, 1), "lstm": (8, 16)}
CLASSES = {"softmax": 9, "mlp": 9, "cnn": 10, "lstm": 10, "masked_lstm": 2}


def data(name: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a program, the same in every process: noise, since only the time counts."""
    random = np.random.RandomState(0)
    y = random.randint(0, CLASSES[name], size=samples)
    if name != "masked_lstm":
        return random.standard_normal((samples, *SHAPES[name])).astype("float32"), y.astype("int64")
    x = random.randint(1, 2000, size=(samples, 80))
    lengths = random.randint(8, 81, size=(samples, 1))  # 44 of 80 on average
    x[np.arange(80) < 80 - lengths] = 0  # padded on the left, as `pad_sequences` does
    return x.astype("int64"), y.astype("float32")


def compiled(name: str, keras: Any, metrics: bool = True) -> Any:
    """A program's model, built by one Keras."""
    program = PROGRAMS[name]
    model = keras.models.Sequential(program.layers(keras.layers))
    model.compile(optimizer=program.optimizer, loss=program.loss, metrics=["accuracy"] if metrics else None)
    return model


def actions(name: str, keras: Any, samples: int, metrics: bool = True) -> dict[str, Callable[[], Any]]:
    """What the benchmark times: an epoch of training and a pass of prediction."""
    x, y = data(name, samples)
    model, batch = compiled(name, keras, metrics), PROGRAMS[name].batch
    return {
        "train": lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0),
        "predict": lambda: model.predict(x, batch_size=batch, verbose=0),
    }


def load_keras(api: str, threads: int) -> tuple[Any, str]:
    """A Keras held to some threads, and its version: "torchkeras", "keras" (2.2.4 on TensorFlow 1, or 3 on torch) or "tensorflow"."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if api == "keras" and sys.version_info >= (3, 9):
        os.environ["KERAS_BACKEND"] = "torch"
    if api == "tensorflow":
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        return tensorflow.keras, f"tf.keras {tensorflow.keras.__version__}"
    keras = importlib.import_module(api)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    elif "tensorflow" in sys.modules:
        tensorflow = sys.modules["tensorflow"]
        settings = tensorflow.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
        keras.backend.set_session(tensorflow.Session(config=settings))
    return keras, f"{api} {keras.__version__}"


def serve() -> None:
    """Answer each line of standard input, the name of an action, with the seconds that it took."""
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("api", choices=["torchkeras", "keras", "tensorflow"])
    parser.add_argument("program", choices=sorted(PROGRAMS))
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["perf_counter", "process_time"], default="perf_counter")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a Keras prints must not stand among the answers
    keras, version = load_keras(options.api, options.threads)
    todo = actions(options.program, keras, options.samples)
    clock = getattr(time, options.clock)
    print(json.dumps({"version": version, "file": os.path.abspath(keras.__file__)}), file=answers, flush=True)
    for line in sys.stdin:
        gc.collect()
        start = clock()
        todo[line.strip()]()
        print(clock() - start, file=answers, flush=True)


if __name__ == "__main__":
    serve()
