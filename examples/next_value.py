"""Predict the next value of a series from the last ones: LSTM, Dropout and Dense against a linear autoregressive model.

The series is made, since no real one is shipped here: each value is 0.9 or -0.9 times the one before, the sign being that of the
value two before, plus noise of standard deviation 0.3. No linear model sees that; one that is told the rule is left with the noise,
a mean squared error of 0.09. For prices of a market expect no such gain: there the baseline is hard to beat.

Run it with `python examples/next_value.py`.
"""

import numpy as np

from torchkeras.layers import LSTM, Dense, Dropout
from torchkeras.models import Sequential
from torchkeras.preprocessing.sequence import TimeseriesGenerator
from torchkeras.utils import set_random_seed

NOISE = 0.3
WINDOW = 8  # values that are looked at
EPOCHS = 12


def make_series(length=4000, seed=0):
    """The made series: (length, 1)."""
    noise = NOISE * np.random.default_rng(seed).standard_normal(length)
    series = np.zeros(length)
    for now in range(2, length):
        series[now] = 0.9 * np.sign(series[now - 2] or 1) * series[now - 1] + noise[now]
    return series[:, None].astype("float32")


def windows(series):
    """(samples, WINDOW) and the values that follow."""
    return np.lib.stride_tricks.sliding_window_view(series[:-1, 0], WINDOW), series[WINDOW:, 0]


def autoregression(train, test):
    """Mean squared error of the linear model of order WINDOW, fitted by least squares."""

    def with_constant(x):
        return np.hstack([x, np.ones((len(x), 1))])

    x, y = windows(train)
    weights = np.linalg.lstsq(with_constant(x), y, rcond=None)[0]
    x, y = windows(test)
    return float(np.mean((with_constant(x) @ weights - y) ** 2))


def make_model():
    model = Sequential(name="next_value")
    model.add(LSTM(32, input_shape=(WINDOW, 1)))
    model.add(Dropout(0.1))
    model.add(Dense(1))
    model.compile("rmsprop", "mse")
    model.optimizer.learning_rate = 0.003
    return model


def main(epochs=EPOCHS, verbose=2):
    set_random_seed(1)
    series = make_series()
    train, test = series[:3200], series[3200:]
    model = make_model()
    batches = TimeseriesGenerator(train, train, length=WINDOW, batch_size=32, shuffle=True)
    model.fit(batches, epochs=epochs, verbose=verbose, workers=0)
    return autoregression(train, test), model.evaluate(TimeseriesGenerator(test, test, length=WINDOW, batch_size=128), verbose=0, workers=0)


if __name__ == "__main__":
    linear, learned = main()
    print(f"Mean squared error on values not seen: {learned:.3f}; autoregressive model: {linear:.3f}.")
