"""Keras 1: sequences of different lengths behind a Masking layer, a recurrent layer, weights for the samples."""

import json
import sys

import numpy as np
from keras.layers import Dense, Masking, SimpleRNN, TimeDistributed
from keras.models import Sequential

rng = np.random.RandomState(13)
x = rng.normal(size=(24, 6, 3)).astype("float32")
for row in range(24):
    x[row, 6 - row % 4 :] = -1.0
y = x[:, :, :1].mean(axis=1)
weights = np.where(y[:, 0] > 0, 2.0, 1.0)

model = Sequential()
model.add(Masking(mask_value=-1.0, input_shape=(6, 3)))
model.add(SimpleRNN(output_dim=4, return_sequences=True, inner_init="orthogonal"))
model.add(TimeDistributed(Dense(3, activation="tanh")))
model.add(SimpleRNN(4, activation="sigmoid", consume_less="mem"))
model.add(Dense(1))
model.set_weights([rng.uniform(-0.4, 0.4, size=w.shape).astype("float32") for w in model.get_weights()])
model.compile(loss="mse", optimizer="adam", metrics=["mae"])
history = model.fit(x, y, nb_epoch=3, batch_size=8, shuffle=False, verbose=0, sample_weight=weights, validation_split=0.25)
scores = model.test_on_batch(x, y)
json.dump(
    {
        "history": {k: [float(v) for v in vs] for k, vs in history.history.items()},
        "scores": [float(v) for v in scores],
        "first": model.predict(x[:3]).tolist(),
    },
    sys.stdout,
)
