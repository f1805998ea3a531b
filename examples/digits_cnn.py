"""A small convolutional net on handwritten digits, written as for tf.keras.

Run it with `python examples/digits_cnn.py`, or see `python -m torchkeras demo` for the tour.
"""

import os

from torchkeras.callbacks import EarlyStopping, ModelCheckpoint, TensorBoard
from torchkeras.datasets import digits
from torchkeras.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from torchkeras.models import Sequential
from torchkeras.utils import set_random_seed, to_categorical

FOLDER = os.environ.get("DIGITS_FOLDER", "logs/digits")
EPOCHS = 20


def load():
    """The images as floats from 0 to 1 with one channel, the labels as one-hot rows."""
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train = x_train.reshape(-1, 8, 8, 1).astype("float32") / 16
    x_test = x_test.reshape(-1, 8, 8, 1).astype("float32") / 16
    return (x_train, to_categorical(y_train, 10)), (x_test, to_categorical(y_test, 10))


def make_model():
    model = Sequential(name="digits")
    model.add(Conv2D(32, (3, 3), padding="same", activation="relu", input_shape=(8, 8, 1)))
    model.add(Conv2D(32, (3, 3), activation="relu"))
    model.add(BatchNormalization())
    model.add(MaxPooling2D((2, 2)))
    model.add(Flatten())
    model.add(Dropout(0.25))
    model.add(Dense(64, activation="relu"))
    model.add(Dropout(0.5))
    model.add(Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def train(model, folder=FOLDER, verbose=1):
    """Train with the last fifth of the data held out; the best weights go to `best.weights.h5` in the folder."""
    (x_train, y_train), _ = load()
    callbacks = [
        EarlyStopping(monitor="val_loss", patience=5),
        ModelCheckpoint(os.path.join(folder, "best.weights.h5"), monitor="val_loss", save_best_only=True, save_weights_only=True),
        TensorBoard(log_dir=os.path.join(folder, "tensorboard")),
    ]
    return model.fit(x_train, y_train, batch_size=32, epochs=EPOCHS, validation_split=0.2, callbacks=callbacks, verbose=verbose)


if __name__ == "__main__":
    set_random_seed(7)
    os.makedirs(FOLDER, exist_ok=True)
    model = make_model()
    model.summary()
    train(model)
    model.load_weights(os.path.join(FOLDER, "best.weights.h5"))
    _, (x_test, y_test) = load()
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
