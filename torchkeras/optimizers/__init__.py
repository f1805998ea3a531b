"""Keras' optimizers as torch optimizers: names, configs and the classes."""

from __future__ import annotations

from torchkeras.optimizers import schedules
from torchkeras.optimizers.adam import Adam
from torchkeras.optimizers.base import Optimizer
from torchkeras.optimizers.lookup import deserialize, get, serialize
from torchkeras.optimizers.rmsprop import RMSprop
from torchkeras.optimizers.sgd import SGD

sgd = SGD
rmsprop = RMSprop
adam = Adam

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop", "adam", "deserialize", "get", "rmsprop", "schedules", "serialize", "sgd"]
