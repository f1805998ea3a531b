"""Pickles of models as this release of the library makes them, for the releases that come: run once a release, from the repository's root.

    python tests/saving/pickles/record.py NAME

writes NAME.pkl and NAME.npz beside this file. Pickles can run code: read only your own.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

from torchkeras import Input, Model, Sequential, layers
from torchkeras.utils import set_random_seed

FOLDER = Path(__file__).parent


def data(shape: tuple[int, ...], words: int = 0) -> np.ndarray:
    draw = np.random.default_rng(3)
    return draw.integers(0, words, shape) if words else draw.random(shape, "float32")


def picture() -> tuple[Model, np.ndarray, np.ndarray]:
    """Convolutions and a normalization, Adam."""
    model = Sequential(
        [
            layers.Conv2D(3, 3, activation="relu", input_shape=(6, 6, 2)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model, data((8, 6, 6, 2)), np.eye(2, dtype="float32")[np.arange(8) % 2]


def words() -> tuple[Model, np.ndarray, np.ndarray]:
    """Padding, recurrent layers in both directions, RMSprop."""
    model = Sequential(
        [
            layers.Embedding(7, 4, mask_zero=True, input_length=5),
            layers.Bidirectional(layers.GRU(3, return_sequences=True)),
            layers.LSTM(3),
            layers.Dense(1, kernel_regularizer="l2"),
        ]
    )
    model.compile("rmsprop", "mse")
    return model, data((8, 5), 7), data((8, 1))


def graph() -> tuple[Model, np.ndarray, np.ndarray]:
    """A graph with a shared layer, a model inside and an operator, SGD with momentum."""
    x = Input((4,))
    shared = layers.Dense(4, activation="tanh")
    inner = Sequential([layers.Dense(3, input_shape=(4,)), layers.LayerNormalization()])
    model = Model(x, layers.Dense(2)(inner(shared(shared(x))) * 2.0))
    model.compile("sgd", "mae")
    model.optimizer.momentum = 0.9
    return model, data((8, 4)), data((8, 2))


def main(name: str) -> None:
    pickles, arrays = {}, {}
    for make in (picture, words, graph):
        set_random_seed(1)
        model, x, y = make()
        model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
        key = make.__name__
        pickles[key] = pickle.dumps(model)
        arrays |= {f"{key}/x": x, f"{key}/y": y, f"{key}/before": model.predict(x)}
        again = pickle.loads(pickles[key])
        arrays[f"{key}/loss"] = np.array(again.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0).history["loss"])
        arrays[f"{key}/after"] = again.predict(x)
    (FOLDER / f"{name}.pkl").write_bytes(pickle.dumps(pickles))
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
