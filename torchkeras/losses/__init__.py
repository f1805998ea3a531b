"""Losses of Keras 1, Keras 2 and tf.keras, as functions and classes.

A function takes `(y_true, y_pred)` and gives one value a sample; a class reduces them. `get` finds either by any name
a release knows it by, and takes PyTorch losses too.
"""

from torchkeras.losses.base import Loss, LossFunctionWrapper, bind_release
from torchkeras.losses.classes import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from torchkeras.losses.crossentropy import binary_crossentropy, categorical_crossentropy, kl_divergence, sparse_categorical_crossentropy
from torchkeras.losses.external import TorchLoss, from_torch
from torchkeras.losses.lookup import deserialize, function_name, get, serialize
from torchkeras.losses.losses_utils import Reduction
from torchkeras.losses.margin import categorical_hinge, hinge, squared_hinge
from torchkeras.losses.objective import Objective
from torchkeras.losses.regression import (
    cosine_proximity,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)
from torchkeras.losses.weighting import weighted_mean

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
bce = BCE = binary_crossentropy
logcosh = log_cosh
huber_loss = huber
cosine = cosine_proximity

__all__ = [
    "BCE",
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Objective",
    "Poisson",
    "Reduction",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "TorchLoss",
    "bce",
    "binary_crossentropy",
    "bind_release",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine",
    "cosine_proximity",
    "cosine_similarity",
    "deserialize",
    "from_torch",
    "function_name",
    "get",
    "hinge",
    "huber",
    "huber_loss",
    "kl_divergence",
    "kld",
    "kullback_leibler_divergence",
    "log_cosh",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "weighted_mean",
]
