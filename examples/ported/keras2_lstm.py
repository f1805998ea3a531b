"""Keras 2: Embedding with a mask, LSTM, and a callback of one's own."""

import json
import sys

import numpy as np
from keras import backend as K
from keras.callbacks import Callback
from keras.layers import LSTM, Dense, Embedding
from keras.models import Sequential

rng = np.random.RandomState(11)
x = rng.randint(1, 20, size=(32, 7))
for row in range(32):
    x[row, : row % 5] = 0
y = (x.sum(axis=1) > 50).astype("float32")


class Losses(Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_batch_end(self, batch, logs=None):
        self.seen.append(float(logs["loss"]))


model = Sequential([Embedding(20, 6, mask_zero=True, input_length=7), LSTM(5), Dense(1, activation="sigmoid")])
model.set_weights([rng.uniform(-0.3, 0.3, size=w.shape).astype("float32") for w in model.get_weights()])
model.compile("rmsprop", "binary_crossentropy", metrics=["acc"])
K.set_value(model.optimizer.lr, 0.01)
losses = Losses()
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[losses])
json.dump({"history": {k: [float(v) for v in vs] for k, vs in history.history.items()}, "batches": losses.seen}, sys.stdout)
