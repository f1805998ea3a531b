"""A subclassed model with steps of its own: an autoencoder that learns to take noise off handwritten digits.

`call` is the forward pass, `train_step` and `test_step` put the noise on; layers stand in a list. What fit, callbacks and metrics do stays as it is.

Run it with `python examples/subclassed_model.py`.
"""

import torch

from torchkeras.datasets import digits
from torchkeras.layers import BatchNormalization, Dense, Dropout
from torchkeras.metrics import Mean
from torchkeras.models import Model
from torchkeras.utils import set_random_seed

NOISE = 0.3  # standard deviation; pixels go from 0 to 1
EPOCHS = 25


class Denoiser(Model):
    """Dense layers to a few numbers and back to an image.

    Args:
        units: Sizes of the layers.
    """

    def __init__(self, units=(128, 64, 128), **kwargs):
        super().__init__(**kwargs)
        self.steps = [Dense(size, activation="relu") for size in units]
        self.norms = [BatchNormalization() for _ in units]
        self.drop = Dropout(0.1)
        self.image = Dense(64, activation="sigmoid")
        self.error = Mean(name="error")

    def call(self, inputs, training=None):
        h = inputs
        for step, norm in zip(self.steps, self.norms, strict=True):
            h = norm(step(h), training=training)
        return self.image(self.drop(h, training=training))

    def compare(self, clean, training):
        """The loss on noisy copies of clean images."""
        restored = self(clean + NOISE * torch.randn_like(clean), training=training)
        self.error.update_state((restored - clean).square().mean())
        return self.compiled_loss(clean, restored, regularization_losses=self.losses)

    def train_step(self, data):
        self.optimizer.zero_grad()
        self.compare(data, training=True).backward()
        self.optimizer.step()
        return {"error": self.error.result()}

    def test_step(self, data):
        self.compare(data, training=False)
        return {"error": self.error.result()}

    @property
    def metrics(self):
        return [self.error]  # set back by fit at each epoch


def main(epochs=EPOCHS, verbose=2):
    """Mean squared errors on new images: of the noisy ones, of the restored ones."""
    set_random_seed(1)
    (x, _), (x_test, _) = digits.load_data()
    x, x_test = (torch.from_numpy(part).reshape(-1, 64).float() / 16 for part in (x, x_test))
    model = Denoiser()
    model.compile("adam", "binary_crossentropy")
    model.fit(x, batch_size=32, epochs=epochs, verbose=verbose)
    noisy = x_test + NOISE * torch.randn_like(x_test)
    restored = torch.from_numpy(model.predict(noisy))
    return float((noisy - x_test).square().mean()), float((restored - x_test).square().mean())


if __name__ == "__main__":
    noisy, restored = main()
    print(f"Mean squared error of noisy digits: {noisy:.4f}; restored: {restored:.4f}.")
