"""From a Keras model to plain PyTorch: a trained model becomes an nn.Module, and a file of Python text, that need no torchkeras.

Run it with `python examples/to_torch.py [FOLDER]`. It trains a small convolutional net on scanned digits, writes `digits_net.py` and
`digits_net.pt` to the folder (a temporary one by default), and lets another Python, in which torchkeras cannot be imported, read them and
predict the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from torchkeras.datasets import digits
from torchkeras.layers import BatchNormalization, Conv2D, Dense, Dropout, GlobalAveragePooling2D, Input, MaxPooling2D
from torchkeras.models import Model

# What the other program does: it has torch, and the two files.
READER = """
import sys
sys.modules["torchkeras"] = None  # an import of it would fail
import torch
from digits_net import DigitsNet

net = DigitsNet()
net.load_state_dict(torch.load("digits_net.pt", weights_only=True))
net.eval()
torch.save(net(torch.load("images.pt", weights_only=True)).detach(), "predictions.pt")
"""


def make_model() -> Model:
    """A net with a branch around its second convolution."""
    images = Input((8, 8, 1))
    x = Conv2D(16, 3, padding="same", activation="relu", name="edges")(images)
    x = BatchNormalization(name="norm")(x)
    x = x + Conv2D(16, 3, padding="same", activation="relu", name="corners")(x)
    x = Dropout(0.2, name="dropout")(GlobalAveragePooling2D()(MaxPooling2D()(x)))
    return Model(images, Dense(10, activation="softmax", name="digit")(x), name="digits_net")


def main(folder: str | None = None, epochs: int = 3, verbose: int = 1) -> tuple[str, float]:
    """Train, export, and compare.

    Args:
        folder: Where the files go; `None`: a temporary folder.
        epochs: Epochs of training.
        verbose: Whether to print.

    Returns:
        The text of the module, and the largest difference between the two programs' predictions.
    """
    (x, y), (x_test, _) = digits.load_data()
    model = make_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(scaled(x), y, epochs=epochs, verbose=verbose)

    module, text = model.to_torch(source=True)
    if verbose:
        print(text)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        place.mkdir(parents=True, exist_ok=True)
        (place / "digits_net.py").write_text(text)
        torch.save(module.state_dict(), place / "digits_net.pt")
        images = torch.as_tensor(scaled(x_test))
        torch.save(images, place / "images.pt")
        subprocess.run([sys.executable, "-c", READER], cwd=place, check=True)
        elsewhere = torch.load(place / "predictions.pt", weights_only=True)
    difference = float((elsewhere - torch.as_tensor(model.predict(images))).abs().max())
    if verbose:
        print(f"Largest difference between the model's predictions and those of the program without torchkeras: {difference:.1e}")
    return text, difference


def scaled(images):
    """Images of shape (number, 8, 8, 1), from 0 to 1."""
    return (images.reshape(-1, 8, 8, 1) / 16).astype("float32")


if __name__ == "__main__":
    main(*sys.argv[1:2])
