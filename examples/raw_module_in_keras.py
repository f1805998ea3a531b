"""Modules and functions of torch inside a Keras model.

A handwritten digit is read as eight rows by an `nn.TransformerEncoderLayer`, called on a symbolic tensor like any layer; slices, sums and
functions of torch are part of the graph, an `nn.Parameter` among them is trained. The model is one of Keras' in all it does.

Run it with `python examples/raw_module_in_keras.py`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from torchkeras.callbacks import EarlyStopping
from torchkeras.datasets import digits
from torchkeras.layers import Dense, Dropout, Input
from torchkeras.models import Model
from torchkeras.utils import set_random_seed

EPOCHS = 15


def make_model():
    image = Input((8, 8), name="image")
    places = nn.Parameter(torch.randn(8, 32) * 0.02)
    rows = Dense(32)(image) + places  # operators and parameters are recorded
    rows = nn.TransformerEncoderLayer(32, nhead=4, dim_feedforward=64, dropout=0.1, batch_first=True)(rows)
    found = torch.cat([rows.mean(1), rows.amax(1), F.normalize(rows[:, 0], dim=-1)], -1)
    model = Model(image, Dense(10)(Dropout(0.1)(found)))
    model.compile(torch.optim.AdamW(model.parameters(), lr=3e-3), nn.CrossEntropyLoss(label_smoothing=0.05), metrics=["accuracy"])
    return model


def main(epochs=EPOCHS, verbose=2):
    """The model and its test accuracy."""
    set_random_seed(1)
    (x, y), (x_test, y_test) = ((images.astype("float32") / 16, labels.astype("int64")) for images, labels in digits.load_data())
    model = make_model()
    stop = EarlyStopping(monitor="val_accuracy", patience=5, restore_best_weights=True)
    model.fit(x, y, epochs=epochs, validation_split=0.1, callbacks=[stop], verbose=verbose)
    return model, model.evaluate(x_test, y_test, verbose=0)[1]


if __name__ == "__main__":
    model, accuracy = main()
    model.summary()
    print(f"Right digits: {accuracy:.1%}.")
