"""Keras' optimizers, each a torch optimizer once it is bound to parameters."""

from __future__ import annotations

from torchkeras.optimizers import schedules
from torchkeras.optimizers.adagrad import Adadelta, Adagrad
from torchkeras.optimizers.adam import Adam, Adamax
from torchkeras.optimizers.base import NotBoundError, Optimizer
from torchkeras.optimizers.clipping import clip_norm
from torchkeras.optimizers.ftrl import Ftrl
from torchkeras.optimizers.hyper import HyperParameter
from torchkeras.optimizers.lookup import OPTIMIZERS, deserialize, get, serialize
from torchkeras.optimizers.nadam import Nadam
from torchkeras.optimizers.native import TorchOptimizer
from torchkeras.optimizers.rmsprop import RMSprop
from torchkeras.optimizers.sgd import SGD

# Names that Keras 1 and 2 have besides
sgd = SGD
rmsprop = RMSprop
adagrad = Adagrad
adadelta = Adadelta
adam = Adam
adamax = Adamax
nadam = Nadam
TFOptimizer = TorchOptimizer
optimizer_from_config = deserialize

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "Adamax",
    "Ftrl",
    "HyperParameter",
    "Nadam",
    "NotBoundError",
    "Optimizer",
    "RMSprop",
    "TFOptimizer",
    "TorchOptimizer",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "clip_norm",
    "deserialize",
    "get",
    "nadam",
    "optimizer_from_config",
    "rmsprop",
    "schedules",
    "serialize",
    "sgd",
]
