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

VOCABULARY, STEPS, TAG_STEPS, TAGS = 2000, 80, 40, 12


class Data(NamedTuple):
    """All samples of a program, in the form in which Keras takes them."""

    x: Any
    y: Any
    weights: Any = None


class Program(NamedTuple):
    """One workload: its data and the model, as a Keras user writes it."""

    title: str
    batch: int
    samples: int
    optimizer: str
    loss: Any
    model: Callable[[Any], Any]  # from a Keras to the model, not compiled yet
    data: Callable[[int], Data]
    metrics: Any = ("accuracy",)


def softmax_regression(keras: Any) -> Any:
    """93 features to 9 classes."""
    return keras.models.Sequential([keras.layers.Dense(9, activation="softmax", input_shape=(93,))])


def mlp(keras: Any) -> Any:
    """93 features, 100 hidden units, 9 classes."""
    layers = keras.layers
    return keras.models.Sequential([layers.Dense(100, activation="relu", input_shape=(93,)), layers.Dense(9, activation="softmax")])


def cnn(keras: Any) -> Any:
    """Two convolutions, a pool and two dense layers on 28x28x1 pictures."""
    layers = keras.layers
    stack = [
        layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
    return keras.models.Sequential(stack)


def resnet(keras: Any) -> Any:
    """Three residual blocks of 16, 32 and 64 channels on 32x32x3 pictures."""
    layers = keras.layers
    inputs = layers.Input(shape=(32, 32, 3))

    def convolved(x: Any, channels: int, size: int = 3, strides: int = 1) -> Any:
        x = layers.Conv2D(channels, (size, size), strides=(strides, strides), padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.Activation("relu")(convolved(inputs, 16))
    for channels, strides in ((16, 1), (32, 2), (64, 2)):
        inner = convolved(layers.Activation("relu")(convolved(x, channels, 3, strides)), channels)
        passed = x if strides == 1 else convolved(x, channels, 1, strides)
        x = layers.Activation("relu")(layers.add([inner, passed]))
    outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.models.Model(inputs, outputs)


def stacked_lstm(keras: Any) -> Any:
    """Three LSTM of 32 units on 8 steps of 16 features."""
    layers = keras.layers
    stack = [
        layers.LSTM(32, return_sequences=True, input_shape=(8, 16)),
        layers.LSTM(32, return_sequences=True),
        layers.LSTM(32),
        layers.Dense(10, activation="softmax"),
    ]
    return keras.models.Sequential(stack)


def masked_lstm(keras: Any) -> Any:
    """Embedding and an LSTM of 200 units over padded sentences."""
    layers = keras.layers
    stack = [layers.Embedding(VOCABULARY, 64, mask_zero=True), layers.LSTM(200), layers.Dense(1, activation="sigmoid")]
    return keras.models.Sequential(stack)


def tagger(keras: Any) -> Any:
    """Embedding, a GRU of 64 units in both directions, and a tag for each word."""
    layers = keras.layers
    stack = [
        layers.Embedding(VOCABULARY, 64, mask_zero=True),
        layers.Bidirectional(layers.GRU(64, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(TAGS, activation="softmax")),
    ]
    return keras.models.Sequential(stack)


def two_by_two(keras: Any) -> Any:
    """Two inputs of 93 and 20 features, a layer of 100 units, 9 classes and a number."""
    layers = keras.layers
    first, second = layers.Input(shape=(93,)), layers.Input(shape=(20,))
    hidden = layers.Dense(100, activation="relu")(layers.concatenate([first, second]))
    outputs = [layers.Dense(9, activation="softmax", name="ids")(hidden), layers.Dense(1, name="numbers")(hidden)]
    return keras.models.Model([first, second], outputs)


def classes(shape: Any, count: int) -> Callable[[int], Data]:
    """A function that makes noise of a shape, and class ids."""

    def make(samples: int) -> Data:
        random = np.random.RandomState(0)
        y = random.randint(0, count, size=samples)
        return Data(random.standard_normal((samples, *shape)).astype("float32"), y.astype("int64"))

    return make


def sentences(samples: int, steps: int = STEPS, where: str = "left") -> np.ndarray:
    """Ids of words, of which 55 % on average are not padding: on the left, on the right, or anywhere in the row (holes)."""
    random = np.random.RandomState(0)
    x = random.randint(1, VOCABULARY, size=(samples, steps))
    lengths = random.randint(steps // 10, steps + 1, size=(samples, 1))
    if where == "left":  # as `pad_sequences` does
        x[np.arange(steps) < steps - lengths] = 0
    elif where == "right":
        x[np.arange(steps) >= lengths] = 0
    else:
        x[random.random_sample(x.shape).argsort(axis=1) >= lengths] = 0
    return x.astype("int64")


def judged_sentences(where: str) -> Callable[[int], Data]:
    """A function that makes sentences and a yes or no for each."""
    return lambda samples: Data(sentences(samples, where=where), np.random.RandomState(1).randint(0, 2, samples).astype("float32"))


def tagged_sentences(samples: int) -> Data:
    """Sentences padded on the right, and a tag for each word."""
    tags = np.random.RandomState(1).randint(0, TAGS, size=(samples, TAG_STEPS, 1))
    return Data(sentences(samples, TAG_STEPS, "right"), tags.astype("int64"))


def pairs(weighted: bool) -> Callable[[int], Data]:
    """A function that makes two inputs and two targets, with or without weights of the samples."""

    def make(samples: int) -> Data:
        random = np.random.RandomState(0)
        x = [random.standard_normal((samples, size)).astype("float32") for size in (93, 20)]
        y = [random.randint(0, 9, size=samples).astype("int64"), random.standard_normal((samples, 1)).astype("float32")]
        return Data(x, y, [random.random_sample(samples).astype("float32") for _ in y] if weighted else None)

    return make


SPARSE = "sparse_categorical_crossentropy"
LSTM = "Embedding + LSTM 200, 80 steps, 55 % valid, {}, adam (32)"
TWO = ("adam", [SPARSE, "mse"], two_by_two)
PROGRAMS = {
    "softmax": Program("softmax regression 93->9, sgd (32)", 32, 61878, "sgd", SPARSE, softmax_regression, classes((93,), 9)),
    "mlp": Program("MLP 93->100->9, adam (128)", 128, 61878, "adam", SPARSE, mlp, classes((93,), 9)),
    "two": Program("two inputs, two outputs, adam (128)", 128, 25600, *TWO, pairs(False), None),
    "two_weighted": Program(
        "the same with sample weights and metrics (128)", 128, 25600, *TWO, pairs(True), {"ids": ["accuracy"], "numbers": ["mae"]}
    ),
    "cnn": Program("CNN 28x28x1: 2 conv, pool, 2 dense, adam (128)", 128, 1280, "adam", SPARSE, cnn, classes((28, 28, 1), 10)),
    "resnet": Program("ResNet 32x32x3: 3 blocks, adam (64)", 64, 640, "adam", SPARSE, resnet, classes((32, 32, 3), 10)),
    "lstm": Program("three stacked LSTM 32 on 8x16, rmsprop (64)", 64, 6400, "rmsprop", SPARSE, stacked_lstm, classes((8, 16), 10)),
    "masked_lstm": Program(LSTM.format("left"), 32, 640, "adam", "binary_crossentropy", masked_lstm, judged_sentences("left")),
    "masked_right": Program(LSTM.format("right"), 32, 640, "adam", "binary_crossentropy", masked_lstm, judged_sentences("right")),
    "masked_holes": Program(LSTM.format("holes"), 32, 640, "adam", "binary_crossentropy", masked_lstm, judged_sentences("holes")),
    "tagger": Program("tagger: bidirectional GRU 64, 40 steps, 55 % valid, adam (32)", 32, 960, "adam", SPARSE, tagger, tagged_sentences),
}


def compiled(name: str, keras: Any, **options: Any) -> Any:
    """A program's model, built and compiled by one Keras; `options` go to `compile`."""
    program = PROGRAMS[name]
    model = program.model(keras)
    metrics = list(program.metrics) if isinstance(program.metrics, tuple) else program.metrics
    model.compile(optimizer=program.optimizer, loss=program.loss, metrics=metrics, **options)
    return model


def actions(name: str, keras: Any, samples: int, **options: Any) -> dict[str, Callable[[], Any]]:
    """What the benchmark times: an epoch of training, a pass of prediction, and one of evaluation."""
    batch, (x, y, weights) = PROGRAMS[name].batch, PROGRAMS[name].data(samples)
    model = compiled(name, keras, **options)
    return {
        "train": lambda: model.fit(x, y, sample_weight=weights, batch_size=batch, epochs=1, verbose=0),
        "predict": lambda: model.predict(x, batch_size=batch, verbose=0),
        "evaluate": lambda: model.evaluate(x, y, sample_weight=weights, batch_size=batch, verbose=0),
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
