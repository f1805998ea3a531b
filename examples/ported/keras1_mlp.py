"""Keras 1: a Sequential MLP, data made from a NumPy seed, weights set by hand."""

import json
import sys

import numpy as np
from keras.layers.core import Activation, Dense, Dropout
from keras.models import Sequential
from keras.optimizers import SGD
from keras.utils import np_utils

rng = np.random.RandomState(7)
x = rng.normal(size=(60, 8)).astype("float32")
labels = (x[:, 0] + x[:, 1] > 0).astype("int32") + (x[:, 2] > 0.5)
y = np_utils.to_categorical(labels, 3)

model = Sequential()
model.add(Dense(16, input_dim=8, init="uniform"))
model.add(Activation("relu"))
model.add(Dropout(0.0))
model.add(Dense(3, W_regularizer=None))
model.add(Activation("softmax"))
model.set_weights([rng.uniform(-0.5, 0.5, size=w.shape).astype("float32") for w in model.get_weights()])
model.compile(loss="categorical_crossentropy", optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True), metrics=["accuracy"])
history = model.fit(x, y, batch_size=12, nb_epoch=4, shuffle=False, verbose=0, validation_data=(x[:10], y[:10]))
score = model.evaluate(x, y, batch_size=12, verbose=0)
classes = model.predict_classes(x[:12], verbose=0)

json.dump(
    {"history": {k: [float(v) for v in vs] for k, vs in history.history.items()}, "score": [float(v) for v in score], "classes": classes.tolist()},
    sys.stdout,
)
