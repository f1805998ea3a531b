"""Makes the files of this folder; run by each genuine Keras in its own Python, from the repository's root.

    PYTHON tests/saving/corpus/record.py [--keras]

Each model is trained for two epochs, saved, loaded again by the same Keras, and trained for two more. `--keras` takes the package keras where
TensorFlow has one inside. What each model is for stands in its docstring.
"""

# ruff: noqa: UP008, UP032 - of Python 3.7
import json
import os
import sys

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "torch" if sys.version_info >= (3, 10) else "tensorflow"
try:
    if "--keras" in sys.argv:
        raise ImportError
    from tensorflow import keras
except ImportError:
    import keras

FOLDER = os.path.dirname(os.path.abspath(__file__))
VERSION = keras.__version__
MAJOR = int(VERSION.split(".")[0])
OLD = MAJOR == 1
layers, models, optimizers = keras.layers, keras.models, keras.optimizers
K = keras.backend

sys.path.insert(0, os.path.dirname(FOLDER))
from referee_program import assign_after_computing  # noqa: E402


def functional(inputs, outputs):
    return models.Model(input=inputs, output=outputs) if OLD else models.Model(inputs, outputs)


def dense(units, **kwargs):
    return layers.Dense(units, **kwargs)


def add(parts):
    return layers.merge(parts, mode="sum") if OLD else layers.add(parts)


def random(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


def half(x):
    return x * 0.5


def soft_cap(x):
    """An activation of the user's own."""
    return 3.0 * K.tanh(x / 3.0) if MAJOR < 3 else 3.0 * keras.ops.tanh(x / 3.0)


def pinball(y_true, y_pred):
    """A loss of the user's own."""
    mean, maximum = (K.mean, K.maximum) if MAJOR < 3 else (keras.ops.mean, keras.ops.maximum)
    return mean(maximum(0.3 * (y_true - y_pred), 0.7 * (y_pred - y_true)), axis=-1)


class Scale(layers.Layer):
    """A layer of the user's own: one factor for each feature, and a number that the config keeps."""

    def __init__(self, power=1, **kwargs):
        self.power = power
        super(Scale, self).__init__(**kwargs)

    def build(self, input_shape):
        if OLD:
            self.factor = K.variable(np.ones(input_shape[-1:]) * 1.5, name="{}_factor".format(self.name))
            self.trainable_weights = [self.factor]
        else:
            self.factor = self.add_weight(name="factor", shape=(input_shape[-1],), initializer=keras.initializers.Constant(1.5), trainable=True)
        super(Scale, self).build(input_shape)

    def call(self, inputs, mask=None):
        return inputs * self.factor**self.power

    def compute_output_shape(self, input_shape):
        return input_shape

    get_output_shape_for = compute_output_shape

    def get_config(self):
        config = super(Scale, self).get_config()
        config["power"] = self.power
        return config


def bytecode():
    """A Lambda of an expression (the file holds its bytecode) and one of a named function."""
    x = layers.Input(shape=(4,), name="x")
    y = layers.Lambda(lambda t: t * 2 + 1, name="twice")(dense(5, activation="tanh", name="one")(x))
    # Keras 3 cannot tell the shape of an unnamed function that it reads
    named = layers.Lambda(half, name="halved") if OLD or MAJOR == 2 else layers.Lambda(half, name="halved", output_shape=(5,))
    model = functional(x, dense(2, name="two")(named(y)))
    model.compile(optimizers.SGD(0.05, momentum=0.9, nesterov=True), "mse")
    return model, [random(8, 4)], [random(8, 2, seed=1)]


def own():
    """A class, a loss and an activation of the user's own."""
    model = models.Sequential(
        [
            dense(6, activation=soft_cap, input_shape=(4,), name="one"),
            Scale(2, name="scale"),
            dense(2, name="two"),
        ]
    )
    model.compile(optimizers.Adamax(0.01), pinball)
    return model, [random(8, 4)], [random(8, 2, seed=1)]


def shared():
    """A model inside of a model, called twice, with a frozen normalization in it; two inputs."""
    inner = models.Sequential([dense(6, activation="relu", input_shape=(4,), name="inner_one"), layers.BatchNormalization(name="norm")], name="inner")
    inner.layers[1].trainable = False
    a, b = layers.Input(shape=(4,), name="a"), layers.Input(shape=(4,), name="b")
    model = functional([a, b], dense(1, activation="sigmoid", name="end")(add([inner(a), inner(b)])))
    model.compile(optimizers.Adagrad(0.05), "binary_crossentropy")
    return model, [random(8, 4), random(8, 4, seed=3)], [(random(8, 1, seed=1) > 0).astype("float32")]


def masked():
    """Words with padding, a normalization over time, one target a step: the loss under a mask."""
    x = layers.Input(shape=(6,), dtype="int32", name="words")
    h = layers.Embedding(9, 5, mask_zero=True, name="table")(x)
    h = layers.LSTM(4, return_sequences=True, name="lstm")(h)
    model = functional(x, layers.TimeDistributed(dense(3, activation="softmax"), name="each")(h))
    if not hasattr(optimizers, "schedules"):
        optimizer = optimizers.RMSprop(0.01)
    else:
        optimizer = optimizers.RMSprop(0.01, momentum=0.5, centered=True)
    model.compile(optimizer, "categorical_crossentropy")
    words = np.random.RandomState(0).randint(1, 9, (8, 6)).astype("int32")
    for row, length in enumerate((6, 5, 4, 3, 2, 1, 6, 4)):
        words[row, length:] = 0
    return model, [words], [np.eye(3, dtype="float32")[np.random.RandomState(1).randint(0, 3, (8, 6))]]


def scheduled():
    """A rate that decays, clipped gradients, penalties and limits on weights."""
    decaying = {"decay": 0.1} if MAJOR < 3 else {}
    schedules = getattr(optimizers, "schedules", None)
    rate = schedules.ExponentialDecay(0.05, 3, 0.7) if schedules is not None else 0.05
    extra = {} if schedules is not None else decaying
    l2 = keras.regularizers.l2(0.01)
    limit = keras.constraints.maxnorm(1.5) if OLD else keras.constraints.max_norm(1.5)
    penalty = {"W_regularizer": l2, "W_constraint": limit} if OLD else {"kernel_regularizer": l2, "kernel_constraint": limit}
    model = models.Sequential([dense(6, activation="elu", input_shape=(4,), name="one", **penalty), dense(3, activation="softmax", name="two")])
    model.compile(optimizers.Adam(rate, clipnorm=0.3, **extra), "categorical_crossentropy")
    return model, [random(8, 4)], [np.eye(3, dtype="float32")[np.arange(8) % 3]]


def picture():
    """Convolutions, a normalization that moves, pooling, dropout that is never on."""
    same = {"border_mode": "same"} if OLD else {"padding": "same"}
    window = (4, 3, 3) if OLD else (4, (3, 3))
    kind = layers.Convolution2D if OLD else layers.Conv2D
    model = models.Sequential(
        [
            kind(*window, activation="relu", input_shape=(6, 6, 2), name="conv", **same),
            layers.BatchNormalization(axis=-1, momentum=0.8, name="norm"),
            layers.MaxPooling2D((2, 2), name="pool"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.0, name="drop"),
            dense(2, name="end"),
        ]
    )
    model.compile(optimizers.Adadelta(0.5), "mae")
    return model, [random(8, 6, 6, 2)], [random(8, 2, seed=1)]


CASES = [bytecode, own, shared, masked, scheduled, picture]
OWN = {"Scale": Scale, "soft_cap": soft_cap, "pinball": pinball, "half": half}


def train(model, x, y):
    epochs = {"nb_epoch": 2} if OLD else {"epochs": 2}
    found = model.fit(x[0] if len(x) == 1 else x, y[0], batch_size=4, shuffle=False, verbose=0, **epochs)
    return found.history["loss"]


def predict(model, x):
    return model.predict(x[0] if len(x) == 1 else x, batch_size=len(x[0]))


def seed(number):
    np.random.seed(number)
    if MAJOR == 3:
        keras.utils.set_random_seed(number)
    else:
        import tensorflow as tf

        tf.compat.v1.set_random_seed(number) if MAJOR < 2 or VERSION.startswith("2.2") else tf.random.set_seed(number)


def main():
    if MAJOR < 2 or VERSION.startswith("2.2"):
        assign_after_computing()
    arrays, index = {}, {}
    for make in CASES:
        name = make.__name__
        K.clear_session()
        seed(7)
        model, x, y = make()
        train(model, x, y)
        files = {"model": "keras" if MAJOR == 3 else "h5"}
        path = os.path.join(FOLDER, "{}-{}.{}".format(VERSION, name, files["model"]))
        model.save(path)
        weights = os.path.join(FOLDER, "{}-{}{}".format(VERSION, name, ".weights.h5" if MAJOR == 3 else "_weights.h5"))
        model.save_weights(weights)
        arrays[name + "/before"] = predict(model, x)
        K.clear_session()
        extra = {"safe_mode": False} if MAJOR == 3 else {}
        again = models.load_model(path, custom_objects=OWN, **extra)
        np.testing.assert_array_equal(predict(again, x), arrays[name + "/before"])
        arrays[name + "/loss"] = np.array(train(again, x, y))
        arrays[name + "/after"] = predict(again, x)
        for key, values in (("x", x), ("y", y)):
            for number, value in enumerate(values):
                arrays["{}/{}{}".format(name, key, number)] = value
        for number, value in enumerate(again.get_weights()):
            arrays["{}/weights{:02d}".format(name, number)] = value
        index[name] = {"model": os.path.basename(path), "weights": os.path.basename(weights), "optimizer": type(again.optimizer).__name__}
        print(VERSION, name, arrays[name + "/loss"])
    np.savez_compressed(os.path.join(FOLDER, VERSION + ".npz"), **arrays)
    with open(os.path.join(FOLDER, VERSION + ".json"), "w") as file:
        json.dump(index, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
