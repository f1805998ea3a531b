"""The functional API with two inputs and two outputs, by name.

The upper and the lower half of a handwritten digit are two inputs; the answers are which digit it is and whether it is even. A model of one half
alone, cut out of the same graph, shows what the other half adds.

Run it with `python examples/two_inputs_two_outputs.py`.
"""

from torchkeras.datasets import digits
from torchkeras.layers import Conv2D, Dense, Dropout, Flatten, Input, concatenate
from torchkeras.models import Model
from torchkeras.utils import set_random_seed

EPOCHS = 12


def load():
    """({input: array}, {output: array}) to train on and to test on."""
    parts = []
    for images, labels in digits.load_data():
        images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
        parts.append(({"upper": images[:, :4], "lower": images[:, 4:]}, {"digit": labels, "even": labels % 2 == 0}))
    return parts


def make_model():
    """The model, and one that tells the digit by its upper half alone."""
    upper, lower = Input((4, 8, 1), name="upper"), Input((4, 8, 1), name="lower")
    look = Conv2D(16, 3, padding="same", activation="relu")  # one layer for both halves: its weights are shared
    halves = [Flatten()(look(half)) for half in (upper, lower)]
    h = Dropout(0.3)(Dense(64, activation="relu")(concatenate(halves)))
    digit = Dense(10, activation="softmax", name="digit")(h)
    even = Dense(1, activation="sigmoid", name="even")(concatenate([h, digit]))
    model = Model(inputs=[upper, lower], outputs=[digit, even])
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "even": "binary_crossentropy"},
        loss_weights={"digit": 1.0, "even": 0.5},
        metrics={"digit": "accuracy", "even": "accuracy"},
    )
    half = Model(upper, Dense(10, activation="softmax")(halves[0]))
    half.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, half


def main(epochs=EPOCHS, verbose=2):
    """Test accuracy by output, and that of the half."""
    set_random_seed(1)
    (x, y), (x_test, y_test) = load()
    model, half = make_model()
    half.fit(x["upper"], y["digit"], epochs=epochs, verbose=0)
    model.fit(x, y, epochs=epochs, validation_split=0.1, verbose=verbose)
    found = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    return found["digit_accuracy"], found["even_accuracy"], half.evaluate(x_test["upper"], y_test["digit"], verbose=0)[1]


if __name__ == "__main__":
    make_model()[0].summary()
    digit, even, half = main()
    print(f"Right digits: {digit:.1%}, even or odd: {even:.1%}; the upper half alone: {half:.1%}.")
