"""Models whose layers of the user's own hold layers: the same code for genuine tf.keras and for torchkeras (Python 3.7 reads it)."""

import numpy as np


def make(layers, Model, Sequential, Input):
    """The models by name; each takes 4 numbers.

    Args:
        layers: The module of layers.
        Model, Sequential, Input: Of the same library.
    """

    class Inside(layers.Layer):
        """Layers made in __init__, in a list, too, and a weight of its own."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = layers.Dense(3, activation="tanh", name="first")
            self.others = [layers.Dense(2, name="other"), layers.Dense(4, name="last")]

        def build(self, input_shape):
            self.own = self.add_weight("own", shape=(1,), initializer="ones")
            super().build(input_shape)

        def call(self, inputs):
            outputs = self.first(inputs)
            for other in self.others:
                outputs = other(outputs)
            return outputs * self.own

    class Twice(layers.Layer):
        """Two of these, and a model."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.one, self.two = Inside(name="one"), Inside(name="two")
            self.model = Sequential([layers.Dense(3, name="a"), layers.BatchNormalization(name="b")], name="model")

        def call(self, inputs):
            return self.model(self.two(self.one(inputs)))

    class Built(layers.Layer):
        """One layer built in build, one in call."""

        def build(self, input_shape):
            self.first = layers.Dense(3, name="first")
            self.first.build(input_shape)
            self.second = layers.Dense(4, name="second")
            super().build(input_shape)

        def call(self, inputs):
            return self.second(self.first(inputs))

    class Holding(layers.Layer):
        """A layer that others hold, too."""

        def __init__(self, held, **kwargs):
            super().__init__(**kwargs)
            self.held = held

        def call(self, inputs):
            return self.held(inputs)

    class Subclassed(Model):
        """A model of such layers."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.front, self.inside, self.twice = layers.Dense(4, name="front"), Inside(name="inside"), Twice(name="twice")

        def call(self, inputs):
            return self.twice(self.inside(self.front(inputs)))

    x = Input((4,))
    shared = layers.Dense(4, name="shared")
    found = {
        "inside": Model(x, Inside(name="inside")(x)),
        "twice": Model(x, layers.Dense(2, name="end")(Twice(name="twice")(x))),
        "by_hand": Model(x, Built(name="by_hand")(x)),
        "shared": Model(x, Holding(shared, name="later")(Holding(shared, name="earlier")(x))),
        "in_sequential": Sequential([Input((4,)), Inside(name="inside"), layers.Dense(2, name="end")]),
        "in_model": Model(x, Sequential([Inside(name="inside"), layers.Dense(2, name="end")], name="inner")(x)),
        "subclassed": Subclassed(name="subclassed"),
    }
    found["subclassed"](np.zeros((1, 4), "float32"))
    return found


def values(model):
    """Weights that tell where each of them came from."""
    random = np.random.RandomState(0)
    return [random.uniform(0.1, 1, weight.shape).astype("float32") for weight in model.get_weights()]
