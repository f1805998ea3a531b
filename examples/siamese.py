"""A siamese net: do two handwritten digits show the same number?

One tower of layers maps both images to points; the distance of the points answers. Trained by the contrastive loss of Hadsell, Chopra and LeCun
(2006) on pairs of the first 1,500 digits, asked on pairs of the others. The distance of the raw images is the baseline.

Run it with `python examples/siamese.py`.
"""

import numpy as np

from torchkeras import backend as K
from torchkeras.datasets import digits
from torchkeras.layers import Dense, Dropout, Input, Lambda
from torchkeras.models import Model, Sequential
from torchkeras.utils import set_random_seed

EPOCHS = 15


def make_pairs(images, labels, seed):
    """(first images, second images, 1 where they show one number): for each image one of its own number and one of another."""
    random = np.random.default_rng(seed)
    order = [np.flatnonzero(labels == number) for number in range(10)]
    same = np.array([random.choice(order[number]) for number in labels])
    other = np.array([random.choice(order[(number + random.integers(1, 10)) % 10]) for number in labels])
    answers = np.repeat([1.0, 0.0], len(images)).astype("float32")
    return np.concatenate([images, images]), images[np.concatenate([same, other])], answers


def distance(points):
    """How far two rows of points are apart."""
    return K.sqrt(K.maximum(K.sum(K.square(points[0] - points[1]), axis=1, keepdims=True), K.epsilon()))


def contrastive_loss(y_true, y_pred):
    """Pulls the points of one number together, pushes those of two numbers apart up to a distance of 1."""
    return K.mean(y_true * K.square(y_pred) + (1 - y_true) * K.square(K.maximum(1 - y_pred, 0)))


def accuracy(y_true, y_pred):
    """Share of right answers where points nearer than 0.5 mean one number."""
    return K.mean(K.equal(y_true, K.cast(y_pred < 0.5, y_true.dtype)))


def make_model():
    tower = Sequential([Dense(64, activation="relu", input_shape=(64,)), Dropout(0.1), Dense(16)], name="tower")
    left, right = Input((64,)), Input((64,))
    apart = Lambda(distance, name="distance")([tower(left), tower(right)])
    model = Model([left, right], apart)
    model.compile("adam", contrastive_loss, metrics=[accuracy])
    return model


def baseline(first, second, answers):
    """Share of right answers by the distance of the raw images, at the threshold that suits these very pairs best."""
    apart = np.linalg.norm(first - second, axis=1)
    order = answers[np.argsort(apart)]  # all up to a place are called the same
    right = np.cumsum(order) + (len(order) - order.sum()) - np.cumsum(1 - order)
    return float(right.max() / len(order))


def main(epochs=EPOCHS, verbose=2):
    """Share of right answers on new pairs: the baseline's and the model's."""
    set_random_seed(1)
    (x, y), (x_test, y_test) = ((images.reshape(-1, 64).astype("float32") / 16, labels) for images, labels in digits.load_data())
    first, second, answers = make_pairs(x, y, seed=0)
    model = make_model()
    model.fit([first, second], answers, batch_size=64, epochs=epochs, verbose=verbose)
    *pairs, truth = make_pairs(x_test, y_test, seed=1)
    return baseline(*pairs, truth), model.evaluate(pairs, truth, verbose=0)[1]


if __name__ == "__main__":
    raw, learned = main()
    print(f"Right on new pairs: {learned:.1%}; by the distance of the images, {raw:.1%}.")
