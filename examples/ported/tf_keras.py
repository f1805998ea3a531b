"""tf.keras: a functional model on a dataset, then a training step of one's own."""

import json
import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

tf.random.set_seed(1)
rng = np.random.RandomState(9)
x = rng.normal(size=(24, 8, 8, 1)).astype("float32")
y = (x.mean(axis=(1, 2, 3)) > 0).astype("int64")

inputs = tf.keras.Input((8, 8, 1))
hidden = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
hidden = layers.MaxPool2D()(hidden)
outputs = layers.Dense(2, activation="softmax")(layers.Flatten()(hidden))
model = tf.keras.Model(inputs, outputs)
model.set_weights([rng.uniform(-0.3, 0.3, size=w.shape).astype("float32") for w in model.get_weights()])
model.compile(tf.keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
data = tf.data.Dataset.from_tensor_slices((x, y)).batch(6)
history = model.fit(data, epochs=3, verbose=0)

optimizer = tf.keras.optimizers.SGD(0.1)
steps = []
for batch, target in data:
    with tf.GradientTape() as tape:
        picked = tf.one_hot(target, 2) * model(batch)
        loss = -tf.reduce_mean(tf.math.log(tf.reduce_sum(picked, axis=-1)))
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))  # noqa: B905
    steps.append(float(loss))
json.dump({"history": {k: [float(v) for v in vs] for k, vs in history.history.items()}, "steps": steps}, sys.stdout)
