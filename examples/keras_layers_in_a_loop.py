"""Keras layers in an nn.Module, trained by a loop of one's own.

The layers find their own input shapes, so no size is worked out by hand; all else is plain torch: a DataLoader, an optimizer, a scheduler, clipped
gradients, a state dict.

Run it with `python examples/keras_layers_in_a_loop.py`.
"""

import io

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from torchkeras.datasets import digits
from torchkeras.layers import GRU, BatchNormalization, Conv2D, Dense, Dropout

EPOCHS = 6


class Reader(nn.Module):
    """Convolutions, then the rows of the image as steps of a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(Conv2D(16, 3, padding="same", use_bias=False), BatchNormalization(), nn.ReLU(), Dropout(0.2))
        self.read = GRU(32)
        self.answer = Dense(10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = self.look(images).flatten(2)  # (batch, 8, 8 * 16)
        return self.answer(self.read(rows))


def load():
    """(images, labels) to train on and to test on."""
    return [(torch.from_numpy(x).reshape(-1, 8, 8, 1).float() / 16, torch.from_numpy(y).long()) for x, y in digits.load_data()]


def train(model, images, labels, epochs, verbose=1):
    """The loop."""
    loader = DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True)
    model(images[:1])  # the first call makes the weights, which the optimizer asks for
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=epochs * len(loader))
    for epoch in range(epochs):
        model.train()  # Keras' layers start in inference mode
        total = torch.zeros(())
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            total += loss.detach()
        if verbose:
            print(f"epoch {epoch + 1}: loss {total / len(loader):.4f}")
    return model.eval()


def main(epochs=EPOCHS, verbose=1):
    """Test accuracy of the model, and of one that got its state dict."""
    torch.manual_seed(1)
    (x, y), (x_test, y_test) = load()
    model = train(Reader(), x, y, epochs, verbose)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = Reader()
    again.load_state_dict(torch.load(file, weights_only=True))  # makes the weights, too
    with torch.inference_mode():
        return [(net(x_test).argmax(1) == y_test).float().mean().item() for net in (model, again.eval())]


if __name__ == "__main__":
    print(f"Right digits: {main()[0]:.1%}.")
