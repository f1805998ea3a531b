"""Keras 2: a CNN with strides and pooling, trained from a Sequence with class weights, and a rate that a schedule sets."""

import json
import sys

import numpy as np
from keras.callbacks import LearningRateScheduler
from keras.layers import Activation, AveragePooling2D, Conv2D, Dense, DepthwiseConv2D, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.optimizers import Adam
from keras.utils import Sequence, to_categorical

rng = np.random.RandomState(17)
images = rng.normal(size=(20, 12, 12, 2)).astype("float32")
labels = to_categorical((images.mean(axis=(1, 2, 3)) > 0).astype("int64"), num_classes=2)


class Batches(Sequence):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return images[index * 5 : index * 5 + 5], labels[index * 5 : index * 5 + 5]


model = Sequential(
    [
        Conv2D(4, (3, 3), strides=(2, 2), padding="same", input_shape=(12, 12, 2)),
        Activation("relu"),
        DepthwiseConv2D(3, padding="same", activation="relu"),
        MaxPooling2D(),
        AveragePooling2D((2, 2), strides=(1, 1), padding="same"),
        Flatten(),
        Dense(2, activation="softmax"),
    ]
)
model.set_weights([rng.uniform(-0.4, 0.4, size=w.shape).astype("float32") for w in model.get_weights()])
model.compile(optimizer=Adam(lr=0.01), loss="categorical_crossentropy", metrics=["accuracy"])
history = model.fit_generator(
    Batches(),
    epochs=3,
    shuffle=False,
    verbose=0,
    class_weight={0: 1.0, 1: 3.0},
    validation_data=(images[:8], labels[:8]),
    callbacks=[LearningRateScheduler(lambda epoch: 0.01 * 0.5**epoch)],
)
scores = model.evaluate_generator(Batches(), steps=4)
json.dump(
    {
        "history": {k: [float(v) for v in vs] for k, vs in history.history.items()},
        "scores": [float(v) for v in scores],
        "predicted": model.predict_generator(Batches(), steps=4)[:3].tolist(),
    },
    sys.stdout,
)
