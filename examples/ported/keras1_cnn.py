"""Keras 1: a convolutional net with the channels first, trained from a generator."""

import json
import sys

import numpy as np
from keras.layers import Convolution2D, Dense, Flatten, MaxPooling2D
from keras.models import Sequential

rng = np.random.RandomState(3)
x = rng.normal(size=(24, 2, 10, 10)).astype("float32")
y = (x.mean(axis=(1, 2, 3)) > 0).astype("float32").reshape(-1, 1)

model = Sequential()
model.add(Convolution2D(4, 3, 3, border_mode="same", activation="relu", dim_ordering="th", input_shape=(2, 10, 10)))
model.add(MaxPooling2D(pool_size=(2, 2), dim_ordering="th"))
model.add(Convolution2D(3, 2, 2, subsample=(2, 2), dim_ordering="th"))
model.add(Flatten())
model.add(Dense(1, activation="sigmoid"))


def fixed(shape):
    # kernels of one number are the same wherever a release keeps their axes
    return 0.1 * np.ones(shape, "float32") if len(shape) == 4 else rng.uniform(-0.3, 0.3, size=shape).astype("float32")


model.set_weights([fixed(w.shape) for w in model.get_weights()])
model.compile(loss="binary_crossentropy", optimizer="adagrad")


def batches():
    while True:
        for start in range(0, 24, 6):
            yield x[start : start + 6], y[start : start + 6]


history = model.fit_generator(batches(), samples_per_epoch=24, nb_epoch=3, verbose=0)
score = model.evaluate_generator(batches(), val_samples=24)
json.dump({"loss": [float(v) for v in history.history["loss"]], "score": float(score)}, sys.stdout)
