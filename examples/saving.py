"""Files: a model of genuine Keras 2.2.4 is loaded, trained on and saved; its weights move by name into a larger one; code in a file is not run.

Run it with `python examples/saving.py`, or with the name of an `.h5` or `.keras` file of your own.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from torchkeras.layers import Dense, Lambda
from torchkeras.models import Sequential, load_model, model_from_json

GENUINE = Path(__file__).parent.parent / "tests" / "golden" / "keras-2.2.4" / "saved" / "mlp.h5"  # written by Keras 2.2.4


def some_data(model, samples=16, seed=0):
    """Inputs and targets of the shapes that the model has."""
    draw = np.random.default_rng(seed)
    return draw.random((samples, *model.input_shape[1:]), "float32"), draw.random((samples, *model.output_shape[1:]), "float32")


def go_on(path):
    """Load a model with its optimizer, and train on: the epochs go on from where they were left, by the rules of the Keras that wrote the file."""
    model = load_model(path)
    steps = int(model.optimizer.iterations)
    x, y = some_data(model)
    model.fit(x, y, epochs=2, verbose=0)
    print(
        f"{Path(path).name}: {len(model.layers)} layers, {type(model.optimizer).__name__} at step {steps}, now at {int(model.optimizer.iterations)}"
    )
    return model


def save_everywhere(model, folder):
    """One model as two kinds of file: `.h5`, which Keras 2 and tf.keras read, and `.keras`, which Keras 3 reads."""
    x, _ = some_data(model)
    for name in ("model.h5", "model.keras"):
        model.save(folder / name)
        again = load_model(folder / name)
        assert np.array_equal(again.predict(x), model.predict(x))
        print(f"{name}: {(folder / name).stat().st_size:,} bytes, the same predictions")


def architecture_and_weights(model, folder):
    """The architecture as JSON and the weights in a file of their own."""
    (folder / "model.json").write_text(model.to_json())
    model.save_weights(folder / "weights.h5")
    again = model_from_json((folder / "model.json").read_text())
    again.load_weights(folder / "weights.h5")
    x, _ = some_data(model)
    assert np.array_equal(again.predict(x), model.predict(x))
    return again


def larger_by_name(folder):
    """A part of a trained model in a new one: layers of the same name take their weights, the others keep theirs."""
    small = Sequential([Dense(8, activation="tanh", input_shape=(5,), name="features"), Dense(2, name="answer")])
    small.save_weights(folder / "small.h5")
    large = Sequential([Dense(8, activation="tanh", input_shape=(5,), name="features"), Dense(4, name="more"), Dense(3, name="new_answer")])
    large.load_weights(folder / "small.h5", by_name=True)
    assert np.array_equal(large.get_layer("features").get_weights()[0], small.get_layer("features").get_weights()[0])
    return large


def what_is_wrong_is_said(folder):
    """Weights that do not fit change nothing, and the message says which layer has which shape."""
    wide = Sequential([Dense(9, activation="tanh", input_shape=(5,), name="features"), Dense(2, name="answer")])
    before = wide.get_weights()
    try:
        wide.load_weights(folder / "small.h5")
    except ValueError as error:
        print(f"refused: {str(error).rpartition('small.h5')[2].lstrip(chr(39) + ': ')}")
    assert all(np.array_equal(one, two) for one, two in zip(before, wide.get_weights(), strict=True))


def double(x):
    return 2 * x


def functions_are_given(folder):
    """A Lambda comes back as the function that you give: the file says its name, and no code in a file is run."""
    Sequential([Dense(2, input_shape=(3,)), Lambda(double, name="twice")]).save(folder / "lambda.h5")
    try:
        load_model(folder / "lambda.h5", compile=False)
    except ValueError as error:
        print(f"refused: {str(error).rpartition(': Lambda')[2].strip()}")
    return load_model(folder / "lambda.h5", custom_objects={"double": double}, compile=False)


def main(path=GENUINE):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = go_on(path)
        save_everywhere(model, folder)
        architecture_and_weights(model, folder)
        larger_by_name(folder)
        what_is_wrong_is_said(folder)
        functions_are_given(folder)
    return model


if __name__ == "__main__":
    main(*sys.argv[1:])
