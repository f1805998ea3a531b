"""A layer of one's own, the Keras way: build, call, compute_output_shape, get_config; a loss and a metric from inside the layer.

`Prototypes` keeps a few images for each class that it learns, and answers by the nearest. A penalty keeps prototypes near real images.
The model goes to a file and comes back by `custom_objects`.

Run it with `python examples/custom_layer.py`.
"""

import tempfile
from pathlib import Path

import numpy as np

from torchkeras import backend as K
from torchkeras.datasets import digits
from torchkeras.layers import Activation, Dense, Layer
from torchkeras.models import Sequential, load_model
from torchkeras.utils import set_random_seed

EPOCHS = 20


class Prototypes(Layer):
    """Scores of classes: minus the squared distance to the nearest prototype of each.

    Args:
        classes: Number of classes.
        each: Number of prototypes for each class.
        pull: Weight of the penalty that keeps prototypes near the data.
    """

    def __init__(self, classes, each=2, pull=0.01, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.each, self.pull = classes, each, pull

    def build(self, input_shape):
        self.places = self.add_weight(name="places", shape=(self.classes * self.each, input_shape[-1]), initializer="random_normal")
        super().build(input_shape)

    def call(self, inputs):
        apart = K.sum(K.square(K.expand_dims(inputs, 1) - self.places), axis=-1)  # (batch, prototypes)
        self.add_loss(self.pull * K.mean(K.min(apart, axis=0)))
        self.add_metric(K.mean(K.min(apart, axis=1)), name="apart", aggregation="mean")
        return -K.min(K.reshape(apart, (-1, self.classes, self.each)), axis=2)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "each": self.each, "pull": self.pull}


def make_model():
    model = Sequential([Dense(24, input_shape=(64,)), Prototypes(10), Activation("softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(epochs=EPOCHS, verbose=2):
    """The model, its history and its test accuracy, after a trip through a file."""
    set_random_seed(1)
    (x, y), (x_test, y_test) = ((images.reshape(-1, 64).astype("float32") / 16, labels) for images, labels in digits.load_data())
    model = make_model()
    history = model.fit(x, y, epochs=epochs, validation_split=0.1, verbose=verbose)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prototypes.h5"
        model.save(path)
        again = load_model(path, custom_objects={"Prototypes": Prototypes})
    np.testing.assert_allclose(again.predict(x_test), model.predict(x_test), rtol=1e-5, atol=1e-6)
    return again, history, again.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    print(f"Right digits: {main()[2]:.1%}.")
