"""Keras 2: two inputs, two outputs, a loss function written with the backend."""

import json
import sys

import keras
import numpy as np
from keras import backend as K
from keras.layers import Concatenate, Conv1D, Dense, GlobalMaxPooling1D, Input, Lambda

rng = np.random.RandomState(2)
series, extra = rng.normal(size=(20, 9, 3)).astype("float32"), rng.normal(size=(20, 4)).astype("float32")
main_target, side_target = series.mean(axis=(1, 2)).reshape(-1, 1), (extra[:, :1] > 0).astype("float32")


def smooth(y_true, y_pred):
    return K.mean(K.log(1 + K.square(y_true - y_pred)), axis=-1)


first, second = Input((9, 3), name="series"), Input((4,), name="extra")
features = GlobalMaxPooling1D()(Conv1D(6, 3, activation="relu")(first))
joined = Concatenate()([features, Lambda(lambda t: t * 2)(second)])
model = keras.models.Model([first, second], [Dense(1, name="main")(joined), Dense(1, activation="sigmoid", name="side")(joined)])
model.set_weights([rng.uniform(-0.3, 0.3, size=w.shape).astype("float32") for w in model.get_weights()])
model.compile(keras.optimizers.SGD(lr=0.05), loss={"main": smooth, "side": "binary_crossentropy"}, loss_weights={"main": 1.0, "side": 0.3})
history = model.fit([series, extra], [main_target, side_target], batch_size=5, epochs=3, shuffle=False, verbose=0)
json.dump({k: [float(v) for v in vs] for k, vs in history.history.items()}, sys.stdout)
