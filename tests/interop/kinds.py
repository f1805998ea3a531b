"""The models that torch's tools are tried on: one of each kind, with weights, running statistics, dropout, a list of layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from torchkeras.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, GlobalAveragePooling2D, Input
from torchkeras.models import Model, Sequential

X = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 6, 6, 1)).astype("float32"))
Y = torch.from_numpy(np.random.default_rng(1).standard_normal((8, 2)).astype("float32"))


def sequential() -> Sequential:
    return Sequential([Conv2D(4, 3, activation="relu", input_shape=(6, 6, 1)), BatchNormalization(), Flatten(), Dropout(0.5), Dense(2)])


def unbuilt() -> Sequential:
    return Sequential([Conv2D(4, 3, activation="relu"), BatchNormalization(), Flatten(), Dropout(0.5), Dense(2)])


def functional() -> Model:
    x = Input((6, 6, 1))
    h = BatchNormalization()(Conv2D(4, 3, activation="relu")(x))
    h = Dropout(0.5)(torch.cat([Flatten()(h), GlobalAveragePooling2D()(h)], -1))
    return Model(x, Dense(2)(h) + Dense(2)(h))


class Subclassed(Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2D(4, 3, activation="relu")
        self.norm = BatchNormalization()
        self.flat = Flatten()
        self.drop = Dropout(0.5)
        self.heads = [Dense(2) for _ in range(2)]

    def call(self, x: torch.Tensor) -> torch.Tensor:
        h = self.drop(self.flat(self.norm(self.conv(x))))
        return self.heads[0](h) + self.heads[1](h)


class Plain(nn.Module):
    """A module that knows nothing of Keras; images have their channels last, as the others' have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.conv(x.permute(0, 3, 1, 2)).relu())
        return self.out(self.drop(h.flatten(1)))


def wrapped() -> Model:
    return Model(Plain())


KINDS = {
    "Sequential": sequential,
    "Sequential without input_shape": unbuilt,
    "functional": functional,
    "subclassed": Subclassed,
    "wrapped": wrapped,
}


def trained(kind: str) -> Model:
    """A compiled model after an epoch."""
    model = KINDS[kind]()
    model.compile("adam", "mse")
    model.fit(X.numpy(), Y.numpy(), batch_size=4, verbose=0)
    return model


def last_dense(model: Model) -> Dense | nn.Linear:
    """A Dense layer near the end, in a wrapped module its Linear."""
    return [module for module in model.modules() if isinstance(module, (Dense, nn.Linear))][-1]
