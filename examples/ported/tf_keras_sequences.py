"""tf.keras: masked embeddings, stacked recurrent layers both ways, a model of one's own with its own training step."""

import json
import sys

import numpy as np
import tensorflow as tf
from tensorflow import keras

rng = np.random.RandomState(19)
ids = rng.randint(1, 15, size=(24, 6))
for row in range(24):
    ids[row, 6 - row % 3 :] = 0
y = (ids.sum(axis=1) > 40).astype("float32").reshape(-1, 1)

inputs = keras.Input((6,), dtype="int32", name="ids")
x = keras.layers.Embedding(15, 5, mask_zero=True)(inputs)
x = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(x)
x = keras.layers.GRU(3)(x)
plain = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


class Weighted(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 2.0 * self.compiled_loss(y, self(x, training=True), regularization_losses=self.losses)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables))  # noqa: B905
        return {"loss": loss}


def fresh():
    numbers = np.random.RandomState(23)
    plain.set_weights([numbers.uniform(-0.3, 0.3, size=w.shape).astype("float32") for w in plain.get_weights()])


found = {}
fresh()
plain.compile(
    "rmsprop", keras.losses.BinaryCrossentropy(label_smoothing=0.1), metrics=[keras.metrics.BinaryAccuracy(), keras.metrics.AUC(name="auc")]
)
history = plain.fit(ids, y, epochs=3, batch_size=8, shuffle=False, verbose=0, validation_data=(ids[:8], y[:8]))
found["plain"] = {k: [float(v) for v in vs] for k, vs in history.history.items()}
fresh()
own = Weighted(plain)
own.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.8), momentum=0.9), "binary_crossentropy")
history = own.fit(ids, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
found["own"] = [float(v) for v in history.history["loss"]]
json.dump(found, sys.stdout)
