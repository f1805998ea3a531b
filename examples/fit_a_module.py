"""Keras' methods for an nn.Module that exists: `Model(module)`.

The module knows nothing of Keras. Its loss, optimizer and scheduler are torch's, one metric is Ignite's, the data comes from a DataLoader; fit,
callbacks, History, evaluate and predict are Keras'.

Run it with `python examples/fit_a_module.py`.
"""

import torch
from ignite.metrics import TopKCategoricalAccuracy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from torchkeras.callbacks import EarlyStopping
from torchkeras.datasets import digits
from torchkeras.models import Model

EPOCHS = 10


class Net(nn.Module):
    """An ordinary convolutional net, channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.25), nn.Linear(512, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def loaders():
    """DataLoaders of the training and of the test digits."""
    parts = [TensorDataset(torch.from_numpy(x).reshape(-1, 1, 8, 8).float() / 16, torch.from_numpy(y).long()) for x, y in digits.load_data()]
    return DataLoader(parts[0], batch_size=32, shuffle=True), DataLoader(parts[1], batch_size=128)


def main(epochs=EPOCHS, verbose=2):
    """The module, the history, and accuracies of the test digits by name."""
    torch.manual_seed(1)
    train, test = loaders()
    module = Net()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    model = Model(module)
    model.compile(optimizer, nn.CrossEntropyLoss(), metrics=["accuracy", TopKCategoricalAccuracy(k=3)], lr_scheduler=scheduler)
    stop = EarlyStopping(monitor="val_loss", patience=3)
    history = model.fit(train, validation_data=test, epochs=epochs, callbacks=[stop], verbose=verbose)
    return module, history, model.evaluate(test, verbose=0, return_dict=True)


if __name__ == "__main__":
    module, _, found = main()
    print({name: round(value, 4) for name, value in found.items()})
    print(f"The module is as it was, but trained: {type(module).__name__}, {sum(p.numel() for p in module.parameters()):,} parameters.")
