"""torchkeras: Keras programs on PyTorch, with the numbers of genuine Keras; every object an ordinary PyTorch object."""

from torchkeras import (
    activations,
    callbacks,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    utils,
)
from torchkeras.generations import keras_version, set_keras_version, using_keras_version
from torchkeras.layers import Input
from torchkeras.models import Model, Sequential

__version__ = "0.1.0"

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "keras_version",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "set_keras_version",
    "using_keras_version",
    "utils",
]
