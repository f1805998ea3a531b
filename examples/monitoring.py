"""Watch a training: TensorBoard with all that it can show, a CSV log, the best weights, pictures at the end.

Run it with `python examples/monitoring.py`, then `tensorboard --logdir logs/monitoring/tensorboard`.
"""

import os

import numpy as np

from torchkeras.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TensorBoard
from torchkeras.datasets import digits
from torchkeras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from torchkeras.models import Sequential
from torchkeras.utils import plot_model, set_random_seed, to_categorical
from torchkeras.utils.reports import per_class_report

FOLDER = os.environ.get("MONITORING_FOLDER", "logs/monitoring")
EPOCHS = int(os.environ.get("MONITORING_EPOCHS", "30"))
NAMES = [str(digit) for digit in range(10)]


def load():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train, x_test = (x.reshape(-1, 8, 8, 1).astype("float32") / 16 for x in (x_train, x_test))
    return (x_train, to_categorical(y_train, 10)), (x_test, to_categorical(y_test, 10))


def make_model(rate):
    model = Sequential(name="digits")
    model.add(Conv2D(16, (3, 3), activation="relu", input_shape=(8, 8, 1), name="edges"))
    model.add(MaxPooling2D((2, 2)))
    model.add(Flatten())
    model.add(Dropout(rate))
    model.add(Dense(32, activation="relu", name="hidden"))
    model.add(Dense(10, activation="softmax", name="digit"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def train(folder=FOLDER, epochs=EPOCHS, verbose=1):
    set_random_seed(7)
    os.makedirs(folder, exist_ok=True)
    (x, y), (x_test, y_test) = load()
    rate = 0.3
    model = make_model(rate)
    plot_model(model, os.path.join(folder, "model.png"), show_shapes=True)

    def show(board, epoch):
        """What one likes to see after each epoch: some pictures, and which digits are mistaken for which."""
        if epoch % 5 == 0:
            board.image("examples", x_test[:8], epoch)
            board.confusion_matrix("digits", y_test, model.predict(x_test), epoch, names=NAMES)

    callbacks = [
        TensorBoard(
            os.path.join(folder, "tensorboard"),
            histogram_freq=5,
            write_grads=True,
            write_images=True,
            update_freq=10,
            profile_batch=(20, 22),
            hparams={"dropout": rate, "optimizer": "adam"},
            hook=show,
        ),
        ModelCheckpoint(os.path.join(folder, "best.h5"), monitor="val_accuracy", save_best_only=True, save_weights_only=True),
        ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=3),
        EarlyStopping(monitor="val_loss", patience=8, restore_best_weights=True),
        CSVLogger(os.path.join(folder, "log.csv")),
    ]
    history = model.fit(x, y, batch_size=32, epochs=epochs, validation_split=0.2, callbacks=callbacks, verbose=verbose)
    history.plot(os.path.join(folder, "history.png"), names=["loss", "accuracy", "lr"], title="digits")
    report = per_class_report(y_test, model.predict(x_test), NAMES)
    return model, history, report


if __name__ == "__main__":
    model, history, report = train(verbose=2)
    print(report)
    print(f"best validation accuracy {np.max(history.history['val_accuracy']):.4f}; now: tensorboard --logdir {FOLDER}/tensorboard")
