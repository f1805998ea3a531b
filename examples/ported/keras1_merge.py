"""Keras 1: two stacks joined by Merge, and the functional form with merge()."""

import json
import sys

import numpy as np
from keras.engine.topology import Merge
from keras.layers import Dense, Input, merge
from keras.models import Model, Sequential

rng = np.random.RandomState(5)
a, b = rng.normal(size=(30, 4)).astype("float32"), rng.normal(size=(30, 6)).astype("float32")
y = (a[:, :1] * 0.5 - b[:, :1]).astype("float32")

left, right = Sequential(), Sequential()
left.add(Dense(5, input_dim=4, activation="tanh"))
right.add(Dense(5, input_dim=6, activation="tanh"))
stacked = Sequential()
stacked.add(Merge([left, right], mode="concat"))
stacked.add(Dense(1))

first, second = Input(shape=(4,)), Input(shape=(6,))
hidden = merge([Dense(5)(first), Dense(5)(second)], mode=lambda pair: pair[0] * pair[1], output_shape=(5,))
graph = Model(input=[first, second], output=Dense(1)(hidden))

found = {}
for name, model in (("stacked", stacked), ("graph", graph)):
    model.set_weights([rng.uniform(-0.4, 0.4, size=w.shape).astype("float32") for w in model.get_weights()])
    model.compile(loss="mse", optimizer="sgd")
    history = model.fit([a, b], y, nb_epoch=3, batch_size=10, shuffle=False, verbose=0)
    found[name] = [float(v) for v in history.history["loss"]]
json.dump(found, sys.stdout)
